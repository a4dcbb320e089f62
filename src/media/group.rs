//! A group: one segment. Same number, same start, in every rendition and on every node.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Frame;

/// The number of a group in its track; also the media sequence number (MSN) of the segment.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Id(pub u64);

impl Id {
    /// The group after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a group when it opens. Travels at the head of the group's stream, so each group
/// can be read alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub id: Id,
    /// How many discontinuities lie before the start of this group (EXT-X-DISCONTINUITY-SEQUENCE
    /// counts them). A group whose number is one above that of the group before it begins with a
    /// discontinuity.
    pub discontinuities: u32,
    /// The number of the initialization in force, from 0 (`init-N.mp4`); a new one opens a new
    /// group.
    pub init_id: u32,
    /// The initialization itself: `codec::Config` encoded (opaque to `live` and `relay`).
    pub init: Bytes,
    /// Wall-clock time of the first frame by the capture clock, in microseconds since 1970
    /// (PROGRAM-DATE-TIME).
    pub wall_us: i64,
    /// Decode time of the first frame, in ticks of the track.
    pub dts: i64,
    /// True when the first frame can be decoded without any earlier one.
    pub independent: bool,
}

/// A whole group, as `live` hands it out once it is complete and as a fetch of an older group
/// returns it.
#[derive(Debug, Clone)]
pub struct Group {
    /// What was known when it opened.
    pub head: Arc<Head>,
    /// Its frames in decode order.
    pub frames: Vec<Arc<Frame>>,
}

impl Group {
    /// The payload bytes of all its frames.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.frames.iter().map(|frame| frame.payload.len()).sum()
    }
}
