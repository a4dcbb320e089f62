//! From stamps in milliseconds to exact decode times in ticks of the track.
//!
//! A frame's times and length are final when it arrives, so the next frame may turn out to be late.
//! Two rules keep every part and every player whole then:
//! - decode times may lie before the stamp, never after: a late frame is decoded early and shown on
//!   time, so no part grows beyond its target;
//! - decode times never step by more than two frames, because browsers take a larger step for a
//!   hole and drop everything up to the next key frame (Media Source Extensions, 3.5.8).

use crate::ingest::publisher::rate::{Learner, Step};
use crate::media::rescale;

/// How far the even grid may leave a stamp: one millisecond of rounding on each side.
const GRID_ERROR_TICKS: i64 = 2 * 90;

/// The grid starts over after this long, so that its arithmetic stays small.
const GRID_SPAN_TICKS: i64 = 3600 * 90_000;

/// How far decode time may lag behind the stamps before it gives up smoothness.
const LAG_TICKS_MAX: i64 = 90_000;

/// How far audio may leave its stamps before it is put back onto them, in milliseconds: below what
/// lips show, above the jitter of encoders that stamp by the wall clock.
const RESYNC_MS: i64 = 40;

/// When a frame is decoded and shown, in ticks of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) dts: i64,
    pub(super) composition: i32,
    pub(super) duration: i64,
}

impl Times {
    pub(super) fn pts(self) -> i64 {
        self.dts + i64::from(self.composition)
    }

    pub(super) fn end(self) -> i64 {
        self.dts + self.duration
    }
}

// === impl VideoPace ===

/// Decode times of a video track.
#[derive(Debug, Default)]
pub(super) struct VideoPace {
    learner: Learner,
    grid: Option<Grid>,
    last: Option<Times>,
    /// Nothing may be decoded before.
    floor: i64,
}

/// An even row of times; starts over where the stamps leave it.
#[derive(Debug, Clone, Copy)]
struct Grid {
    start: i64,
    step: Step,
}

impl Grid {
    /// The point nearest to `stamp` and the one after it.
    fn near(&self, stamp: i64) -> (i64, i64) {
        let count = self.step.count_in(stamp - self.start);
        let at = |count| self.start + self.step.times(count);
        (at(count), at(count + 1))
    }
}

impl VideoPace {
    /// Goes on after a frame that another node has placed.
    pub(super) fn resume(&mut self, last: Times) {
        self.floor = last.end();
        self.last = Some(last);
    }

    /// The bitstream or the metadata names a rate, in frames per second.
    pub(super) fn announce(&mut self, frames_per_second: f64) {
        self.learner.announce(frames_per_second);
    }

    /// Frames per second as known now.
    pub(super) fn frames_per_second(&self) -> f64 {
        self.learner.step().frames_per_second()
    }

    /// Where a frame belongs by its stamps, in milliseconds of broadcast time.
    pub(super) fn ideal(&mut self, stamp_ms: i64, composition_ms: i32) -> Times {
        self.learner.observe(stamp_ms);
        let stamp = stamp_ms * 90;
        let step = self.learner.step();
        let mut grid = *self.grid.get_or_insert(Grid { start: stamp, step });
        if grid.step != step || (stamp - grid.start).abs() > GRID_SPAN_TICKS {
            (grid.start, _) = grid.near(stamp);
            grid.step = step;
        }
        if (grid.near(stamp).0 - stamp).abs() > GRID_ERROR_TICKS {
            grid.start = stamp;
        }
        self.grid = Some(grid);
        let (even_dts, after) = grid.near(stamp);
        let shown = stamp + i64::from(composition_ms) * 90;
        let (even, _) = grid.near(shown);
        let pts = if (even - shown).abs() <= GRID_ERROR_TICKS {
            even
        } else {
            shown
        };
        let smooth = self.last.map(|last| last.dts + 2 * last.duration);
        let dts = match smooth {
            Some(smooth) if even_dts - smooth <= LAG_TICKS_MAX => even_dts.min(smooth),
            _ => even_dts,
        };
        Times {
            dts,
            composition: i32::try_from(pts.max(0) - dts).unwrap_or(0),
            duration: (after - even_dts).max(1),
        }
    }

