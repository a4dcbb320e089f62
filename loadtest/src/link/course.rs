//! The schedule of a link: its rate at each time, and when it is dark.

use std::time::Duration;

use crate::link::Profile;

/// The least rate, in bytes a second: a schedule always ends.
const RATE_MIN: f64 = 1.0;

/// Rates and blackouts over time, both since the start.
#[derive(Debug, Clone)]
pub struct Course {
    /// From when on how many bytes a second; the first one begins at zero.
    rates: Vec<(Duration, f64)>,
    /// Beginnings and ends.
    dark: Vec<(Duration, Duration)>,
}

impl Course {
    /// The schedule of `profile`, whose lists are in the order of time.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        let bytes = |kbits: f64| (kbits * 125.0).max(RATE_MIN);
        let steps = profile.steps.iter();
        let steps = steps.map(|step| (seconds(step.at_seconds), bytes(step.rate_kbits)));
        let first = (Duration::ZERO, bytes(profile.rate_kbits));
        let dark = profile.blackouts.iter().map(|blackout| {
            let begin = seconds(blackout.at_seconds);
            (begin, begin + seconds(blackout.for_seconds))
        });
        Self {
            rates: std::iter::once(first).chain(steps).collect(),
            dark: dark.collect(),
        }
    }

    /// When the last of `bytes` is on the link whose first goes at `from`.
    #[must_use]
    pub fn passed(&self, from: Duration, bytes: usize) -> Duration {
        let (mut at, mut rest) = (from, bytes as f64);
        let mut index = self.rates.partition_point(|(begin, _)| *begin <= at).max(1) - 1;
        loop {
            let rate = self.rates[index].1;
            let takes = Duration::from_secs_f64(rest / rate);
            match self.rates.get(index + 1) {
                Some((end, _)) if at + takes > *end => {
                    rest -= end.saturating_sub(at).as_secs_f64() * rate;
                    (at, index) = (*end, index + 1);
                }
                _ => return at + takes,
            }
        }
    }

    /// True while nothing comes through.
    #[must_use]
    pub fn is_dark(&self, at: Duration) -> bool {
        let covers = |(begin, end): &(Duration, Duration)| (*begin..*end).contains(&at);
        self.dark.iter().any(covers)
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Blackout, Step};

    #[test]
    fn what_passes_follows_the_steps() {
        let step = |at_seconds, rate_kbits| Step {
            at_seconds,
            rate_kbits,
        };
        let course = Course::new(&Profile {
            rate_kbits: 8.0,
            steps: vec![step(10.0, 80.0), step(20.0, 8.0)],
            ..Profile::default()
        });
        let passed = |from, bytes| {
            course
                .passed(Duration::from_secs(from), bytes)
                .as_secs_f64()
        };
        for (from, bytes, expected) in [
            (0, 1000, 1.0),
            (9, 1000, 10.0),
            (9, 2000, 10.1),
            (10, 10_000, 11.0),
            (9, 101_000 + 2000, 22.0),
            (30, 500, 30.5),
        ] {
            let found = passed(from, bytes);
            assert!((found - expected).abs() < 1e-6, "{from} {bytes}: {found}");
        }
    }

    #[test]
    fn a_blackout_is_dark_from_its_begin_to_its_end() {
        let course = Course::new(&Profile {
            blackouts: vec![Blackout {
                at_seconds: 3.0,
                for_seconds: 2.0,
            }],
            ..Profile::default()
        });
        let dark = |ms| course.is_dark(Duration::from_millis(ms));
        let found = [2999, 3000, 4999, 5000].map(dark);
        assert_eq!(found, [false, true, true, false]);
    }
}
