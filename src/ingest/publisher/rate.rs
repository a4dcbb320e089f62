//! The frame rate of a video track, learnt from what the encoder says and from its stamps.
//!
//! Stamps are rounded to milliseconds, so a rate is believed only as far as the stamps can tell;
//! among rates that they cannot tell apart, the announced one wins, then the nearest common one.

use std::collections::VecDeque;

use crate::media::VIDEO_TIMESCALE;

/// Stamps that a measurement looks back on. 128: 4 s at 30 frames per second, which is what it
/// takes to tell 30 from 29.97 with a millisecond's error.
const WINDOW_FRAMES: usize = 128;

/// Intervals that show the rate of the moment.
const RECENT_FRAMES: usize = 8;

/// An interval above this is a pause, not a frame's length.
const INTERVAL_MS_MAX: i64 = 1000;

/// Frames and seconds of rates that encoders use.
const COMMON: [(u32, u32); 18] = [
    (5, 1),
    (10, 1),
    (12, 1),
    (25, 2),
    (15, 1),
    (20, 1),
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (90, 1),
    (100, 1),
    (120, 1),
];

/// The length of a frame as an exact fraction of ticks, so that no rounding adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    ticks: i64,
    over: i64,
}

impl Step {
    /// The step of `frames` frames in `seconds` seconds.
    fn of_rate(frames: u32, seconds: u32) -> Self {
        Self {
            ticks: i64::from(VIDEO_TIMESCALE) * i64::from(seconds),
            over: i64::from(frames),
        }
    }

    /// The length of `count` steps, in ticks.
    pub(super) fn times(self, count: i64) -> i64 {
        (count * self.ticks * 2 + self.over).div_euclid(self.over * 2)
    }

    /// How many whole steps come nearest to `ticks`.
    pub(super) fn count_in(self, ticks: i64) -> i64 {
        (ticks * self.over * 2 + self.ticks).div_euclid(self.ticks * 2)
    }

    /// In milliseconds.
    fn ms(self) -> f64 {
        self.ticks as f64 / self.over as f64 / 90.0
    }

    /// In frames per second.
    pub(super) fn frames_per_second(self) -> f64 {
        self.over as f64 * f64::from(VIDEO_TIMESCALE) / self.ticks as f64
    }
}

/// Learns the rate of one track.
#[derive(Debug)]
pub(super) struct Learner {
    announced: Option<Step>,
    stamps_ms: VecDeque<i64>,
    /// Frames until the next measurement.
    countdown: usize,
    step: Step,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            announced: None,
            stamps_ms: VecDeque::new(),
            countdown: RECENT_FRAMES / 2,
            step: Step::of_rate(30, 1),
        }
    }
}

impl Learner {
    /// The bitstream or the metadata names a rate, in frames per second.
    pub(super) fn announce(&mut self, frames_per_second: f64) {
        if !(1.0..=300.0).contains(&frames_per_second) {
            return;
        }
        let interval_ms = 1000.0 / frames_per_second;
        let step = nearest_common(interval_ms, 0.000_2).unwrap_or_else(|| Step {
            ticks: i64::from(VIDEO_TIMESCALE) * 1000,
            over: (frames_per_second * 1000.0).round() as i64,
        });
        self.announced = Some(step);
        if self.stamps_ms.len() <= RECENT_FRAMES / 2 {
            self.step = step;
        }
    }

    /// A frame of the track, by its stamp in broadcast time.
    pub(super) fn observe(&mut self, stamp_ms: i64) {
        let interval_ms = self.stamps_ms.back().map_or(1, |last| stamp_ms - last);
        if !(1..=INTERVAL_MS_MAX).contains(&interval_ms) {
            self.stamps_ms.clear();
        }
        if self.stamps_ms.len() > WINDOW_FRAMES {
            self.stamps_ms.pop_front();
        }
        self.stamps_ms.push_back(stamp_ms);
        self.countdown -= 1;
        if self.countdown == 0 {
            self.countdown = RECENT_FRAMES;
            self.measure();
        }
    }

    /// The length of a frame as it is known now.
    pub(super) fn step(&self) -> Step {
        self.step
    }

