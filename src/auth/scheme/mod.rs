//! The signed-URL schemes of other vendors, and JWT: from a credential to claims.
//!
//! A scheme proves one thing, that the holder of a tenant's key has signed this path and a time. It
//! deliberately knows neither tenants nor the deny list. Whatever is compared with a secret is
//! compared in constant time.
//!
//! Sources: DOMAIN 4.2 (with its vectors); RFC 7515, 7517, 7518, 7519, 8037.

mod akamai;
mod aliyun;
mod jwt;
mod tencent;

use std::fmt::Write as _;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

pub(super) use akamai::Akamai;
pub(super) use aliyun::{Aliyun, Form};
pub use jwt::Error as JwksError;
pub(super) use jwt::Jwt;
pub(super) use tencent::Tencent;

/// What is asked for, as the schemes sign it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The path without credentials, such as `/live/ROOM.flv`.
    pub(super) path: &'a str,
    /// The stream's name: the room, or the name that an encoder pushes to.
    pub(super) stream: &'a str,
    /// The client's address.
    pub(super) address: std::net::IpAddr,
}

/// What a signed URL proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    /// The id of the key that signed it.
    pub(super) kid: Arc<str>,
    /// The user that the signer names; empty without one.
    pub(super) sub: Arc<str>,
    /// From when on it is good, in seconds since 1970.
    pub(super) nbf_s: i64,
    /// Until when it is good, in seconds since 1970.
    pub(super) exp_s: i64,
}

/// True when `hash` is the MD5 of all `pieces` in lower-case hex.
fn is_md5_of(hash: &str, pieces: &[&str]) -> bool {
    let mut md5 = Md5::new();
    for piece in pieces {
        md5.update(piece);
    }
    let expected = hex(&md5.finalize());
    expected.as_bytes().ct_eq(hash.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing into a String cannot fail");
    }
    text
}

/// The bytes that `text` writes in hex; `None` for anything else.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

/// A time in hex, seconds since 1970, of at most eight digits.
fn hex_time(text: &str) -> Option<i64> {
    let fits = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| i64::from_str_radix(text, 16).ok()).flatten()
}

/// A time in decimal digits, seconds since 1970.
fn decimal_time(text: &str) -> Option<i64> {
    let fits = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}
