//! Fragmented MP4 with one track: the initialization segment, and the boxes before the media of a
//! fragment.
//!
//! Initializations are rare and go through `mp4-atom`. A fragment is written by hand: one is made
//! per part, and its media is the frames' own buffers, so only the boxes in front are new bytes.
//! Knows no playlist, no part and no broadcast; times are ticks of the track.
//! Spec: ISO/IEC 14496-12 (boxes), 14496-15 (H.264, HEVC), 23000-19 (CMAF), "Opus in ISOBMFF",
//! "AV1 in ISOBMFF".

mod fragment;
mod init;

pub use fragment::{Fragment, Reference, Sample};
pub use init::init;

/// The number of the only track.
pub const TRACK_ID: u32 = 1;

/// Why no initialization can be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The decoder configuration record is damaged.
    #[error("the configuration record of {name} ({bytes} bytes) cannot be read: {reason}")]
    Record {
        /// The codec's RFC 6381 name.
        name: String,
        /// The record's length.
        bytes: usize,
        /// What the box reader says.
        reason: mp4_atom::Error,
    },
    /// A number does not fit its box.
    #[error("the initialization of {name} cannot be written: {reason}")]
    Write {
        /// The codec's RFC 6381 name.
        name: String,
        /// What the box writer says.
        reason: mp4_atom::Error,
    },
}
