//! Why a node cannot run.

use crate::node::config;
use crate::{admin, auth, hooks, ingest, ledger, net, registry, relay, rooms};

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration has faults.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// A listener or certificate of the HTTP front.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// The relay's listener.
    #[error(transparent)]
    Relay(#[from] relay::Error),
    /// The fleet's registry.
    #[error("registry: {0}")]
    Registry(#[from] registry::Error),
    /// The RTMP listener.
    #[error(transparent)]
    Rtmp(#[from] ingest::rtmp::Error),
    /// The callbacks.
    #[error("hooks: {0}")]
    Hooks(#[from] hooks::Error),
    /// The keys of tokens.
    #[error("auth.{key}: {0}", key = .0.key())]
    Auth(#[from] auth::Error),
    /// The list of words or the reviewer.
    #[error("moderation: {0}")]
    Moderation(#[from] rooms::moderation::Error),
    /// Where orders are kept.
    #[error("ledger: {0}")]
    Ledger(#[from] ledger::Error),
    /// Threads, signals or the data folder.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

impl Error {
    /// True for faults that the user mends by configuration: exit code 2.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::System(..))
    }
}
