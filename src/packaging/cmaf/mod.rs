//! CMAF media: parts (one `moof` and `mdat` each) and the segments that are made of them.
//!
//! Knows no playlist and no window. Spec: ISO/IEC 23000-19; DOMAIN section 1.

mod segmenter;

use std::sync::Arc;

pub use segmenter::Segmenter;

use crate::coding::Chunks;
use crate::media::Group;
use crate::media::group::{Head, Id};
use crate::media::track::Info;

/// The most frames in a part; a part is cut there. The origin's parts are below 100 frames.
pub const PART_FRAMES_MAX: usize = 1024;
/// The most payload bytes in a part; a part is cut there. Above any real one, below the 32-bit size
/// of `mdat`.
pub const PART_BYTES_MAX: usize = 64 << 20;
/// The most parts in a segment; later frames of the group are left out. The origin's segments have
/// below 20 parts.
pub const PARTS_MAX: usize = 512;

/// A piece of a segment that can be fetched alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The segment it belongs to.
    pub msn: Id,
    /// Its number in the segment, from 0.
    pub index: u32,
    /// Decode time of the first frame, in ticks.
    pub dts: i64,
    /// From the first frame's decode time to the last frame's end, in ticks.
    pub duration_ticks: u64,
    /// Holds a key frame (INDEPENDENT=YES).
    pub independent: bool,
    /// Holds no media: the host was silent (GAP=YES). `bytes` is empty.
    pub gap: bool,
    /// `Stamps::capture_us` of the first frame; 0 = not known.
    pub capture_us: i64,
    /// `Stamps::ingest_us` of the first frame; 0 = not known.
    pub ingest_us: i64,
    /// What is served: boxes, then the frames' own payloads.
    pub bytes: Chunks,
}

/// A segment: complete, or the one being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Number, start, discontinuities and initialization, as the origin gave them.
    pub head: Arc<Head>,
    /// Its complete parts in order. A timeline forgets them when nobody may ask for them any more.
    pub parts: Vec<Part>,
    /// How long its parts last together, in ticks.
    pub duration_ticks: u64,
    /// Some of its media is not there (EXT-X-GAP): the host was silent, or frames were lost here.
    pub gap: bool,
    /// No part will follow.
    pub complete: bool,
    /// What is served once complete: the bytes of all parts. Empty when nothing is there.
    pub bytes: Chunks,
}

impl Segment {
    /// Its media sequence number.
    #[must_use]
    pub fn msn(&self) -> Id {
        self.head.id
    }

    fn open(head: Arc<Head>) -> Self {
        Self {
            head,
            parts: Vec::new(),
            duration_ticks: 0,
            gap: false,
            complete: false,
            bytes: Chunks::default(),
        }
    }

    /// A segment without media, to stand for a group that was lost.
    #[must_use]
    pub(super) fn missing(head: Arc<Head>, duration_ticks: u64) -> Self {
        Self {
            duration_ticks,
            gap: true,
            complete: true,
            ..Self::open(head)
        }
    }

    fn add(&mut self, part: Part) {
        self.duration_ticks = self.duration_ticks.saturating_add(part.duration_ticks);
        self.gap |= part.gap;
        self.parts.push(part);
    }

    fn finish(&mut self) {
        self.complete = true;
        self.bytes = Chunks::concat(self.parts.iter().map(|part| &part.bytes));
    }
}

/// Packages a whole group, as a fetch of an older one returns it: the same bytes that the live
/// timeline made. `None` when the group has no frames.
#[must_use]
pub fn segment(info: &Info, group: &Group) -> Option<Segment> {
    let mut segmenter = Segmenter::new(info);
    segmenter.open_group(&group.head);
    for frame in &group.frames {
        segmenter.push(frame);
    }
    segmenter.close_group()
}
