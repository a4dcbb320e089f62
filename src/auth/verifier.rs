//! From a token to what its bearer may do.

use aws_lc_rs::rand;

use crate::auth::key::{Key, KeyError};
use crate::auth::token::{Claims, ROOM_ANY, Scope, Unproven};
use crate::auth::{Config, Mode};
use crate::protocol::interact::{Member, MemberFault, Role};

/// How far the signer's clock may be behind ours, in seconds (R4.5).
pub const CLOCK_SKEW_SECONDS: i64 = 30;

/// Live keys; two are needed to change one.
pub(super) const KEYS_MAX: usize = 8;

/// Verifies tokens.
#[derive(Debug)]
pub struct Verifier {
    mode: Mode,
    keys: Vec<Key>,
}

/// Why somebody is not let in. The text may be shown to him; it repeats nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, and one is needed.
    #[error("a token is needed")]
    Missing,
    /// The text is no token.
    #[error("this is no token of ours")]
    Malformed,
    /// Signed by a key that is not, or no longer, ours.
    #[error("the token is signed by an unknown key")]
    UnknownKey,
    /// The claims are not those that were signed.
    #[error("the token's signature does not match")]
    Signature,
    /// Too old.
    #[error("the token has expired")]
    Expired,
    /// Good elsewhere.
    #[error("the token is for another room")]
    OtherRoom,
    /// Good for something else.
    #[error("the token is for another purpose")]
    Scope,
    /// Who he says he is cannot be shown to others.
    #[error(transparent)]
    Member(#[from] MemberFault),
}

impl Refusal {
    /// The HTTP status: 401 without a token, 403 with one that is not good, 400 for a bad name.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing => 401,
            Self::Member(_) => 400,
            _ => 403,
        }
    }

    /// A short word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "no_token",
            Self::Malformed | Self::UnknownKey | Self::Signature => "bad_token",
            Self::Expired => "expired_token",
            Self::OtherRoom | Self::Scope => "other_token",
            Self::Member(_) => "bad_name",
        }
    }
}

impl Verifier {
    /// Reads the keys. Errors when one cannot be used, or when tokens are needed and there is none.
    pub fn new(config: &Config) -> Result<Self, KeyError> {
        if config.keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany(config.keys.len()));
        }
        let mut keys: Vec<Key> = Vec::with_capacity(config.keys.len());
        for written in &config.keys {
            let key = Key::open(written)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeyError::Twice(key.id));
            }
            keys.push(key);
        }
        if keys.is_empty() && config.mode == Mode::Token {
            return Err(KeyError::None);
        }
        Ok(Self {
            mode: config.mode,
            keys,
        })
    }

    /// Whether tokens are asked for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What `token` claims, when it is good for `scope` in `room` at `now_s` (seconds since 1970).
    pub fn verify(
        &self,
        token: &str,
        room: &str,
        scope: Scope,
        now_s: i64,
    ) -> Result<Claims, Refusal> {
        let token = Unproven::read(token).ok_or(Refusal::Malformed)?;
        let key = self.keys.iter().find(|key| key.id == token.kid());
        let claims = token
            .proven_by(key.ok_or(Refusal::UnknownKey)?)
            .ok_or(Refusal::Signature)?;
        if claims.exp_s.saturating_add(CLOCK_SKEW_SECONDS) < now_s {
            return Err(Refusal::Expired);
        }
        if *claims.room != *ROOM_ANY && *claims.room != *room {
            return Err(Refusal::OtherRoom);
        }
        if claims.scope != scope {
            return Err(Refusal::Scope);
        }
        Ok(claims)
    }

    /// Who enters `room`. A token decides who he is; without one, in open mode, he is a viewer by
    /// the id and name that his query gives, or one that is made up here.
    pub fn member(
        &self,
        token: Option<&str>,
        query_user: Option<&str>,
        query_name: Option<&str>,
        room: &str,
        now_s: i64,
    ) -> Result<Member, Refusal> {
        if let Some(token) = token {
            let claims = self.verify(token, room, Scope::Interact, now_s)?;
            let id = match &*claims.sub {
                "" => anonymous(),
                sub => sub.to_owned(),
            };
            return Ok(Member::new(&id, &claims.name, claims.role)?);
        }
        if self.mode == Mode::Token {
            return Err(Refusal::Missing);
        }
        let id = query_user.map_or_else(anonymous, str::to_owned);
        Ok(Member::new(
            &id,
            query_name.unwrap_or_default(),
            Role::Viewer,
        )?)
    }

    /// True when `mark` is a token of a load test: such orders never reach the merchant.
    #[must_use]
    pub fn is_load(&self, mark: Option<&str>, room: &str, now_s: i64) -> bool {
        mark.is_some_and(|mark| self.verify(mark, room, Scope::Load, now_s).is_ok())
    }
}

/// An id that nobody else has.
fn anonymous() -> String {
    let mut random = [0_u8; 8];
    rand::fill(&mut random).expect("the system gives random bytes");
    format!("anon-{:016x}", u64::from_be_bytes(random))
}

#[cfg(test)]
#[path = "verifier_test.rs"]
mod tests;
