//! How far two clocks are apart, from pings (D9).
//!
//! The sample with the shortest round trip of the last [`SAMPLES_MAX`] is believed: its two legs
//! had the least queueing, so they differ the least. The error is half its round trip, for the legs
//! may be unequal.

use std::collections::VecDeque;

use crate::relay::wire::control::Estimate;

/// Samples that are remembered, one a second: old enough to meet a quiet moment, young enough to
/// follow a drifting clock (16 s at 50 ppm is 0.8 ms).
const SAMPLES_MAX: usize = 16;

/// The estimate of one link.
#[derive(Debug, Default)]
pub(super) struct Clock(VecDeque<Estimate>);

/// The four times of one ping, in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Departure, by the child's clock.
    pub(super) sent_us: i64,
    /// Arrival, by the parent's clock.
    pub(super) received_us: i64,
    /// Departure of the answer, by the parent's clock.
    pub(super) answered_us: i64,
    /// Arrival of the answer, by the child's clock.
    pub(super) returned_us: i64,
}

impl Clock {
    /// Takes in a sample; one whose times run backward is left out.
    pub(super) fn add(&mut self, sample: Sample) {
        let away = sample.returned_us.saturating_sub(sample.sent_us);
        let held = sample.answered_us.saturating_sub(sample.received_us);
        let Ok(rtt_us) = u64::try_from(away.saturating_sub(held)) else {
            return;
        };
        let up = sample.sent_us.saturating_sub(sample.received_us);
        let down = sample.returned_us.saturating_sub(sample.answered_us);
        if self.0.len() == SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Estimate {
            rtt_us,
            offset_us: up.midpoint(down),
            error_us: rtt_us.div_ceil(2),
        });
    }

    /// The best estimate so far.
    pub(super) fn estimate(&self) -> Option<Estimate> {
        self.0.iter().copied().min_by_key(|sample| sample.rtt_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ping over legs of `up` and `down` microseconds to a clock that lags by `offset`.
    fn ping(clock: &mut Clock, up: i64, down: i64, offset: i64) {
        let sent_us = 1_000_000;
        let received_us = sent_us + up - offset;
        let answered_us = received_us + 30;
        clock.add(Sample {
            sent_us,
            received_us,
            answered_us,
            returned_us: answered_us + offset + down,
        });
    }

    #[test]
    fn shortest_round_trip_is_believed() {
        let mut clock = Clock::default();
        assert_eq!(clock.estimate(), None);
        ping(&mut clock, 9000, 1000, 500_000);
        ping(&mut clock, 1000, 1002, 500_000);
        ping(&mut clock, 70_000, 1000, 500_000);
        let estimate = clock.estimate().unwrap();
        assert_eq!((estimate.rtt_us, estimate.error_us), (2002, 1001));
        assert_eq!(
            estimate.offset_us, 500_001,
            "off by half the legs' difference"
        );
    }

    #[test]
    fn estimate_follows_the_clock_and_bad_samples_are_left_out() {
        let mut clock = Clock::default();
        ping(&mut clock, 10, 10, 0);
        ping(&mut clock, -500, 10, 0);
        assert_eq!(clock.estimate().map(|estimate| estimate.rtt_us), Some(20));
        for _ in 0..SAMPLES_MAX {
            ping(&mut clock, 100, 100, -7000);
        }
        assert_eq!(
            clock.estimate().map(|estimate| estimate.offset_us),
            Some(-7000)
        );
    }
}
