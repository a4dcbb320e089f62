//! Time of the load: when something is due, how late this machine was, and the ceiling.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rushlane::runtime::clock::{self, Instant};

/// The longest lateness that is told apart, in microseconds.
const LAG_US_MAX: u64 = 60_000_000;

/// The clock of a run. Clones are handles of the same run.
#[derive(Debug, Clone)]
pub struct Pace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    started_us: i64,
    length: Duration,
    rate_max: f64,
    /// The second that is counted, and what was done in it.
    spent: Mutex<(u64, f64)>,
    held_back: AtomicU64,
    lag_us: Mutex<[Histogram<u32>; 2]>,
}

impl Pace {
    /// The load begins `after` from now and lasts for `length`.
    #[must_use]
    pub fn starting(after: Duration, length: Duration, rate_max: f64) -> Self {
        let shift = i64::try_from(after.as_micros()).unwrap_or(0);
        Self::agreed(after, clock::unix_us() + shift, length, rate_max)
    }

    /// The same for a load of several machines, which agree that it begins at `started_us`,
    /// microseconds since 1970, by the clock of the run.
    #[must_use]
    pub fn agreed(after: Duration, started_us: i64, length: Duration, rate_max: f64) -> Self {
        let empty = || Histogram::new(3).expect("three digits are allowed");
        Self(Arc::new(Inner {
            started: clock::now() + after,
            started_us,
            length,
            rate_max,
            spent: Mutex::new((0, 0.0)),
            held_back: AtomicU64::new(0),
            lag_us: Mutex::new([empty(), empty()]),
        }))
    }

    /// Waits until `at` from the start of the load, and notes how late we woke. False: the load is
    /// over by then.
    pub async fn until(&self, at: Duration) -> bool {
        if at >= self.0.length {
            return false;
        }
        let due = self.0.started + at;
        if due > clock::now() {
            tokio::time::sleep_until(due).await;
            let lag_us = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            for lags in &mut *self.0.lag_us.lock() {
                let recorded = lags.record(lag_us.min(LAG_US_MAX));
                recorded.expect("a histogram that grows holds a minute");
            }
        }
        true
    }

    /// Waits until the load is over.
    pub async fn end(&self) {
        tokio::time::sleep_until(self.0.started + self.0.length).await;
    }

    /// Wall clock of `at`, in microseconds since 1970: what samples are taken from.
    #[must_use]
    pub fn unix_us(&self, at: Duration) -> i64 {
        self.0.started_us + i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
    }

    /// When the load starts.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// Since the start of the load; zero before it.
    #[must_use]
    pub fn now(&self) -> Duration {
        clock::now().saturating_duration_since(self.0.started)
    }

    /// Actions a second that are never exceeded.
    #[must_use]
    pub fn rate_max(&self) -> f64 {
        self.0.rate_max
    }

    /// How long the load lasts.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.0.length
    }

    /// True when one more action fits below the ceiling; it is counted as done. False: it must not
    /// be done, and the run is no longer what was planned.
    #[must_use]
    pub fn allows_one(&self) -> bool {
        let second = self.now().as_secs();
        let mut spent = self.0.spent.lock();
        if spent.0 != second {
            *spent = (second, 0.0);
        }
        if spent.1 >= self.0.rate_max {
            self.0.held_back.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        spent.1 += 1.0;
        true
    }

    /// Actions that the ceiling has forbidden.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.0.held_back.load(Ordering::Relaxed)
    }

    /// The 99th percentile of how late actions began, in milliseconds: since the last call.
    #[must_use]
    pub fn take_lag_p99_ms(&self) -> f64 {
        let lags = &mut self.0.lag_us.lock()[0];
        let lag_us = lags.value_at_quantile(0.99);
        lags.reset();
        lag_us as f64 / 1000.0
    }

    /// The same over the whole run.
    #[must_use]
    pub fn lag_p99_ms(&self) -> f64 {
        self.0.lag_us.lock()[1].value_at_quantile(0.99) as f64 / 1000.0
    }
}

/// Number `index` of a sequence that fills 0 to 1 evenly at any length (golden ratio): a spread
/// that is the same in each run.
#[must_use]
pub fn spread(index: u64) -> f64 {
    (index as f64 * 0.618_033_988_749_895).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ceiling_holds_back_what_is_above_it() {
        let pace = Pace::starting(Duration::from_secs(60), Duration::from_secs(90), 3.0);
        let allowed = (0..5).filter(|_| pace.allows_one()).count();
        assert_eq!((allowed, pace.held_back()), (3, 2));
    }

    #[tokio::test]
    async fn nothing_is_due_after_the_end() {
        let pace = Pace::starting(Duration::ZERO, Duration::from_secs(9), 3.0);
        assert!(pace.until(Duration::ZERO).await);
        assert!(!pace.until(Duration::from_secs(9)).await);
    }
}
