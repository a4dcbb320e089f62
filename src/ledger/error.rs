//! What can go wrong with the ledger.

use crate::nats;

/// Why the ledger did not do it. Whether a write that failed was stored all the same is not known,
/// but for [`Error::Busy`]: ask again with the same key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store cannot be used just now; it is tried again.
    #[error("the ledger is down: {0}")]
    Down(String),
    /// Too many writes wait.
    #[error("{0} writes wait for the ledger")]
    Busy(usize),
    /// What is stored cannot be read.
    #[error("the ledger holds what it cannot read: {0}")]
    Corrupt(String),
    /// The configuration names no usable store.
    #[error("the ledger cannot be set up: {0}")]
    Setup(String),
}

impl From<nats::Error> for Error {
    fn from(error: nats::Error) -> Self {
        match error {
            nats::Error::Setup(text) => Self::Setup(text),
            nats::Error::Down => Self::Down(error.to_string()),
        }
    }
}
