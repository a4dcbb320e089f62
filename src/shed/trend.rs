//! Where the pressure goes: a node that fills up begins to shed before it is full. Pure: time is an
//! argument.

use std::collections::VecDeque;

/// Over how much of the past the rise is taken, in milliseconds: twice what pressure is averaged
/// over.
const PAST_MS: i64 = 2000;
/// How far ahead is looked, in milliseconds: what all steps up to the join queue take when they
/// follow each other quickly, and half a second that the average is behind.
const AHEAD_MS: i64 = 2500;
/// Below this a rise is a node that comes into use, and not one that fills up.
const NEAR: f64 = 0.7;
/// The most that a rise adds: sudden work is no overload unless it stays.
const RISE_MAX: f64 = 0.4;

/// The pressures of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Trend(VecDeque<(i64, f64)>);

impl Trend {
    /// Takes the pressure at `now_ms`; what it will soon be if it goes on to rise as it does.
    pub(super) fn take(&mut self, now_ms: i64, pressure: f64) -> f64 {
        while self
            .0
            .front()
            .is_some_and(|(at_ms, _)| now_ms - at_ms > PAST_MS)
        {
            self.0.pop_front();
        }
        let (from_ms, from) = self.0.front().copied().unwrap_or((now_ms, pressure));
        self.0.push_back((now_ms, pressure));
        let past_ms = now_ms - from_ms;
        if past_ms <= 0 || pressure < NEAR {
            return pressure;
        }
        let rise = (pressure - from) * AHEAD_MS as f64 / past_ms as f64;
        pressure + rise.clamp(0.0, RISE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last answer when the pressure is `pressure(seconds)` for some seconds.
    fn after(seconds: i64, pressure: impl Fn(f64) -> f64) -> f64 {
        let mut trend = Trend::default();
        let looks = (0..=seconds * 1000).step_by(250);
        let soon = looks.map(|at_ms| trend.take(at_ms, pressure(at_ms as f64 / 1000.0)));
        soon.last().expect("some looks")
    }

    #[test]
    fn a_node_that_fills_up_is_full_before_it_is() {
        let soon = after(9, |seconds| 0.1 * seconds);
        assert!((soon - 1.15).abs() < 1e-9, "{soon}");
    }

    #[test]
    fn what_stands_or_falls_is_what_it_is() {
        assert!((after(9, |_| 0.95) - 0.95).abs() < 1e-9);
        let soon = after(2, |seconds| 1.2 - 0.1 * seconds);
        assert!((soon - 1.0).abs() < 1e-9, "{soon}");
    }

    #[test]
    fn a_node_that_comes_into_use_does_not_fill_up() {
        let soon = after(1, |seconds| 0.6 * seconds);
        assert!((soon - 0.6).abs() < 1e-9, "{soon}");
        assert!(after(1, |seconds| 5.0 * seconds) <= 5.0 + RISE_MAX);
    }

    #[test]
    fn the_past_is_forgotten() {
        let mut trend = Trend::default();
        for look in 0..1000 {
            trend.take(look * 250, 0.5);
        }
        assert!(trend.0.len() <= 10);
    }
}
