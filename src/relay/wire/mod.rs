//! The bytes of `rushlane/1`: control messages, group streams, questions and answers.
//!
//! Pure: bytes in, values out. Knows no QUIC, no tokio and no clock. Invariant: no input panics or
//! makes a buffer larger than the limits named here.
//! Spec: docs/RELAY.md.
#![deny(clippy::disallowed_types)] // pure

pub mod control;
pub mod question;
pub mod stream;

use crate::coding::Truncated;

/// The highest version of the protocol spoken here, as [`control::Hello`] says it. 2 knows
/// goodbyes, reports, policies, probes, terms and paths.
pub const VERSION: u64 = 2;

/// The lowest version spoken here: a fleet is upgraded node by node.
pub const VERSION_MIN: u64 = 1;

/// The ALPN name; it stays as long as versions can meet.
pub const ALPN: &[u8] = b"rushlane/1";

/// Why bytes are no `rushlane/1`. All of them end the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message or a header ends inside a field.
    #[error("a {0} ends inside a field")]
    Truncated(&'static str),
    /// A length above its limit.
    #[error("a {what} of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How long it says it is.
        bytes: u64,
        /// The most that is accepted.
        limit: usize,
    },
    /// A field holds what it cannot hold.
    #[error("a {0} is out of its range")]
    BadField(&'static str),
}

impl Error {
    fn truncated(what: &'static str) -> impl Fn(Truncated) -> Self {
        move |Truncated| Self::Truncated(what)
    }
}
