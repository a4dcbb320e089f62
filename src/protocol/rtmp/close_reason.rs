//! Why a session ends.

use std::time::Duration;

use crate::coding::amf0;
use crate::protocol::rtmp::meter::{COMMANDS_BURST, COMMANDS_PER_SECOND};
use crate::protocol::rtmp::{ChunkError, StreamKeyError};

/// Why a session is over; for logs, and for the driver that closes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CloseReason {
    /// The first byte is not that of RTMP.
    #[error("the first byte is {version:#04x}, and not that of RTMP (3)")]
    Version {
        /// That byte: 0x16 is TLS on the plain port, 6 is RTMPE.
        version: u8,
    },
    /// [`crate::protocol::rtmp::Limits::handshake`] has passed.
    #[error("no handshake within {} s", .0.as_secs())]
    HandshakeTimeout(Duration),
    /// [`crate::protocol::rtmp::Limits::opening`] has passed.
    #[error("nothing published within {} s", .0.as_secs())]
    OpeningTimeout(Duration),
    /// [`crate::protocol::rtmp::Limits::idle`] has passed.
    #[error("not a byte for {} s", .0.as_secs())]
    Idle(Duration),
    /// [`crate::protocol::rtmp::Limits::message`] has passed.
    #[error("a message took longer than {} s", .0.as_secs())]
    MessageTimeout(Duration),
    /// The chunk stream is damaged, or beyond its bounds.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A command is damaged.
    #[error("a command: {0}")]
    Command(#[from] amf0::Error),
    /// A control message is shorter than its fields.
    #[error("a control message of type {kind} has {bytes} bytes")]
    Control {
        /// Message type.
        kind: u8,
        /// Its length.
        bytes: usize,
    },
    /// More commands than the allowance.
    #[error("more than {COMMANDS_BURST} commands and {COMMANDS_PER_SECOND} per second")]
    TooManyCommands,
    /// The stream key cannot be used.
    #[error("refused: {0}")]
    StreamKey(#[from] StreamKeyError),
    /// The driver refused the publisher.
    #[error("refused: {0}")]
    Refused(String),
    /// It wanted to play.
    #[error("refused: it wants to play, and this port only takes publishers")]
    Play,
    /// A command out of its order.
    #[error("{0} comes out of order")]
    OutOfOrder(&'static str),
    /// The driver ended the session.
    #[error("ended: {0}")]
    Ended(String),
}

impl CloseReason {
    /// One word for metrics, out of a closed set.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::HandshakeTimeout(_) => "handshake_timeout",
            Self::OpeningTimeout(_) => "opening_timeout",
            Self::Idle(_) => "idle",
            Self::MessageTimeout(_) => "message_timeout",
            Self::Chunk(_) => "chunk",
            Self::Command(_) | Self::Control { .. } | Self::OutOfOrder(_) => "command",
            Self::TooManyCommands => "too_many_commands",
            Self::StreamKey(_) | Self::Refused(_) | Self::Play => "refused",
            Self::Ended(_) => "ended",
        }
    }

    /// True when a publisher broke the protocol or a bound; false when it was turned away or
    /// ended, and for strangers that never spoke RTMP.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        let no_fault = ["version", "handshake_timeout", "refused", "ended"];
        !no_fault.contains(&self.label())
    }
}
