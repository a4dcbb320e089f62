//! The native token: claims and their signature as text.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::auth::key::Key;
use crate::protocol::interact::Role;

/// The longest token, in bytes: it travels in URLs, which proxies bound at 8 KB.
pub const TOKEN_BYTES_MAX: usize = 1024;

/// The room of a token that is good for all rooms.
pub const ROOM_ANY: &str = "*";

/// What a token is good for. One token, one purpose: who finds a play token in a shared link can
/// neither speak nor publish. Only who may be in a room may watch it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Watch.
    Play,
    /// Push a show.
    Publish,
    /// Be in a room: watch, comment, like, order, and what the role allows.
    Interact,
    /// The admin API.
    Admin,
    /// Marks orders as part of a load test.
    Load,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The id of the key that signed it; for a tenant's key `TENANT:KEY`.
    #[serde(default)]
    pub kid: Arc<str>,
    /// What it is good for.
    pub scope: Scope,
    /// Where: a room, or [`ROOM_ANY`].
    pub room: Arc<str>,
    /// Whose it is; empty for tokens of nobody in particular.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub sub: Arc<str>,
    /// What the others call him.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub name: Arc<str>,
    /// What he may do in the room.
    #[serde(default)]
    pub role: Role,
    /// When it begins, in seconds since 1970; 0: at once.
    #[serde(rename = "nbf", default, skip_serializing_if = "is_zero")]
    pub nbf_s: i64,
    /// When it ends, in seconds since 1970.
    #[serde(rename = "exp")]
    pub exp_s: i64,
    /// The token's own name, by which it can be denied; empty when it has none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub jti: Arc<str>,
    /// The only address it may be used from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
}

impl Scope {
    /// True when a token of this scope is good where `wanted` is needed.
    pub(super) fn covers(self, wanted: Self) -> bool {
        self == wanted || (self == Self::Interact && wanted == Self::Play)
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The token of `claims`, signed by `key`; the claims carry the key's id whatever they said.
#[must_use]
pub fn sign(key: &Key, claims: &Claims) -> String {
    let claims = Claims {
        kid: key.id.clone(),
        ..claims.clone()
    };
    let json = serde_json::to_vec(&claims).expect("claims have text keys only");
    let mut token = URL_SAFE_NO_PAD.encode(json);
    let tag = hmac::sign(&key.hmac, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
    token
}

/// A token taken apart; nothing of it is proven yet.
pub(super) struct Unproven<'a> {
    signed: &'a str,
    tag: Vec<u8>,
    claims: Claims,
}

impl<'a> Unproven<'a> {
    /// `None` when the text is no token.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, tag) = token.split_once('.')?;
        let claims = URL_SAFE_NO_PAD.decode(signed).ok()?;
        Some(Self {
            signed,
            tag: URL_SAFE_NO_PAD.decode(tag).ok()?,
            claims: serde_json::from_slice(&claims).ok()?,
        })
    }

    /// What it claims.
    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims, when `key` signed them. Compares in constant time.
    pub(super) fn proven_by(self, key: &Key) -> Option<Claims> {
        hmac::verify(&key.hmac, self.signed.as_bytes(), &self.tag).ok()?;
        Some(self.claims)
    }
}
