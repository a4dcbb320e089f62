//! The join queue: numbers are given out in the order of coming and called at the rate that the
//! node can take. Pure: time is an argument.
//!
//! Nobody is remembered: who comes back says his number, and one number is compared with it.

/// The slowest rate, in viewers a second: who waits sees the queue move.
const PER_SECOND_MIN: f64 = 2.0;
/// The fastest rate.
const PER_SECOND_MAX: f64 = 10_000.0;
/// Below this pressure more may come than now; above 1.0 fewer.
const ROOM: f64 = 0.9;
/// Called numbers are good for this long, in seconds; then they are as none.
const GOOD_SECONDS: f64 = 60.0;

/// Who may come in, and who waits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Queue {
    per_second: f64,
    /// The last number given out.
    issued: u64,
    /// Numbers up to this one are called.
    called: f64,
    at_ms: i64,
    wait_seconds_max: f64,
}

/// What becomes of somebody who comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// He may come in.
    Called,
    /// He waits behind `ahead` others, for so many seconds if the rate stays as it is.
    Waits {
        number: u64,
        ahead: u64,
        seconds: f64,
    },
    /// So many wait that he is given no number.
    Full,
}

impl Queue {
    /// An empty queue in which nobody waits longer than `wait_seconds_max`.
    pub(super) fn new(wait_seconds_max: u32) -> Self {
        Self {
            per_second: PER_SECOND_MIN,
            issued: 0,
            called: 0.0,
            at_ms: 0,
            wait_seconds_max: wait_seconds_max.into(),
        }
    }

    pub(super) fn set_wait_seconds_max(&mut self, seconds: u32) {
        self.wait_seconds_max = seconds.into();
    }

    /// Begins to make people wait, after `joins_per_second` have been coming: half of them go on
    /// coming, until [`Self::adapt`] knows better. Numbers of earlier are called.
    pub(super) fn begin(&mut self, now_ms: i64, joins_per_second: f64) {
        self.called = self.called.max(self.issued as f64);
        self.at_ms = now_ms;
        self.per_second = (joins_per_second / 2.0).clamp(PER_SECOND_MIN, PER_SECOND_MAX);
    }

    /// Follows what the node can take; to be called each second.
    pub(super) fn adapt(&mut self, now_ms: i64, pressure: f64) {
        self.advance(now_ms);
        let factor = match pressure {
            p if p >= 1.0 => 0.7,
            p if p < ROOM && self.waiting() > 0 => 1.25,
            _ => 1.0,
        };
        self.per_second = (self.per_second * factor).clamp(PER_SECOND_MIN, PER_SECOND_MAX);
    }

    /// Somebody comes, with his `number` if he has been here before.
    pub(super) fn come(&mut self, now_ms: i64, number: Option<u64>) -> Place {
        self.advance(now_ms);
        let oldest = self.called - self.per_second * GOOD_SECONDS;
        let is_good = |number: &u64| *number <= self.issued && *number as f64 >= oldest;
        let number = number.filter(is_good).unwrap_or(self.issued + 1);
        let ahead = number as f64 - self.called;
        let seconds = ahead / self.per_second;
        if number > self.issued {
            if seconds > self.wait_seconds_max {
                return Place::Full;
            }
            self.issued = number;
        }
        if ahead <= 0.0 {
            return Place::Called;
        }
        Place::Waits {
            number,
            ahead: ahead.ceil() as u64,
            seconds,
        }
    }

    /// Numbers that are given out and not called.
    pub(super) fn waiting(&self) -> u64 {
        (self.issued as f64 - self.called).max(0.0).ceil() as u64
    }

    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    fn advance(&mut self, now_ms: i64) {
        let seconds = (now_ms - self.at_ms).max(0) as f64 / 1000.0;
        self.at_ms = now_ms;
        // What nobody wants is not saved up, but for a tenth of a second.
        let most = self.issued as f64 + (self.per_second / 10.0).max(1.0);
        self.called = (self.called + seconds * self.per_second).min(most);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn busy(per_second: f64) -> Queue {
        let mut queue = Queue::new(120);
        queue.begin(0, per_second * 2.0);
        queue
    }

    fn seconds(place: Place) -> f64 {
        match place {
            Place::Called => 0.0,
            Place::Waits { seconds, .. } => seconds,
            Place::Full => f64::INFINITY,
        }
    }

    #[test]
    fn who_waits_is_told_the_truth_and_called_then() {
        let mut queue = busy(100.0);
        let places: Vec<Place> = (0..1000).map(|_| queue.come(0, None)).collect();
        for (index, place) in places.iter().enumerate() {
            let Place::Waits {
                number,
                ahead,
                seconds,
            } = *place
            else {
                panic!("{index}: {place:?}");
            };
            assert_eq!((number, ahead), (index as u64 + 1, index as u64 + 1));
            let told_ms = (seconds * 1000.0).ceil() as i64 + 1;
            let mut then = queue.clone();
            assert_eq!(then.come(told_ms, Some(number)), Place::Called);
            let mut before = queue.clone();
            assert_ne!(before.come(told_ms - 20, Some(number)), Place::Called);
        }
        assert_eq!(queue.waiting(), 1000);
    }

    #[test]
    fn a_number_keeps_its_place_when_the_rate_changes() {
        let mut queue = busy(100.0);
        let numbers: Vec<Place> = (0..500).map(|_| queue.come(0, None)).collect();
        let Some(Place::Waits { number, .. }) = numbers.last() else {
            panic!("the last one waits");
        };
        queue.adapt(1000, 1.1);
        let later = seconds(queue.come(1000, Some(*number)));
        assert!((later - 400.0 / 70.0).abs() < 0.1, "{later}");
        for second in 2..6 {
            queue.adapt(second * 1000, 0.5);
        }
        assert!(queue.per_second() > 100.0);
        assert_eq!(queue.come(20_000, Some(*number)), Place::Called);
    }

    #[test]
    fn nobody_is_given_a_place_that_takes_for_ever() {
        let mut queue = busy(10.0);
        let places = (0..100_000).map(|_| queue.come(0, None));
        let waiting = places.filter(|place| *place != Place::Full).count();
        assert_eq!(waiting, 1200);
        assert_eq!(queue.waiting(), 1200);
    }

    #[test]
    fn numbers_that_were_not_given_out_are_none() {
        let mut queue = busy(10.0);
        queue.come(0, None);
        let Place::Waits { number, .. } = queue.come(0, Some(1 << 60)) else {
            panic!("he waits like all others");
        };
        assert_eq!(number, 2);
        // A number from long ago is as none, too.
        for at_ms in (0..200_000).step_by(50) {
            queue.come(at_ms, None);
        }
        assert_ne!(queue.come(200_000, Some(1)), Place::Called);
    }

    proptest! {
        #[test]
        fn no_more_come_in_than_the_rate_allows(
            arrivals in proptest::collection::vec(0..50_i64, 1..2000),
        ) {
            let mut queue = busy(50.0);
            let (mut now_ms, mut called, mut held) = (0, 0_u64, Vec::new());
            for pause_ms in arrivals {
                now_ms += pause_ms;
                match queue.come(now_ms, None) {
                    Place::Called => called += 1,
                    Place::Waits { number, .. } => held.push(number),
                    Place::Full => {}
                }
                held.retain(|number| match queue.come(now_ms, Some(*number)) {
                    Place::Called => { called += 1; false }
                    _ => true,
                });
            }
            let allowed = now_ms as f64 / 1000.0 * 50.0 + 6.0;
            prop_assert!(called as f64 <= allowed, "{} of {}", called, allowed);
        }
    }
}
