//! What somebody who was let in goes on with.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::auth::deny::Suspect;
use crate::auth::token::Claims;
use crate::auth::{DenyList, Refusal};

/// The marks of somebody who was let in. A session that runs on holds it, and ends once it is
/// withdrawn. Clones share it.
#[derive(Debug, Clone)]
pub struct Pass(Arc<Held>);

#[derive(Debug)]
struct Held {
    denied: DenyList,
    kid: Arc<str>,
    token: Arc<str>,
    sub: Arc<str>,
    room: Box<str>,
    address: IpAddr,
}

impl Pass {
    pub(super) fn new(
        denied: &DenyList,
        claims: Option<&Claims>,
        sub: &Arc<str>,
        room: &str,
        address: IpAddr,
    ) -> Self {
        let of_claims = |field: fn(&Claims) -> &Arc<str>| claims.map(field).cloned();
        Self(Arc::new(Held {
            denied: denied.clone(),
            kid: of_claims(|claims| &claims.kid).unwrap_or_default(),
            token: of_claims(|claims| &claims.jti).unwrap_or_default(),
            sub: sub.clone(),
            room: room.into(),
            address,
        }))
    }

    /// A pass that nobody will withdraw.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Self {
        let address = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        Self::new(&DenyList::default(), None, &Arc::default(), "", address)
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
        &self.0.kid
    }

    /// The user; empty when nobody says who it is.
    #[must_use]
    pub fn sub(&self) -> &str {
        &self.0.sub
    }

    /// True once the deny list names its holder.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        let held = &self.0;
        held.denied.denies(&Suspect {
            token: &held.token,
            sub: &held.sub,
            room: &held.room,
            address: held.address,
        })
    }

    /// Changes whenever [`Self::is_withdrawn`] may.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Bytes> {
        self.0.denied.policy()
    }

    /// Waits until it is withdrawn. Cancel-safe.
    pub async fn withdrawn(&self) {
        let mut changes = self.changes();
        while !self.is_withdrawn() {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
