//! The encoder's clock becomes broadcast time (R3.8): 32-bit milliseconds that wrap, jump and step
//! back go in, milliseconds since the broadcast's zero come out.
//!
//! Both media of one encoder share its clock, so their offset from each other is kept, over repairs
//! too. Order inside a track is not decided here: small steps back pass, `pace` evens them out.

use serde::Serialize;

/// A stamp further ahead of its predecessor than the wall clock plus this is a jump. Encoders that
/// wait for the network and then send what they kept stay below it.
pub(super) const JUMP_MS: i64 = 2000;

/// A stamp further behind its predecessor than this is a step back, not jitter of the capture
/// clock.
const BACKWARD_MS: i64 = 100;

/// How much media one reading of the drift is taken from, in microseconds: long enough that some
/// frame in it was not delayed by the network.
const DRIFT_WINDOW_US: i64 = 10_000_000;

/// The two media of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    Video,
    Audio,
}

/// What was wrong with a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Repair {
    /// The 32-bit clock has started over; time goes on.
    Wrap,
    /// Ahead by more than [`JUMP_MS`]; time goes on by the wall clock.
    Jump,
    /// Behind by more than [`BACKWARD_MS`]; likewise.
    Backward,
    /// The encoder's clock stood still while it was silent; time goes on where the gap ends.
    Stall,
    /// The audio clock has left the stamps; the sample grid starts over.
    AudioResync,
}

impl Repair {
    /// Its name in metrics and logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Jump => "jump",
            Self::Backward => "backward",
            Self::Stall => "stall",
            Self::AudioResync => "audio_resync",
        }
    }
}

/// How many repairs of each kind a publisher has needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Repairs {
    /// The 32-bit clock wrapped.
    pub wrap: u64,
    /// A stamp was too far ahead.
    pub jump: u64,
    /// A stamp was too far behind.
    pub backward: u64,
    /// The clock stood still during a silence.
    pub stall: u64,
    /// Audio was put back onto its stamps.
    pub audio_resync: u64,
}

impl Repairs {
    /// Counts one and returns how many of its kind there are now.
    pub(super) fn count(&mut self, repair: Repair) -> u64 {
        let counter = match repair {
            Repair::Wrap => &mut self.wrap,
            Repair::Jump => &mut self.jump,
            Repair::Backward => &mut self.backward,
            Repair::Stall => &mut self.stall,
            Repair::AudioResync => &mut self.audio_resync,
        };
        *counter += 1;
        *counter
    }
}

/// The clock of one connected encoder.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Where the broadcast stood, in milliseconds, and when: the first stamp goes on from there.
    start: Option<(i64, i64)>,
    /// The clock of an encoder that pushes another rendition of the same pictures.
    beside: Option<Line>,
    video: Option<Line>,
    audio: Option<Line>,
    drift: Drift,
}

/// The newest stamp of one medium.
#[derive(Debug, Clone, Copy)]
struct Line {
    stamp: u32,
    unwrapped_ms: i64,
    /// Broadcast time minus unwrapped time.
    offset_ms: i64,
    ms: i64,
    arrived_us: i64,
}

impl Timeline {
    /// A clock whose first stamp, of whichever medium, is the broadcast's zero.
    pub(super) fn new() -> Self {
        Self {
            start: None,
            beside: None,
            video: None,
            audio: None,
            drift: Drift::default(),
        }
    }

    /// The clock of an encoder that joins a broadcast which stands at `position_ms` at `now_us`.
    /// Its first stamp counts on the clock of `beside`, an encoder that pushes already, when that
    /// makes sense: renditions of one encoder share its stamps. Else the wall clock says where.
    pub(super) fn joining(position_ms: i64, now_us: i64, beside: Option<&Self>) -> Self {
        Self {
            start: Some((position_ms, now_us)),
            beside: beside.and_then(|other| other.video.or(other.audio)),
            ..Self::new()
        }
    }

    /// The broadcast time of a stamp that arrived at `now_us`, and what had to be repaired.
    pub(super) fn place(
        &mut self,
        medium: Medium,
        stamp: u32,
        now_us: i64,
    ) -> (i64, Option<Repair>) {
        let (own, other) = match medium {
            Medium::Video => (self.video, self.audio),
            Medium::Audio => (self.audio, self.video),
        };
        let (line, repair) = match own.or(other) {
            None => (
                Line::first(stamp, self.start_at(stamp, now_us), now_us),
                None,
            ),
            Some(before) => before.follow(stamp, now_us, own, other),
        };
        match medium {
            Medium::Video => self.video = Some(line),
            Medium::Audio => self.audio = Some(line),
        }
        match repair {
            None | Some(Repair::Wrap) => self.drift.observe(line.ms, now_us),
            Some(_) => self.drift = Drift::default(),
        }
        (line.ms, repair)
    }

