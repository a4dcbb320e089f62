//! Who may play, publish, speak and operate where.
//!
//! The [`Gate`] turns what a request or a stream key carries into a [`Pass`] or a [`Refusal`]. The
//! native token is `base64url(claims as JSON).base64url(HMAC-SHA256)`; tenants may bring JWTs or
//! the signed URLs of other vendors. Every node that holds the keys verifies alone, without asking
//! anybody; what must be taken back before it expires is on the [`DenyList`], which travels down
//! the relay.
//!
//! Deliberately knows no socket, no version of HTTP, no relay and no list of users: texts, an
//! address and the time come in.
//!
//! Invariants:
//! - Nothing of a token is believed before its signature is verified, in constant time.
//! - Neither tokens nor secrets appear in logs, errors or `Debug`.
//! - A token is bounded before it is parsed, and cannot panic.
//! - Every path that is no page is closed, whether or not something answers it.
//!
//! Spec: INTERFACE "Play" and "Publish", DOMAIN 4.2, R4.5 to R4.7; docs/TOKENS.md.

mod asking;
mod carried;
mod deny;
mod gate;
mod key;
mod keyring;
mod metrics;
mod pass;
mod refusal;
mod running;
mod scheme;
mod tenant;
mod token;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use asking::{Arrival, Bare, Grant, Push, Visit};
pub use deny::{DenyList, Done, Entry, Fault, Wanted};
pub use gate::{Gate, Keys, faults};
pub use key::{Key, KeyConfig, KeyError, SECRET_BYTES_MIN};
pub use keyring::{CLOCK_SKEW_SECONDS, Error, TenantFault};
pub use pass::Pass;
pub use refusal::Refusal;
pub use scheme::JwksError;
pub use tenant::{SchemeName, TenantConfig, Timestamp};
pub use token::{Claims, ROOM_ANY, Scope, TOKEN_BYTES_MAX, sign};

/// Whether tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everybody may watch and publish, and who brings no token is a viewer under the id and name
    /// that he gives, whoever he is. For trying out, and behind a proxy that does the asking.
    #[default]
    Open,
    /// Nobody enters without a token.
    Token,
}

/// What becomes of somebody whose token expires while he watches, speaks or publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtExpiry {
    /// He goes on: a token says until when something may begin (R4.6).
    #[default]
    Finish,
    /// He is sent away: a token says until when something may last.
    End,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether tokens are asked for.
    pub mode: Mode,
    /// The keys that native tokens of all rooms may be signed with; at most 8. To change a key, add
    /// the new one, sign with it, and take the old one away when its last token has expired.
    pub keys: Vec<KeyConfig>,
    /// Rooms whose tokens are signed by others, or in other ways; at most 100.
    pub tenants: Vec<TenantConfig>,
    /// How long a player may go on that came with a signed URL, in seconds. Such a URL is good for
    /// one path; its player goes on with a token that this node signs. 21600: the six hours of a
    /// long show (R4.6).
    pub session_seconds: u32,
    /// What becomes of a session whose token expires while it runs.
    pub at_expiry: AtExpiry,
    /// Where an origin keeps its deny list; by default beside its other data.
    pub deny_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            keys: Vec::new(),
            tenants: Vec::new(),
            session_seconds: 6 * 3600,
            at_expiry: AtExpiry::default(),
            deny_file: None,
        }
    }
}

impl Config {
    /// Every file that keys are read from.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let of_tenants = self.tenants.iter().flat_map(|tenant| &tenant.keys);
        let keys = self.keys.iter().chain(of_tenants);
        let sets = self.tenants.iter().filter_map(|tenant| tenant.jwks.clone());
        keys.filter_map(|key| key.file.clone())
            .chain(sets)
            .collect()
    }
}