    /// The frame's final times: after the frame before it and, in an open part, ending by
    /// `end_max`. The presentation time stays.
    pub(super) fn settle(&mut self, ideal: Times, end_max: Option<i64>) -> Times {
        let mut times = ideal;
        if let (Some(last), Some(end_max)) = (self.last, end_max) {
            times.duration = times.duration.min((end_max - last.end()).max(1));
            times.dts = times.dts.min(end_max - times.duration);
        }
        times.dts = times.dts.max(self.floor);
        self.floor = times.dts + 1;
        let composition = ideal.pts().max(0) - times.dts;
        times.composition = i32::try_from(composition).unwrap_or(ideal.composition);
        self.last = Some(times);
        times
    }

    /// When the track is over so far.
    pub(super) fn end(&self) -> Option<i64> {
        self.last.map(Times::end)
    }

    /// `duration` ticks without media follow; returns when they begin.
    pub(super) fn gap(&mut self, duration: i64) -> Option<i64> {
        let last = self.last.as_mut()?;
        let dts = last.end();
        *last = Times {
            dts,
            composition: 0,
            duration,
        };
        self.floor = dts + duration;
        Some(dts)
    }
}

// === impl AudioPace ===

/// Decode times of an audio track: samples in a row.
#[derive(Debug)]
pub(super) struct AudioPace {
    timescale: u32,
    sample_rate: u32,
    end: Option<i64>,
    /// What is left of a tick, in ticks times the sample rate, where the two rates differ.
    remainder: i64,
}

impl AudioPace {
    /// A row of samples of `sample_rate` in a track of `timescale`.
    pub(super) fn new(timescale: u32, sample_rate: u32) -> Self {
        Self {
            timescale,
            sample_rate,
            end: None,
            remainder: 0,
        }
    }

    /// Goes on after a frame that another node has placed.
    pub(super) fn resume(&mut self, last: Times) {
        self.end = Some(last.end());
    }

    /// The encoder has changed its sample rate; the track's timescale cannot.
    pub(super) fn set_sample_rate(&mut self, sample_rate: u32) {
        self.sample_rate = sample_rate;
        self.remainder = 0;
    }

    /// When a frame with this stamp would be decoded; `None` when its time is over.
    pub(super) fn ideal(&self, stamp_ms: i64) -> Option<i64> {
        let stamp = rescale(stamp_ms, 1000, self.timescale);
        let off_max = rescale(RESYNC_MS, 1000, self.timescale);
        match self.end {
            None => (stamp >= 0).then_some(stamp),
            Some(end) if (stamp - end).abs() <= off_max => Some(end),
            Some(end) => (stamp > end).then_some(stamp),
        }
    }

    /// Places a frame of `samples` whose [`Self::ideal`] time is known. The row is put back onto
    /// the stamps only where `part_start` says that a part begins, so that no part is stretched;
    /// true when that happened.
    pub(super) fn settle(&mut self, ideal: i64, samples: u32, part_start: bool) -> (Times, bool) {
        let scaled = i64::from(samples) * i64::from(self.timescale) + self.remainder;
        let next = self.end.unwrap_or(ideal);
        let resync = part_start && ideal > next;
        let times = Times {
            dts: if resync { ideal } else { next },
            composition: 0,
            duration: (scaled / i64::from(self.sample_rate)).max(1),
        };
        self.remainder = scaled % i64::from(self.sample_rate);
        self.end = Some(times.end());
        (times, resync)
    }

    /// When the track is over so far.
    pub(super) fn end(&self) -> Option<i64> {
        self.end
    }

    /// `duration` ticks without media follow; returns when they begin.
    pub(super) fn gap(&mut self, duration: i64) -> Option<i64> {
        let dts = self.end?;
        self.end = Some(dts + duration);
        Some(dts)
    }
}