    /// Where the first stamp lands.
    fn start_at(&self, stamp: u32, now_us: i64) -> i64 {
        let Some((position_ms, at_us)) = self.start else {
            return 0;
        };
        let by_wall_ms = position_ms + (now_us - at_us).max(0) / 1000;
        let shared = self.beside.map(|line| line.unwrap(stamp) + line.offset_ms);
        shared
            .filter(|ms| (ms - by_wall_ms).abs() <= JUMP_MS)
            .unwrap_or(by_wall_ms)
    }

    /// Moves all that comes ahead by `by_ms`.
    pub(super) fn shift(&mut self, by_ms: i64) {
        for line in [&mut self.video, &mut self.audio].into_iter().flatten() {
            line.offset_ms += by_ms;
            line.ms += by_ms;
        }
        self.drift = Drift::default();
    }

    /// How much faster the encoder's clock runs than ours, in parts per million; `None` until half
    /// a minute was seen.
    pub(super) fn drift_ppm(&self) -> Option<i64> {
        self.drift.ppm
    }
}

impl Line {
    fn first(stamp: u32, ms: i64, now_us: i64) -> Self {
        Self {
            stamp,
            unwrapped_ms: stamp.into(),
            offset_ms: ms - i64::from(stamp),
            ms,
            arrived_us: now_us,
        }
    }

    /// Undoes the 32 bits: the nearest time to this one that has `stamp`.
    fn unwrap(&self, stamp: u32) -> i64 {
        self.unwrapped_ms + i64::from(stamp.wrapping_sub(self.stamp).cast_signed())
    }

    /// The line after this one. `own` is `None` for the first stamp of a medium, which may lie
    /// before the other medium by the start offset.
    fn follow(
        self,
        stamp: u32,
        now_us: i64,
        own: Option<Self>,
        other: Option<Self>,
    ) -> (Self, Option<Repair>) {
        let unwrapped_ms = self.unwrap(stamp);
        let step_ms = unwrapped_ms - self.unwrapped_ms;
        let elapsed_ms = (now_us - self.arrived_us).max(0) / 1000;
        let behind_max = if own.is_some() { BACKWARD_MS } else { JUMP_MS };
        let fits = |line: &Self| {
            let step_ms = unwrapped_ms + line.offset_ms - self.ms;
            (-behind_max..=elapsed_ms + JUMP_MS).contains(&step_ms)
        };
        // Where this medium's own clock does not fit, the other one has met the same jump already.
        let found = [own, other].into_iter().flatten().find(fits);
        let (ms, repair) = match found {
            Some(line) if step_ms >= 0 && stamp < self.stamp => {
                (unwrapped_ms + line.offset_ms, Some(Repair::Wrap))
            }
            Some(line) => (unwrapped_ms + line.offset_ms, None),
            None if step_ms < 0 => (self.ms + elapsed_ms.max(1), Some(Repair::Backward)),
            None => (self.ms + elapsed_ms.max(1), Some(Repair::Jump)),
        };
        let line = Self {
            stamp,
            unwrapped_ms,
            offset_ms: ms - unwrapped_ms,
            ms,
            arrived_us: now_us,
        };
        (line, repair)
    }
}

/// Compares the encoder's clock with ours: in each window, the frame that the network delayed
/// least.
#[derive(Debug, Default)]
struct Drift {
    /// Time and lead of the first window's best frame.
    base: Option<(i64, i64)>,
    window: Option<Window>,
    ppm: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start_us: i64,
    best_us: i64,
    /// Media time minus wall time of the best frame.
    lead_us: i64,
}

impl Drift {
    fn observe(&mut self, ms: i64, now_us: i64) {
        let lead_us = ms.saturating_mul(1000).saturating_sub(now_us);
        let window = self.window.get_or_insert(Window {
            start_us: now_us,
            best_us: now_us,
            lead_us,
        });
        if lead_us > window.lead_us {
            (window.best_us, window.lead_us) = (now_us, lead_us);
        }
        if now_us - window.start_us < DRIFT_WINDOW_US {
            return;
        }
        let (best_us, lead_us) = (window.best_us, window.lead_us);
        self.window = None;
        let (base_us, base_lead_us) = *self.base.get_or_insert((best_us, lead_us));
        let elapsed_us = best_us - base_us;
        if elapsed_us >= 2 * DRIFT_WINDOW_US {
            self.ppm = Some((lead_us - base_lead_us).saturating_mul(1_000_000) / elapsed_us);
        }
    }
}

#[cfg(test)]
#[path = "timeline_test.rs"]
mod tests;
