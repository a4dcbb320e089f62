//! How a figure went over the last five minutes: the last seconds in full, before that a row of
//! quantiles.

use std::collections::VecDeque;

use crate::telemetry::{Quantiles, Spread};

/// What counts as now, in seconds: some hundred frames.
pub(super) const NOW_SECONDS: usize = 5;

/// What it is compared with, in seconds (R11.3).
pub(super) const BASELINE_SECONDS: usize = 300;

/// The newest part of the row is left out of the baseline: a fault may have begun in it.
const FRESH_SECONDS: usize = 10;

/// Seconds without which there is no baseline.
const BASELINE_MIN: usize = 10;

/// One figure, a step a second.
#[derive(Debug, Default)]
pub(super) struct Course {
    recent: VecDeque<Spread>,
    row: VecDeque<Option<Quantiles>>,
}

impl Course {
    /// Takes the samples of one more second.
    pub(super) fn step(&mut self, second: Spread) {
        if self.row.len() == BASELINE_SECONDS {
            self.row.pop_front();
        }
        self.row.push_back(second.quantiles());
        if self.recent.len() == NOW_SECONDS {
            self.recent.pop_front();
        }
        self.recent.push_back(second);
    }

    /// The last seconds together.
    pub(super) fn recent(&self) -> Spread {
        let mut all = Spread::default();
        self.recent.iter().for_each(|second| all.merge(second));
        all
    }

    /// What a usual second was like: the median of each quantile.
    pub(super) fn baseline(&self) -> Option<Quantiles> {
        let old = self.row.len().saturating_sub(FRESH_SECONDS);
        let seconds: Vec<&Quantiles> = self.row.iter().take(old).flatten().collect();
        if seconds.len() < BASELINE_MIN {
            return None;
        }
        let median = |of: fn(&Quantiles) -> u64| {
            let mut values: Vec<u64> = seconds.iter().map(|second| of(second)).collect();
            let middle = values.len() / 2;
            *values.select_nth_unstable(middle).1
        };
        Some(Quantiles {
            p50_us: median(|q| q.p50_us),
            p95_us: median(|q| q.p95_us),
            p99_us: median(|q| q.p99_us),
            samples: seconds.iter().map(|second| second.samples).sum(),
        })
    }

    /// How many seconds the baseline is made of.
    pub(super) fn baseline_seconds(&self) -> usize {
        self.row.len().saturating_sub(FRESH_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(us: i64) -> Spread {
        let mut spread = Spread::default();
        (0..30).for_each(|_| spread.add(us));
        spread
    }

    #[test]
    fn a_fault_shows_now_and_not_in_the_baseline() {
        let mut course = Course::default();
        for _ in 0..60 {
            course.step(second(10_000));
        }
        for _ in 0..NOW_SECONDS {
            course.step(second(400_000));
        }
        let now = course.recent().quantiles().unwrap();
        let before = course.baseline().unwrap();
        assert!(now.p50_us > 350_000, "{now:?}");
        assert!(before.p99_us < 12_000, "{before:?}");
    }

    #[test]
    fn there_is_no_baseline_at_first() {
        let mut course = Course::default();
        for _ in 0..FRESH_SECONDS + BASELINE_MIN - 1 {
            course.step(second(10));
            assert_eq!(course.baseline(), None);
        }
        course.step(second(10));
        assert!(course.baseline().is_some());
    }
}
