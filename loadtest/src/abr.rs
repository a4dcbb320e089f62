//! Which variant a player takes, after hls.js (`EwmaBandWidthEstimator`, `AbrController`): the
//! throughput is the lower of a quick and a slow moving average; up only with room to spare.
//!
//! Knows no playlist and no clock. hls.js also gives a fragment up that will come too late; here a
//! player goes down when the next segment begins.

use std::f64::consts::SQRT_2;
use std::time::Duration;

/// After so many seconds of transfer a sample counts half, in the quick average.
const QUICK_SECONDS: f64 = 3.0;
/// The same in the slow one.
const SLOW_SECONDS: f64 = 9.0;
/// Shorter transfers are taken to have lasted this long: what comes out of a buffer at once says
/// nothing about a rate.
const LEAST: Duration = Duration::from_millis(50);
/// Before anything is measured, in bit/s.
const FIRST_BPS: f64 = 500_000.0;
/// What a server takes to its first byte, before anything is measured.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// How much of the throughput a variant may take that is played, or a lower one.
const SHARE: f64 = 0.95;
/// How much one above it may.
const SHARE_UP: f64 = 0.7;

/// What a player has learnt of its path.
#[derive(Debug, Default)]
pub struct Throughput {
    quick: Average,
    slow: Average,
    /// Seconds to the first byte.
    wait: Average,
}

impl Throughput {
    /// Notes that `bytes` had come after `took`, the first of them after `waited`. A usual wait is
    /// the server's and the path's length; what is beyond it is its width.
    pub fn note(&mut self, bytes: usize, waited: Duration, took: Duration) {
        let wait = waited.as_secs_f64();
        let usual = self.wait.value().unwrap_or(FIRST_WAIT.as_secs_f64());
        // Long waits say little of the usual one.
        let weight = SQRT_2 * (-wait * wait / 2.0).exp();
        self.wait.note(weight, wait, SLOW_SECONDS);
        let seconds = took.as_secs_f64() - wait.min(usual);
        let seconds = seconds.max(LEAST.as_secs_f64());
        let bps = bytes as f64 * 8.0 / seconds;
        self.quick.note(seconds, bps, QUICK_SECONDS);
        self.slow.note(seconds, bps, SLOW_SECONDS);
    }

    /// Bits a second, as far as is known.
    #[must_use]
    pub fn bps(&self) -> f64 {
        let (quick, slow) = (self.quick.value(), self.slow.value());
        quick.zip(slow).map_or(FIRST_BPS, |(a, b)| a.min(b))
    }

    /// The one of variants that need `bandwidths`, in bit/s, best first, that goes on after number
    /// `current`: the best one that fits, or the last.
    #[must_use]
    pub fn choose(&self, bandwidths: &[u64], current: usize) -> usize {
        let fits = |(index, bandwidth): (usize, &u64)| {
            let share = if index < current { SHARE_UP } else { SHARE };
            *bandwidth as f64 <= self.bps() * share
        };
        let best = bandwidths.iter().enumerate().position(fits);
        best.unwrap_or_else(|| bandwidths.len().saturating_sub(1))
    }
}

/// An exponentially weighted moving average, by the time that the samples took.
#[derive(Debug, Default)]
struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    fn note(&mut self, weight: f64, sample: f64, half_life: f64) {
        let keep = 0.5_f64.powf(weight / half_life);
        self.sum = self.sum * keep + sample * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
    }

    fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LADDER: [u64; 3] = [4_000_000, 1_200_000, 300_000];

    fn after(transfers: &[(usize, u64)]) -> Throughput {
        let mut throughput = Throughput::default();
        for (bytes, ms) in transfers {
            throughput.note(*bytes, Duration::ZERO, Duration::from_millis(*ms));
        }
        throughput
    }

    #[test]
    fn what_is_steady_is_known_at_once() {
        let throughput = after(&[(125_000, 1000)]);
        assert!((throughput.bps() - 1e6).abs() < 1.0);
        let buffered = after(&[(12_500, 0)]);
        assert!((buffered.bps() - 2e6).abs() < 1.0);
    }

    #[test]
    fn a_head_that_waits_behind_losses_is_no_fast_body() {
        let ms = Duration::from_millis;
        let mut throughput = Throughput::default();
        for _ in 0..20 {
            throughput.note(125_000, ms(80), ms(1080));
        }
        assert!((throughput.bps() - 1e6).abs() < 1e4, "{}", throughput.bps());
        for _ in 0..5 {
            throughput.note(125_000, ms(2000), ms(2010));
        }
        assert!(throughput.bps() < 0.8e6, "{}", throughput.bps());
    }

    #[test]
    fn a_fall_is_believed_sooner_than_a_rise() {
        let fast = [(625_000, 1000); 20];
        let slow = [(37_500, 1000); 20];
        let fallen = after(&[&fast[..], &slow[..5]].concat());
        assert_eq!(fallen.choose(&LADDER, 1), 1, "{}", fallen.bps());
        let fallen = after(&[&fast[..], &slow[..9]].concat());
        assert_eq!(fallen.choose(&LADDER, 1), 2, "{}", fallen.bps());
        let risen = after(&[&slow[..], &fast[..2]].concat());
        assert_eq!(risen.choose(&LADDER, 2), 2, "{}", risen.bps());
        let risen = after(&[&slow[..], &fast[..9]].concat());
        assert_eq!(risen.choose(&LADDER, 2), 1, "{}", risen.bps());
    }

    #[test]
    fn up_needs_more_room_than_staying() {
        let between = after(&[(175_000, 1000)]);
        assert_eq!(between.choose(&LADDER, 1), 1);
        assert_eq!(between.choose(&LADDER, 2), 2);
        assert_eq!(after(&[]).choose(&LADDER, 0), 2);
        assert_eq!(after(&[(1, 1000)]).choose(&LADDER, 0), 2);
        assert_eq!(after(&[]).choose(&[9_000_000], 0), 0);
    }
}
