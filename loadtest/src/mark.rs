//! The tokens of the load: what lets it in, and the mark that keeps its orders from the merchant.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use rushlane::auth::{self, Claims, Key, ROOM_ANY, Scope};
use rushlane::protocol::interact::Role;
use rushlane::runtime::clock;

/// How long tokens live, in seconds: the longest run and an hour.
const TTL_SECONDS: i64 = 86_400 + 3600;

/// Signs what the load carries; without a key it carries nothing.
#[derive(Clone, Default)]
pub struct Signer(Option<Arc<Key>>);

impl Signer {
    /// Reads the key at `path`. Errors: it is no key.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let key = path.map(Key::load).transpose()?;
        Ok(Self(key.map(Arc::new)))
    }

    /// What tells two keys apart and nothing of them; `None` without a key.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        let claims = claims(Scope::Load, ROOM_ANY, "fingerprint", 0);
        let signed = auth::sign(self.0.as_ref()?, &claims);
        let digest = digest::digest(&digest::SHA256, signed.as_bytes());
        let half = digest.as_ref().iter().take(16);
        Some(half.map(|byte| format!("{byte:02x}")).collect())
    }

    /// `?token=...` for one purpose; empty without a key.
    #[must_use]
    pub fn query(&self, scope: Scope, room: &str) -> String {
        let token = self.token(scope, room, "");
        token.map_or_else(String::new, |token| format!("?token={token}"))
    }

    /// `/t/TOKEN`, before a path; empty without a key.
    #[must_use]
    pub fn prefix(&self, scope: Scope, room: &str) -> String {
        let token = self.token(scope, room, "");
        token.map_or_else(String::new, |token| format!("/t/{token}"))
    }

    /// Who `user` is, as a query: by a token, or in an open house by his word.
    #[must_use]
    pub fn member(&self, room: &str, user: &str) -> String {
        match self.token(Scope::Interact, room, user) {
            Some(token) => format!("?token={token}"),
            None => format!("?user={user}"),
        }
    }

    /// The mark of a load test, for all rooms.
    #[must_use]
    pub fn mark(&self) -> Option<String> {
        self.token(Scope::Load, ROOM_ANY, "")
    }

    /// A word for the admin API.
    #[must_use]
    pub fn admin(&self) -> Option<String> {
        self.token(Scope::Admin, ROOM_ANY, "")
    }

    fn token(&self, scope: Scope, room: &str, sub: &str) -> Option<String> {
        let claims = claims(scope, room, sub, clock::unix_us() / 1_000_000 + TTL_SECONDS);
        self.0.as_ref().map(|key| auth::sign(key, &claims))
    }
}

fn claims(scope: Scope, room: &str, sub: &str, exp_s: i64) -> Claims {
    Claims {
        kid: "".into(),
        scope,
        room: room.into(),
        sub: sub.into(),
        name: "".into(),
        role: Role::Buyer,
        nbf_s: 0,
        exp_s,
        jti: "".into(),
        ip: None,
    }
}
