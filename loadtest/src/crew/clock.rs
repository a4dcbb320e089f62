//! How far another machine's clock is ahead of ours, and how sure that is.
//!
//! Pure: times come in. A question and its answer bound the difference: the other clock was read
//! between both, so half of the round trip is the most that the middle can be wrong by.

use serde::Serialize;

/// Furthest that clocks may be apart, in microseconds: tokens are judged by clocks, and one that
/// nobody sets runs away during the load.
pub(super) const AHEAD_US_MAX: i64 = 10_000_000;
/// The least certainty, in microseconds: half of the shortest delay that is judged, the playlist
/// wake-up. What a clock may move during the load is the same.
pub(super) const WITHIN_US_MAX: i64 = 25_000;

/// One question and its answer, in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trip {
    /// When it was asked, by our clock.
    pub(super) sent_us: i64,
    /// The answer: the other clock.
    pub(super) at_us: i64,
    /// When it came, by our clock.
    pub(super) back_us: i64,
}

/// Another machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Clock {
    /// How far it is ahead of ours, in microseconds: taken out of every delay.
    pub ahead_us: i64,
    /// The most that this is wrong by, in microseconds.
    pub within_us: i64,
    /// How far it has moved since, at least, in microseconds.
    pub moved_us: i64,
}

impl Trip {
    fn clock(self) -> Clock {
        let round_us = self.back_us.saturating_sub(self.sent_us).max(0);
        let middle_us = self.sent_us.saturating_add(round_us / 2);
        Clock {
            ahead_us: self.at_us.saturating_sub(middle_us),
            within_us: (round_us + 1) / 2,
            moved_us: 0,
        }
    }
}

impl Clock {
    /// By the shortest of `trips`. `None`: there are none.
    pub(super) fn of(trips: &[Trip]) -> Option<Self> {
        let clocks = trips.iter().map(|trip| trip.clock());
        clocks.min_by_key(|clock| clock.within_us)
    }

    /// Another look: what both cannot explain is a move.
    pub(super) fn look_again(&mut self, trip: Trip) {
        let now = trip.clock();
        let apart_us = now.ahead_us.saturating_sub(self.ahead_us).saturating_abs();
        let sure_us = apart_us.saturating_sub(self.within_us.saturating_add(now.within_us));
        self.moved_us = self.moved_us.max(sure_us);
    }

    /// Why delays cannot be compared with it.
    pub(super) fn fault(&self) -> Option<String> {
        let seconds = |us: i64| us as f64 / 1e6;
        if self.ahead_us.saturating_abs() > AHEAD_US_MAX {
            return Some(format!(
                "its clock differs by {:.1} s (at most {} s): delays cannot be compared; set it \
                 (chrony, systemd-timesyncd)",
                seconds(self.ahead_us),
                seconds(AHEAD_US_MAX)
            ));
        }
        if self.within_us > WITHIN_US_MAX {
            return Some(format!(
                "its clock is known within {:.0} ms only (at most {} ms): delays cannot be \
                 compared; put the coordinator nearer to it",
                self.within_us as f64 / 1e3,
                WITHIN_US_MAX / 1000
            ));
        }
        (self.moved_us > WITHIN_US_MAX).then(|| {
            let moved_ms = self.moved_us as f64 / 1e3;
            format!("its clock moved by {moved_ms:.0} ms during the load: delays are wrong")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trip(sent_us: i64, at_us: i64, back_us: i64) -> Trip {
        Trip {
            sent_us,
            at_us,
            back_us,
        }
    }

    #[test]
    fn the_shortest_trip_is_believed() {
        let trips = [trip(0, 9_000, 8_000), trip(10_000, 15_100, 10_200)];
        let clock = Clock::of(&trips).unwrap();
        assert_eq!((clock.ahead_us, clock.within_us), (5_000, 100));
        assert_eq!((clock.fault(), Clock::of(&[])), (None, None));
    }

    #[test]
    fn a_long_trip_later_is_no_move_but_a_step_is() {
        let mut clock = Clock::of(&[trip(0, 5_100, 200)]).unwrap();
        clock.look_again(trip(0, 45_000, 80_000));
        assert_eq!(clock.moved_us, 0);
        clock.look_again(trip(0, 105_100, 200));
        assert_eq!(clock.moved_us, 99_800);
        assert!(clock.fault().unwrap().contains("moved by 100 ms"));
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let far = Clock::of(&[trip(0, 60_000_000, 0)]).unwrap();
        assert!(far.fault().unwrap().contains("differs by 60.0 s"));
        let vague = Clock::of(&[trip(0, 0, 90_000)]).unwrap();
        assert!(vague.fault().unwrap().contains("within 45 ms"));
        let absurd = Clock::of(&[trip(i64::MAX, i64::MIN, 0)]).unwrap();
        assert!(absurd.fault().is_some());
    }
}