    fn measure(&mut self) {
        let Some((recent_ms, _)) = self.interval(RECENT_FRAMES) else {
            return;
        };
        let Some((mut interval_ms, mut span_ms)) = self.interval(WINDOW_FRAMES) else {
            return;
        };
        if (recent_ms / interval_ms - 1.0).abs() > 0.2 {
            // The camera has changed its rate: what came before says nothing.
            let old = self.stamps_ms.len().saturating_sub(RECENT_FRAMES + 1);
            self.stamps_ms.drain(..old);
            (interval_ms, span_ms) = (recent_ms, recent_ms * RECENT_FRAMES as f64);
        }
        // Two roundings of half a millisecond, and some for the encoder's own.
        let tolerance = (1.5 / span_ms).clamp(0.000_3, 0.01);
        let fits = |step: &Step| (step.ms() / interval_ms - 1.0).abs() <= tolerance;
        let chosen = self
            .announced
            .filter(fits)
            .or_else(|| nearest_common(interval_ms, tolerance));
        if let Some(step) = chosen {
            self.step = step;
        } else if (self.step.ms() / interval_ms - 1.0).abs() > tolerance.max(0.005) {
            let ticks = (interval_ms * 90_000.0).round() as i64;
            self.step = Step { ticks, over: 1000 };
        }
    }

    /// Mean interval and span over the last `frames` intervals, in milliseconds. An interval of
    /// about n frames counts as n, so frames that the encoder dropped do not slow the rate down.
    fn interval(&self, frames: usize) -> Option<(f64, f64)> {
        let skip = self.stamps_ms.len().saturating_sub(frames + 1);
        let stamps = || self.stamps_ms.iter().skip(skip);
        let intervals = || {
            stamps()
                .zip(stamps().skip(1))
                .map(|(before, after)| after - before)
        };
        let mut recent: Vec<i64> = intervals().collect();
        let tail = recent.len().saturating_sub(RECENT_FRAMES);
        let recent = &mut recent[tail..];
        recent.sort_unstable();
        let median = *recent.get(recent.len() / 2).filter(|_| recent.len() >= 3)?;
        let count: i64 = intervals()
            .map(|interval| ((interval + median / 2) / median).max(1))
            .sum();
        let span = intervals().sum::<i64>() as f64;
        Some((span / count as f64, span))
    }
}

/// The common rate whose interval is nearest to `interval_ms` and within `tolerance` of it.
fn nearest_common(interval_ms: f64, tolerance: f64) -> Option<Step> {
    let off = |step: &Step| (step.ms() / interval_ms - 1.0).abs();
    COMMON
        .iter()
        .map(|&(frames, seconds)| Step::of_rate(frames, seconds))
        .min_by(|a, b| off(a).total_cmp(&off(b)))
        .filter(|step| off(step) <= tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(step: Step, frames: i64, announced: Option<f64>) -> f64 {
        let mut learner = Learner::default();
        if let Some(rate) = announced {
            learner.announce(rate);
        }
        for n in 0..frames {
            learner.observe(step.times(n) / 90);
        }
        learner.step().frames_per_second()
    }

    #[test]
    fn common_rates_are_told_apart_by_their_stamps() {
        for (frames, seconds) in COMMON {
            let rate = f64::from(frames) / f64::from(seconds);
            let step = Step::of_rate(frames, seconds);
            let found = learnt(step, 200, None);
            assert!((found - rate).abs() < 1e-9, "{rate} was taken for {found}");
        }
    }

    #[test]
    fn announced_rate_holds_from_the_first_frame_until_the_stamps_disagree() {
        let film = Step::of_rate(24_000, 1001);
        let exact = film.frames_per_second();
        assert!((learnt(film, 1, Some(23.976)) - exact).abs() < 1e-9);
        assert!((learnt(film, 12, Some(23.976)) - exact).abs() < 1e-9);
        let slow = learnt(Step::of_rate(15, 1), 100, Some(30.0));
        assert!((slow - 15.0).abs() < 1e-9);
    }

    #[test]
    fn dropped_frames_do_not_slow_the_rate() {
        let mut learner = Learner::default();
        let step = Step::of_rate(30, 1);
        for n in (0..200).filter(|n| n % 7 != 0) {
            learner.observe(step.times(n) / 90);
        }
        assert!((learner.step().frames_per_second() - 30.0).abs() < 1e-9);
    }

    #[test]
    fn change_of_rate_is_followed() {
        let mut learner = Learner::default();
        for n in 0..100 {
            learner.observe(n * 1000 / 30);
        }
        for n in 0..24 {
            learner.observe(3300 + n * 1000 / 15);
        }
        assert!((learner.step().frames_per_second() - 15.0).abs() < 0.1);
    }

    #[test]
    fn steps_do_not_add_up_errors() {
        let step = Step::of_rate(24_000, 1001);
        assert_eq!(step.times(24_000), 1001 * 90_000);
        assert_eq!(step.count_in(step.times(12_345)), 12_345);
        assert_eq!(step.count_in(step.times(-7)), -7);
    }
}
