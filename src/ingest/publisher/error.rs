//! Why a publisher is turned away, has to go, or is not understood. All texts are shown to the
//! encoder.

use std::sync::Arc;

use crate::live;
use crate::media::RoomName;
use crate::media::codec::ParseError;
use crate::media::frame::FRAME_BYTES_MAX;
use crate::media::track::TRACK_NAME_BYTES_MAX;

/// Why a publisher is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody publishes it already.
    #[error("room {room} is being published to from another encoder; stop that one first")]
    Busy {
        /// The room.
        room: RoomName,
    },
    /// The fleet's registry says that another node has the room.
    #[error("room {room} is published at {owner}: publish there, or stop it there first")]
    Owned {
        /// The room.
        room: RoomName,
        /// The node that has it.
        owner: Arc<str>,
    },
    /// An operator has cut the room and closed it for a while.
    #[error("room {room} was cut by an operator and is closed for another {seconds} s")]
    Closed {
        /// The room.
        room: RoomName,
        /// How long it stays closed, in seconds.
        seconds: u64,
    },
    /// The rendition's name cannot be used in URLs.
    #[error("the rendition name {0:?} is not 1 to {TRACK_NAME_BYTES_MAX} of a-z A-Z 0-9 _ -")]
    BadRendition(String),
    /// [`super::Config::renditions_max`] renditions exist.
    #[error("room {room} has its limit of {renditions_max} renditions")]
    TooManyRenditions {
        /// The room.
        room: RoomName,
        /// The limit.
        renditions_max: usize,
    },
    /// The store has no place for it.
    #[error("{0}")]
    Live(#[from] live::Error),
    /// The node is stopping.
    #[error("this server is stopping; try again in a few seconds")]
    Stopping,
}

/// Why a publisher has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// Another encoder has taken its place.
    #[error("another encoder has taken over this room")]
    TakenOver,
    /// The broadcast was cut by an operator.
    #[error("the broadcast was cut by an operator")]
    Cut,
    /// The broadcast is over.
    #[error("the broadcast is over")]
    Ended,
    /// It was silent for [`super::Config::end_after_silence_seconds`].
    #[error("the encoder was silent for too long")]
    Silent,
    /// The node is stopping.
    #[error("this server is stopping")]
    Stopping,
}

/// Why an access unit or a record is not taken: close the connection with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The codec's record cannot be read.
    #[error(transparent)]
    Record(#[from] ParseError),
    /// This publisher has to go.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// The store refuses a track.
    #[error(transparent)]
    Live(#[from] live::Error),
    /// Above [`FRAME_BYTES_MAX`].
    #[error("a frame of {bytes} bytes is above the limit of {FRAME_BYTES_MAX}")]
    FrameTooLarge {
        /// Its bytes.
        bytes: usize,
    },
}
