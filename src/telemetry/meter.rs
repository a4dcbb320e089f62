//! A distribution of times that costs one atomic addition a sample: for figures that are taken on
//! the data path and read once a second.
//!
//! Times fall into buckets of an eighth of an octave, so a quantile is right to 6 %.

use std::sync::atomic::{AtomicU32, Ordering};

/// Buckets: single microseconds up to 8, then eight an octave up to 134 s; longer times count as
/// that.
const BUCKETS: usize = 208;

/// Counts times, shared between threads.
#[derive(Debug)]
pub struct Meter([AtomicU32; BUCKETS]);

/// How often each time came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    counts: Box<[u32; BUCKETS]>,
    total: u64,
}

/// Three quantiles of a [`Spread`], in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quantiles {
    /// The median.
    pub p50_us: u64,
    /// What 95 % are not above.
    pub p95_us: u64,
    /// What 99 % are not above.
    pub p99_us: u64,
    /// Samples.
    pub samples: u64,
}

impl Default for Meter {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Meter {
    /// Counts one time, in microseconds; one below zero counts as zero.
    pub fn add(&self, us: i64) {
        self.add_many(us, 1);
    }

    /// Counts the same time `count` times.
    pub fn add_many(&self, us: i64, count: u32) {
        let us = u64::try_from(us).unwrap_or(0);
        self.0[index(us)].fetch_add(count, Ordering::Relaxed);
    }

    /// What was counted since `seen` was last given here; `seen` is what was counted until now.
    pub fn since(&self, seen: &mut Spread) -> Spread {
        let mut new = Spread::default();
        for (index, counter) in self.0.iter().enumerate() {
            let now = counter.load(Ordering::Relaxed);
            let before = std::mem::replace(&mut seen.counts[index], now);
            new.counts[index] = now.wrapping_sub(before);
            new.total += u64::from(new.counts[index]);
        }
        new
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            total: 0,
        }
    }
}

impl Spread {
    /// Counts one time, in microseconds; one below zero counts as zero.
    pub fn add(&mut self, us: i64) {
        let index = index(u64::try_from(us).unwrap_or(0));
        self.counts[index] = self.counts[index].saturating_add(1);
        self.total += 1;
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count = count.saturating_add(*more);
        }
        self.total += other.total;
    }

    /// How many times were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many of them are above `us` microseconds.
    #[must_use]
    pub fn above(&self, us: u64) -> u64 {
        let first = index(us) + 1;
        let counts = self.counts.get(first..).unwrap_or_default();
        counts.iter().copied().map(u64::from).sum()
    }

    /// The time that the share `quantile` of all is not above, in microseconds; `None` of nothing.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(middle(index));
            }
        }
        None
    }

    /// The usual three; `None` of nothing.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        Some(Quantiles {
            p50_us: self.quantile(0.5)?,
            p95_us: self.quantile(0.95)?,
            p99_us: self.quantile(0.99)?,
            samples: self.total,
        })
    }
}

fn index(us: u64) -> usize {
    if us < 8 {
        return us as usize;
    }
    let octave = us.ilog2() as usize;
    let eighth = (us >> (octave - 3)) as usize & 7;
    ((octave - 2) * 8 + eighth).min(BUCKETS - 1)
}

/// The time in the middle of a bucket.
fn middle(index: usize) -> u64 {
    if index < 8 {
        return index as u64;
    }
    let octave = index / 8 + 2;
    let width = 1_u64 << (octave - 3);
    (8 + index as u64 % 8) * width + width / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_is_right_to_six_percent(us in 0_u64..134_000_000) {
            let shown = middle(index(us)) as f64;
            prop_assert!((shown - us as f64).abs() <= us as f64 * 0.0625 + 0.5);
        }
    }

    #[test]
    fn quantiles_are_of_what_came_since_the_last_look() {
        let meter = Meter::default();
        let mut seen = Spread::default();
        meter.add_many(9_000_000, 100);
        assert_eq!(meter.since(&mut seen).total(), 100);
        meter.add_many(1000, 90);
        meter.add_many(-5, 5);
        meter.add_many(50_000, 5);
        let spread = meter.since(&mut seen);
        assert_eq!((spread.total(), spread.above(20_000)), (100, 5));
        let found = spread.quantiles().unwrap();
        assert!((940..=1060).contains(&found.p50_us), "{found:?}");
        assert!((47_000..=53_000).contains(&found.p99_us), "{found:?}");
        assert_eq!(meter.since(&mut seen).quantiles(), None);
    }

    #[test]
    fn the_longest_times_share_a_bucket() {
        let mut spread = Spread::default();
        spread.add(i64::MAX);
        assert!(spread.quantile(1.0).unwrap() > 120_000_000);
    }
}
