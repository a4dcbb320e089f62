//! Where parts and groups end (R1.2, D5), decided as each frame arrives.

use crate::media::broadcast::Timing;
use crate::media::rescale;

/// How much longer than TARGETDURATION a group may be, in milliseconds: EXTINF has to round to the
/// target.
const GROUP_SLACK_MS: i64 = 490;

/// What the leader leaves of that to the tracks that follow, which end groups on their own grid.
const FOLLOWER_SLACK_MS: i64 = 90;

/// The longest that a group of any track may be, in ticks.
pub(super) fn group_max(timing: &Timing, timescale: u32) -> i64 {
    rescale(
        i64::from(timing.segment_ms) + GROUP_SLACK_MS,
        1000,
        timescale,
    )
}

/// The parts of one track.
#[derive(Debug)]
pub(super) struct Parts {
    /// PART-TARGET, in ticks.
    target: i64,
    /// Where the open part began.
    start: Option<i64>,
}

impl Parts {
    pub(super) fn new(timing: &Timing, timescale: u32) -> Self {
        // Rounded down: a part must not exceed the target, not even by a tick.
        let target = i64::from(timing.part_ms) * i64::from(timescale) / 1000;
        Self {
            target,
            start: None,
        }
    }

    /// PART-TARGET, in ticks.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// True when the next frame begins a part.
    pub(super) fn at_start(&self) -> bool {
        self.start.is_none()
    }

    /// When the open part has to be over.
    pub(super) fn end_max(&self) -> Option<i64> {
        self.start.map(|start| start + self.target)
    }

    /// Ends the open part, as a new group does.
    pub(super) fn restart(&mut self) {
        self.start = None;
    }

    /// Adds a frame; true when it is the last of its part, since one more like it would not fit.
    pub(super) fn add(&mut self, dts: i64, duration: i64) -> bool {
        let start = *self.start.get_or_insert(dts);
        let full = dts + 2 * duration > start + self.target;
        if full {
            self.start = None;
        }
        full
    }
}

/// The groups of the track that leads.
#[derive(Debug)]
pub(super) struct Cutter {
    /// The segment aimed at, in ticks.
    target: i64,
    max: i64,
    start: i64,
    last_key: Option<i64>,
    /// The last two key frames were further apart than a group may be long: groups are cut at the
    /// target.
    keys_too_far: bool,
    warned: bool,
}

/// Why a new group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// A key frame came after long enough.
    Key,
    /// No key frame came in time; the first time that this happens is marked.
    TooLong { first: bool },
}

impl Cutter {
    /// A cutter for a leader of `timescale` whose group begins at `start`.
    pub(super) fn new(timing: &Timing, timescale: u32, start: i64) -> Self {
        let ticks = |ms: i64| rescale(ms, 1000, timescale);
        Self {
            target: ticks(timing.segment_ms.into()),
            max: group_max(timing, timescale) - ticks(FOLLOWER_SLACK_MS),
            start,
            last_key: None,
            keys_too_far: false,
            warned: false,
        }
    }

    /// Whether a video frame that is about to be appended begins a group.
    pub(super) fn video(&mut self, key: bool, dts: i64, duration: i64) -> Option<Reason> {
        let lasted = dts - self.start;
        if key && let Some(last) = self.last_key.replace(dts) {
            self.keys_too_far = dts - last > self.max;
        }
        // A key frame that is early by a frame's jitter counts.
        if key && lasted + duration >= self.target / 2 {
            return Some(Reason::Key);
        }
        let max = if self.keys_too_far {
            self.target
        } else {
            self.max
        };
        // To the nearest frame: a key frame that is due now must not come one frame too late.
        if lasted + duration / 2 <= max {
            return None;
        }
        self.keys_too_far = true;
        let first = !std::mem::replace(&mut self.warned, true);
        Some(Reason::TooLong { first })
    }

    /// Whether a group begins with an audio frame at `dts`, where audio leads. Only where a part
    /// begins, so that no short part is left.
    pub(super) fn audio(&self, dts: i64, parts: &Parts) -> bool {
        parts.at_start() && self.is_full(dts, parts.target())
    }

    /// Whether a group that lasts until `dts` is nearer to the target than with one more part.
    pub(super) fn is_full(&self, dts: i64, part: i64) -> bool {
        dts - self.start + part / 2 >= self.target
    }

    /// A group has begun at `dts`.
    pub(super) fn begin(&mut self, dts: i64) {
        self.start = dts;
    }
}
