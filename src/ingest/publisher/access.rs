//! An access unit on its way from the encoder into its track, and what becomes of it.

use bytes::Bytes;

use crate::ingest::publisher::Error;
use crate::media::frame::FRAME_BYTES_MAX;

/// One access unit as an encoder sends it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) stamp: u32,
    pub(super) composition_ms: i32,
    pub(super) key: bool,
    pub(super) payload: Bytes,
}

impl Unit {
    /// Refuses what no frame may be.
    pub(super) fn check_size(&self) -> Result<(), Error> {
        match self.payload.len() {
            bytes if bytes > FRAME_BYTES_MAX => Err(Error::FrameTooLarge { bytes }),
            _ => Ok(()),
        }
    }
}

/// One access unit, in broadcast time.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) ms: i64,
    pub(super) composition_ms: i32,
    pub(super) key: bool,
    pub(super) payload: Bytes,
}

/// What became of an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Appended,
    /// Appended after the audio clock was put back onto the stamps.
    Resynced,
    Dropped(Loss),
    /// The encoder's clock stood still in a gap: move it ahead and hand the unit in again.
    Behind {
        by_ms: i64,
    },
}

/// Why an access unit is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Loss {
    /// Nothing could decode it before the next key frame, or audio before the first picture.
    Waiting,
    /// Its time has passed.
    Late,
    /// No configuration came before it.
    Unconfigured,
    /// The room's audio comes from another encoder.
    OtherAudio,
}
