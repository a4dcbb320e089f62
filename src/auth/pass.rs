//! What somebody who was let in goes on with.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::auth::deny::Suspect;
use crate::auth::token::Claims;
use crate::auth::{DenyList, Refusal};
use crate::runtime::clock;

/// The marks of somebody who was let in. A session that runs on holds it, and ends once it is over.
/// Clones share it.
#[derive(Debug, Clone)]
pub struct Pass(Arc<Held>);

#[derive(Debug)]
struct Held {
    denied: DenyList,
    /// What a token said, where one was shown.
    kid: Option<Arc<str>>,
    token: Option<Arc<str>>,
    sub: Option<Arc<str>>,
    room: Box<str>,
    address: IpAddr,
    /// Until when it lasts, in seconds since 1970, where tokens end sessions.
    until_s: Option<i64>,
}

impl Pass {
    pub(super) fn new(
        denied: &DenyList,
        claims: Option<&Claims>,
        sub: Option<&Arc<str>>,
        room: &str,
        address: IpAddr,
        until_s: Option<i64>,
    ) -> Self {
        let of_claims = |field: fn(&Claims) -> &Arc<str>| claims.map(field).cloned();
        Self(Arc::new(Held {
            denied: denied.clone(),
            kid: of_claims(|claims| &claims.kid),
            token: of_claims(|claims| &claims.jti),
            sub: sub.cloned(),
            room: room.into(),
            address,
            until_s,
        }))
    }

    /// A pass that nobody will withdraw.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Self {
        let address = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        Self::new(&DenyList::default(), None, None, "", address, None)
    }

    /// The pass, unless the deny list names its holder.
    pub(super) fn checked(self) -> Result<Self, Refusal> {
        match self.is_withdrawn() {
            false => Ok(self),
            true => Err(Refusal::Withdrawn),
        }
    }

    /// The id of the key that proved it; empty when nothing was asked for.
    #[must_use]
    pub fn kid(&self) -> &str {
        text(&self.0.kid)
    }

    /// The user; empty when nobody says who it is.
    #[must_use]
    pub fn sub(&self) -> &str {
        text(&self.0.sub)
    }

    /// Why its session has to end; none while it may go on.
    #[must_use]
    pub fn over(&self) -> Option<Refusal> {
        let held = &self.0;
        if held.until_s.is_some_and(|until_s| until_s < now_s()) {
            return Some(Refusal::Expired);
        }
        self.is_withdrawn().then_some(Refusal::Withdrawn)
    }

    /// True when it is over some day by itself.
    #[must_use]
    pub fn expires(&self) -> bool {
        self.0.until_s.is_some()
    }

    /// Changes whenever [`Self::over`] may, but for the passing of time.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Bytes> {
        self.0.denied.policy()
    }

    /// Waits until it is over, and says why. Cancel-safe.
    pub async fn ended(&self) -> Refusal {
        let mut changes = self.changes();
        loop {
            if let Some(why) = self.over() {
                return why;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
                () = self.expired() => {}
            }
        }
    }

    async fn expired(&self) {
        let Some(until_s) = self.0.until_s else {
            return std::future::pending().await;
        };
        let left_s = until_s.saturating_sub(now_s()).saturating_add(1);
        tokio::time::sleep(Duration::from_secs(left_s.max(1).unsigned_abs())).await;
    }

    fn is_withdrawn(&self) -> bool {
        let held = &self.0;
        held.denied.denies(&Suspect {
            token: text(&held.token),
            sub: text(&held.sub),
            room: &held.room,
            address: held.address,
        })
    }
}

fn text(of: &Option<Arc<str>>) -> &str {
    of.as_deref().unwrap_or_default()
}

fn now_s() -> i64 {
    clock::unix_us() / 1_000_000
}
