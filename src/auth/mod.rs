//! Signed tokens: who may play, publish, speak and operate where.
//!
//! A token is `base64url(claims as JSON).base64url(HMAC-SHA256)`. The platform signs, or
//! `rushlane token` does; every node that holds the key verifies alone, without asking anybody.
//! Several keys may be live, so that they can be changed without a gap.
//!
//! Deliberately knows no HTTP, no room and no list of users: it turns a text into claims or a
//! refusal.
//!
//! Invariants:
//! - Nothing of a token is believed before its signature is verified, in constant time.
//! - Neither tokens nor secrets appear in logs, errors or `Debug`.
//! - A token is bounded before it is parsed, and cannot panic.
//!
//! Spec: INTERFACE "Play", R4.5, R4.6.

mod key;
mod token;
mod verifier;

use serde::{Deserialize, Serialize};

pub use key::{Key, KeyConfig, KeyError, SECRET_BYTES_MIN};
pub use token::{Claims, ROOM_ANY, Scope, TOKEN_BYTES_MAX, sign};
pub use verifier::{CLOCK_SKEW_SECONDS, Refusal, Verifier};

/// Whether tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Who brings no token is a viewer under the name he gives. For trying out, and behind a proxy
    /// that does the asking.
    #[default]
    Open,
    /// Nobody enters without a token.
    Token,
}

/// Who is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether tokens are asked for.
    pub mode: Mode,
    /// The keys that tokens may be signed with; at most 8. To change a key, add the new one, sign
    /// with it, and take the old one away when its last token has expired.
    pub keys: Vec<KeyConfig>,
}
