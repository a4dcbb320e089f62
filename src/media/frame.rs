//! A frame: one access unit, as it is stored, relayed and packaged.

use bytes::Bytes;
use smallvec::SmallVec;

/// The largest frame anybody accepts, in bytes: a 4K key frame at the highest rate is below 4 MB.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most relay hops a frame records; deeper trees keep the first hops.
pub const HOPS_MAX: usize = 8;

/// One access unit of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Decode time in ticks of the track, from an origin of the broadcast's choosing that all its
    /// tracks share; strictly increasing inside a track, over discontinuities too. Never negative.
    pub dts: i64,
    /// Presentation time minus decode time, in ticks.
    pub composition: i32,
    /// How long the frame lasts by the origin's word, in ticks (the frame rate it has learnt, or
    /// the codec's own).
    pub duration: u32,
    /// Cut marks and kind.
    pub flags: Flags,
    /// Where the frame was, and when.
    pub stamps: Stamps,
    /// The access unit as MP4 stores it: length-prefixed NAL units (H.264, HEVC), a temporal unit
    /// without its delimiter (AV1), a raw AAC frame or an Opus packet. Empty when [`Flags::GAP`] is
    /// set.
    pub payload: Bytes,
}

/// What the origin decided about a frame: a set of bits, the same on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Decodable without earlier frames (every audio frame; an IDR or its like in video).
    pub const KEY: Self = Self(1);
    /// The last frame of its part. The last frame of a group carries it too when the origin knew; a
    /// group's end also ends the part.
    pub const PART_END: Self = Self(1 << 1);
    /// No media: the host is silent for `duration` from `dts` (R1.14). A part of its own; it ends
    /// the part before it.
    pub const GAP: Self = Self(1 << 2);

    /// Both sets of marks.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when every mark of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// When the frame passed which point, in microseconds since 1970 by the clock named; 0 = not known
/// (D9, R11.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamps {
    /// Captured at the host, by the origin's clock or the host's own when it sends one.
    pub capture_us: i64,
    /// Arrived complete at the origin, by the origin's clock.
    pub ingest_us: i64,
    /// One entry per relay hop, first hop first; at most [`HOPS_MAX`].
    pub hops: SmallVec<[Hop; 1]>,
}

/// One relay hop of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hop {
    /// Handed to the connection by the parent, by the parent's clock.
    pub sent_us: i64,
    /// Read whole by the child, by the child's clock.
    pub received_us: i64,
    /// Child's clock minus parent's clock as the link estimated it, in microseconds.
    pub offset_us: i32,
}

impl Frame {
    /// True for a frame that starts a decoder.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.flags.contains(Flags::KEY)
    }

    /// True for a stretch without media.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        self.flags.contains(Flags::GAP)
    }

    /// True when a part ends with this frame.
    #[must_use]
    pub fn ends_part(&self) -> bool {
        self.flags.contains(Flags::PART_END)
    }

    /// Decode time at which the frame is over, in ticks.
    #[must_use]
    pub fn end_dts(&self) -> i64 {
        self.dts.saturating_add(i64::from(self.duration))
    }
}
