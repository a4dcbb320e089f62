//! Frames in, parts and segments out.

use std::sync::Arc;

use crate::coding::Chunks;
use crate::container::mp4::{Fragment, Reference, Sample};
use crate::media::Frame;
use crate::media::group::Head;
use crate::media::rescale;
use crate::media::track::Info;
use crate::packaging::cmaf::{PART_BYTES_MAX, PART_FRAMES_MAX, PARTS_MAX, Part, Segment};

/// Fragment numbers (`mfhd`) grow with the segment's number, so that every node gives a part the
/// same one; the parts of a segment are below this.
const FRAGMENTS_PER_SEGMENT: u64 = 1024;

/// Builds the segments of one track from what a `live::track::Reader` yields.
///
/// Cuts where the frames' marks say. A stretch without media ([`Frame::is_gap`]) is a part of its
/// own, and ends the part before it.
#[derive(Debug)]
pub struct Segmenter {
    timescale: u32,
    state: State,
    /// Frames were lost: the next group counts only when it is met from its first frame on.
    suspicious: bool,
}

#[derive(Debug)]
enum State {
    /// Between groups, or inside one that cannot be packaged.
    Idle,
    /// A group is open and has brought no frame yet.
    Announced(Arc<Head>),
    /// A segment is being built.
    Building(Building),
}

#[derive(Debug)]
struct Building {
    segment: Segment,
    /// The frames of the part being built.
    pending: Vec<Arc<Frame>>,
    pending_bytes: usize,
}

impl Segmenter {
    /// A segmenter before its first group.
    #[must_use]
    pub fn new(info: &Info) -> Self {
        Self {
            timescale: info.timescale,
            state: State::Idle,
            suspicious: false,
        }
    }

    /// A group begins. A segment still open is given up: call [`Self::close_group`] first.
    pub fn open_group(&mut self, head: &Arc<Head>) {
        self.state = State::Announced(head.clone());
    }

    /// The next frame of the group. Returns how many parts it completed: 0, 1, or 2 when a gap
    /// follows a part that was not full.
    pub fn push(&mut self, frame: &Arc<Frame>) -> usize {
        if let State::Announced(head) = &self.state {
            let head = head.clone();
            let whole = !std::mem::take(&mut self.suspicious) || frame.dts == head.dts;
            self.state = if whole {
                State::Building(Building::new(head))
            } else {
                State::Idle
            };
        }
        match &mut self.state {
            State::Building(building) => building.push(frame, self.timescale),
            State::Idle | State::Announced(_) => 0,
        }
    }

    /// The group is complete, and with it the last part. `None` when there is no segment.
    pub fn close_group(&mut self) -> Option<Segment> {
        let mut building = self.take_building()?;
        building.cut(self.timescale);
        building.segment.finish();
        Some(building.segment)
    }

    /// Frames were lost. Returns the segment that was being built, never to be complete.
    ///
    /// The next group is packaged when its first frame is there; a group entered in its middle
    /// would get parts under the numbers of others.
    pub fn skipped(&mut self) -> Option<Segment> {
        self.suspicious = true;
        Some(self.take_building()?.segment)
    }

    /// The segment being built, with its complete parts.
    #[must_use]
    pub fn open(&self) -> Option<&Segment> {
        match &self.state {
            State::Building(building) => Some(&building.segment),
            State::Idle | State::Announced(_) => None,
        }
    }

    fn take_building(&mut self) -> Option<Building> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Building(building) => Some(building),
            State::Idle | State::Announced(_) => None,
        }
    }
}

// === impl Building ===

impl Building {
    fn new(head: Arc<Head>) -> Self {
        Self {
            segment: Segment::open(head),
            pending: Vec::new(),
            pending_bytes: 0,
        }
    }

    fn push(&mut self, frame: &Arc<Frame>, timescale: u32) -> usize {
        let before = self.segment.parts.len();
        let bytes = self.pending_bytes + frame.payload.len();
        if frame.is_gap() || bytes > PART_BYTES_MAX || self.pending.len() == PART_FRAMES_MAX {
            self.cut(timescale);
        }
        if self.segment.parts.len() < PARTS_MAX {
            self.pending_bytes += frame.payload.len();
            self.pending.push(frame.clone());
            if frame.ends_part() || frame.is_gap() {
                self.cut(timescale);
            }
        }
        self.segment.parts.len() - before
    }

    /// Makes a part of the pending frames, if there are any.
    fn cut(&mut self, timescale: u32) {
        self.pending_bytes = 0;
        let frames = std::mem::take(&mut self.pending);
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return;
        };
        let gap = first.is_gap();
        let part = Part {
            msn: self.segment.head.id,
            index: u32::try_from(self.segment.parts.len()).expect("at most PARTS_MAX parts"),
            dts: first.dts,
            duration_ticks: u64::try_from(last.end_dts().saturating_sub(first.dts)).unwrap_or(0),
            independent: !gap && frames.iter().any(|frame| frame.is_key()),
            gap,
            capture_us: first.stamps.capture_us,
            ingest_us: first.stamps.ingest_us,
            bytes: if gap {
                Chunks::default()
            } else {
                self.fragment(&frames, timescale)
            },
        };
        self.segment.add(part);
    }

    fn fragment(&self, frames: &[Arc<Frame>], timescale: u32) -> Chunks {
        let head = &self.segment.head;
        let index = self.segment.parts.len();
        let first = &frames[0];
        let samples: Vec<Sample> = (frames.iter().enumerate())
            .map(|(position, frame)| sample(frame, frames.get(position + 1)))
            .collect();
        let number = (head.id.0)
            .wrapping_mul(FRAGMENTS_PER_SEGMENT)
            .wrapping_add(index as u64 + 1);
        // The origin's own stamp tells what really happened; without one, the group's clock does.
        let wall_us = match first.stamps.capture_us {
            0 => {
                let ahead_ticks = first.dts.saturating_sub(head.dts);
                let ahead_us = rescale(ahead_ticks, timescale, 1_000_000);
                head.wall_us.saturating_add(ahead_us)
            }
            captured => captured,
        };
        let pts = first.dts.saturating_add(i64::from(first.composition));
        let fragment = Fragment {
            sequence: (number & u64::from(u32::MAX)) as u32,
            dts: u64::try_from(first.dts).unwrap_or(0),
            starts_segment: index == 0,
            reference: Some(Reference {
                wall_us,
                pts: u64::try_from(pts).unwrap_or(0),
            }),
            samples: &samples,
        };
        let payloads = frames.iter().map(|frame| frame.payload.clone());
        Chunks::new(std::iter::once(fragment.header()).chain(payloads))
    }
}

/// Inside a part a sample lasts until the next one's decode time; the last one lasts as long as the
/// origin says, since the next is not here yet.
fn sample(frame: &Frame, next: Option<&Arc<Frame>>) -> Sample {
    let duration = match next {
        Some(next) => u32::try_from(next.dts.saturating_sub(frame.dts)).unwrap_or(frame.duration),
        None => frame.duration,
    };
    Sample {
        duration,
        size: u32::try_from(frame.payload.len()).expect("frames are below FRAME_BYTES_MAX"),
        key: frame.is_key(),
        composition: frame.composition,
    }
}

#[cfg(test)]
#[path = "segmenter_test.rs"]
mod tests;
