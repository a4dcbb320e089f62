//! From pressure to level: one step at a time, with hysteresis. Pure: time is an argument.

use crate::shed::Level;

/// At this pressure a budget is spent: the next step up is due.
const SPENT: f64 = 1.0;
/// From here on it is spent so far that steps follow each other quickly.
const OVERSPENT: f64 = 1.1;
/// Below this the next step down is due. In between nothing moves, so that what a step has saved
/// does not take it back.
const CALM: f64 = 0.85;
/// How long a budget is spent before each step up, in milliseconds.
const UP_MS: i64 = 1000;
/// The same while it is overspent: six steps in two seconds.
const UP_FAST_MS: i64 = 250;
/// How long there is calm before each step down, in milliseconds.
const DOWN_MS: i64 = 750;
/// The same before the join queue opens: who waits would come at once.
const DOWN_QUEUE_MS: i64 = 2000;

/// Where a node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ladder {
    level: Level,
    /// The highest level there is on this node.
    top: Level,
    /// Since when the pressure has been as it is: spent, calm or between; not before the last step.
    since_ms: i64,
    zone: Zone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    Calm,
    Between,
    Spent,
}

impl Zone {
    fn of(pressure: f64) -> Self {
        if pressure >= SPENT {
            Self::Spent
        } else if pressure >= CALM {
            Self::Between
        } else {
            Self::Calm
        }
    }
}

impl Ladder {
    /// At the bottom, with `top` as the highest level.
    pub(super) fn new(top: Level) -> Self {
        Self {
            level: Level::Normal,
            top,
            since_ms: 0,
            zone: Zone::Between,
        }
    }

    /// Where it stands.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Changes the highest level; above it nothing stays.
    pub(super) fn set_top(&mut self, top: Level) {
        self.top = top;
        self.level = self.level.min(top);
    }

    /// Takes the pressure at `now_ms` (1.0: a budget is spent) and makes the step that is due, if
    /// one is.
    pub(super) fn feel(&mut self, now_ms: i64, pressure: f64) -> Level {
        let zone = Zone::of(pressure);
        if zone != self.zone {
            (self.zone, self.since_ms) = (zone, now_ms);
        }
        let lasted_ms = now_ms - self.since_ms;
        let next = match zone {
            Zone::Spent if pressure >= OVERSPENT && lasted_ms >= UP_FAST_MS => self.level.above(),
            Zone::Spent if lasted_ms >= UP_MS => self.level.above(),
            Zone::Calm if lasted_ms >= self.patience_ms() => self.level.below(),
            _ => return self.level,
        };
        let next = next.min(self.top);
        if next != self.level {
            (self.level, self.since_ms) = (next, now_ms);
        }
        next
    }

    fn patience_ms(&self) -> i64 {
        match self.level {
            Level::JoinQueue => DOWN_QUEUE_MS,
            _ => DOWN_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feels `pressure` every 250 ms for `ms`; the levels on the way, without repetitions.
    fn run(ladder: &mut Ladder, now_ms: &mut i64, ms: i64, pressure: f64) -> Vec<Level> {
        let mut path = vec![ladder.level()];
        let end_ms = *now_ms + ms;
        while *now_ms < end_ms {
            *now_ms += 250;
            path.push(ladder.feel(*now_ms, pressure));
        }
        path.dedup();
        path
    }

    #[test]
    fn overload_climbs_in_the_declared_order_and_calm_takes_it_back_in_ten_seconds() {
        let mut ladder = Ladder::new(Level::Redirect);
        let mut now_ms = 0;
        let up = run(&mut ladder, &mut now_ms, 4000, 1.18);
        assert_eq!(up, Level::ALL);
        let mut down = run(&mut ladder, &mut now_ms, 9000, 0.2);
        down.reverse();
        assert_eq!(down, Level::ALL);
    }

    #[test]
    fn mild_pressure_climbs_slowly_and_stops_where_it_is_relieved() {
        let mut ladder = Ladder::new(Level::Redirect);
        let mut now_ms = 0;
        run(&mut ladder, &mut now_ms, 2600, 1.02);
        assert_eq!(ladder.level(), Level::SampleComments);
        run(&mut ladder, &mut now_ms, 60_000, 0.93);
        assert_eq!(
            ladder.level(),
            Level::SampleComments,
            "between, nothing moves"
        );
    }

    #[test]
    fn a_short_spike_is_no_overload() {
        let mut ladder = Ladder::new(Level::Redirect);
        let mut now_ms = 0;
        for _ in 0..20 {
            run(&mut ladder, &mut now_ms, 250, 3.0);
            run(&mut ladder, &mut now_ms, 250, 0.5);
        }
        assert_eq!(ladder.level(), Level::Normal);
    }

    #[test]
    fn without_peers_nobody_is_sent_away() {
        let mut ladder = Ladder::new(Level::JoinQueue);
        let mut now_ms = 0;
        run(&mut ladder, &mut now_ms, 60_000, 2.0);
        assert_eq!(ladder.level(), Level::JoinQueue);
        ladder.set_top(Level::Redirect);
        run(&mut ladder, &mut now_ms, 1000, 2.0);
        assert_eq!(ladder.level(), Level::Redirect);
        ladder.set_top(Level::JoinQueue);
        assert_eq!(ladder.level(), Level::JoinQueue);
    }

    proptest! {
        #[test]
        fn each_step_is_to_a_neighbour_and_calm_ends_all(
            pressures in proptest::collection::vec(0.0..2.0_f64, 1..200),
        ) {
            let mut ladder = Ladder::new(Level::Redirect);
            let mut now_ms = 0;
            for pressure in pressures {
                let before = ladder.level();
                now_ms += 250;
                let after = ladder.feel(now_ms, pressure);
                prop_assert!((before as i8 - after as i8).abs() <= 1);
                prop_assert!(pressure >= SPENT || after <= before);
                prop_assert!(pressure < CALM || after >= before);
            }
            run(&mut ladder, &mut now_ms, 10_000, 0.0);
            prop_assert_eq!(ladder.level(), Level::Normal);
        }
    }
}
