//! What can go wrong on the relay.

use crate::relay::wire::{self, VERSION, VERSION_MIN};

/// Why a relay end cannot start, or why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error(transparent)]
    Bind(#[from] crate::net::Error),
    /// The certificates do not make a TLS configuration.
    #[error("the relay certificates are no use: {0}")]
    Tls(String),
    /// A parent's name has no address.
    #[error("parent {0} has no address")]
    NoAddress(String),
    /// The peer closed, vanished or did not answer.
    #[error("the peer is gone: {0}")]
    PeerGone(String),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Failed(String),
    /// The peer gave up a stream, with this code.
    #[error("the peer gave up a stream (code {0})")]
    StreamDropped(u64),
    /// The peer was silent for too long.
    #[error("no {0} within {1} s")]
    Timeout(&'static str, u64),
    /// The peer's bytes are no `rushlane/1`.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// The peer said something that it may not say, or not now.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    /// The peer speaks none of our versions, but those from the first to the second.
    #[error(
        "the peer speaks versions {0} to {1} of the relay protocol, this node {VERSION_MIN} to \
         {VERSION}"
    )]
    Version(u64, u64),
    /// The parent list leads back to this node.
    #[error("the parent is this node itself ({0})")]
    OwnParent(std::sync::Arc<str>),
}

impl Error {
    /// True for a hang-up, which is no fault of anybody here.
    #[must_use]
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::PeerGone(_))
    }

    /// What the peer is told when the link is closed for this.
    pub(super) fn close_code(&self) -> quinn::VarInt {
        match self {
            Self::Wire(_) | Self::Protocol(_) => CLOSE_PROTOCOL,
            Self::Version(..) | Self::OwnParent(_) => CLOSE_REFUSED,
            _ => CLOSE_DONE,
        }
    }
}

impl From<quinn::ConnectionError> for Error {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as Cause;
        match error {
            Cause::ApplicationClosed(_)
            | Cause::ConnectionClosed(_)
            | Cause::Reset
            | Cause::TimedOut
            | Cause::LocallyClosed => Self::PeerGone(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<quinn::WriteError> for Error {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::ConnectionLost(cause) => cause.into(),
            quinn::WriteError::Stopped(code) => Self::StreamDropped(code.into_inner()),
            _ => Self::PeerGone(error.to_string()),
        }
    }
}

impl From<quinn::ReadError> for Error {
    fn from(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::ConnectionLost(cause) => cause.into(),
            quinn::ReadError::Reset(code) => Self::StreamDropped(code.into_inner()),
            _ => Self::PeerGone(error.to_string()),
        }
    }
}

/// The link is closed in order: the node drains or goes down.
pub(super) const CLOSE_DONE: quinn::VarInt = quinn::VarInt::from_u32(0);
/// The peer broke the protocol.
pub(super) const CLOSE_PROTOCOL: quinn::VarInt = quinn::VarInt::from_u32(1);
/// The peer is not wanted here: another version, or this node itself.
pub(super) const CLOSE_REFUSED: quinn::VarInt = quinn::VarInt::from_u32(2);

/// The peer does not read what it is sent.
pub(super) const CLOSE_STUCK: quinn::VarInt = quinn::VarInt::from_u32(3);

/// The stream's rest will not come: it is late, or the group left the window.
pub(super) const STREAM_DROPPED: quinn::VarInt = quinn::VarInt::from_u32(1);
/// The receiver does not want the stream.
pub(super) const STREAM_UNWANTED: quinn::VarInt = quinn::VarInt::from_u32(2);
/// The group that was to be fetched is nowhere.
pub(super) const FETCH_NOT_FOUND: quinn::VarInt = quinn::VarInt::from_u32(3);
/// The way to the group is broken just now.
pub(super) const FETCH_UNREACHABLE: quinn::VarInt = quinn::VarInt::from_u32(4);
