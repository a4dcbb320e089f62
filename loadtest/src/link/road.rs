//! One direction of a link: the queue before it, its rate, and how long packets are under way.

use std::collections::VecDeque;
use std::time::Duration;

use crate::link::{Course, Dice, Profile};

/// What a late datagram waits beside its delay: a quarter of the round trip, at least this.
const LATE_MIN: Duration = Duration::from_millis(5);

/// One direction, shared by all connections and datagrams of a viewer.
#[derive(Debug)]
pub struct Road {
    course: Course,
    delay: Duration,
    jitter: Duration,
    loss: f64,
    reorder: f64,
    /// The queue before the link, in bytes of the wire. Full: a TCP sender waits, datagrams are
    /// dropped.
    queue_bytes_max: usize,
    /// When each packet has left the queue, and its bytes.
    queue: VecDeque<(Duration, usize)>,
    queue_bytes: usize,
    free_at: Duration,
}

/// How a packet passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// When its last byte is on the link.
    pub sent_at: Duration,
    /// When it is on the other side, unless it is lost.
    pub arrives_at: Duration,
}

impl Road {
    /// A direction of a link of `profile`.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        let ms = |ms: f64| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::ZERO);
        Self {
            course: Course::new(profile),
            delay: ms(profile.rtt_ms / 2.0),
            jitter: ms(profile.jitter_ms),
            loss: profile.loss_percent / 100.0,
            reorder: profile.reorder_percent / 100.0,
            queue_bytes_max: (profile.queue_kbytes * 1000.0) as usize,
            queue: VecDeque::new(),
            queue_bytes: 0,
            free_at: Duration::ZERO,
        }
    }

    /// From one end to the other, without the queue and the jitter.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// There and back without any queue, with as much jitter as there may be.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        (self.delay + self.jitter) * 2
    }

    /// How long a packet of no size waits in the queue.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        self.free_at.saturating_sub(now)
    }

    /// When a packet of `bytes` on the wire has room in the queue: `now`, or when enough has left.
    /// One that is larger than the whole queue has room in an empty one.
    pub fn room_at(&mut self, now: Duration, bytes: usize) -> Duration {
        self.leave(now);
        let mut held = self.queue_bytes;
        let mut at = now;
        for (left_at, left) in &self.queue {
            if held + bytes <= self.queue_bytes_max {
                break;
            }
            held -= left;
            at = *left_at;
        }
        at
    }

    /// A packet of `bytes` on the wire joins the queue at `now`.
    pub fn send(&mut self, now: Duration, bytes: usize, dice: &mut Dice) -> Passage {
        self.leave(now);
        self.free_at = self.course.passed(self.free_at.max(now), bytes);
        self.queue.push_back((self.free_at, bytes));
        self.queue_bytes += bytes;
        Passage {
            sent_at: self.free_at,
            arrives_at: self.free_at + self.crossing(dice),
        }
    }

    /// How long a packet is under way once it is on the link.
    pub fn crossing(&self, dice: &mut Dice) -> Duration {
        self.delay + self.jitter.mul_f64(dice.share())
    }

    /// True when a packet is lost that is on the link at `at`.
    pub fn loses(&self, at: Duration, dice: &mut Dice) -> bool {
        // Thrown in the dark too, so that a blackout shifts no later loss.
        dice.falls(self.loss) | self.is_dark(at)
    }

    /// True while nothing comes through.
    #[must_use]
    pub fn is_dark(&self, at: Duration) -> bool {
        self.course.is_dark(at)
    }

    /// A datagram of `bytes` on the wire comes at `now`: when it arrives, or `None`, when the queue
    /// is full or it is lost.
    pub fn datagram(&mut self, now: Duration, bytes: usize, dice: &mut Dice) -> Option<Duration> {
        if self.room_at(now, bytes) > now {
            return None;
        }
        let passage = self.send(now, bytes, dice);
        let is_late = dice.falls(self.reorder);
        if self.loses(passage.sent_at, dice) {
            return None;
        }
        let late = (self.delay / 2).max(LATE_MIN);
        Some(passage.arrives_at + if is_late { late } else { Duration::ZERO })
    }

    fn leave(&mut self, now: Duration) {
        while let Some((_, bytes)) = self.queue.pop_front_if(|(at, _)| *at <= now) {
            self.queue_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Blackout;

    const MS: Duration = Duration::from_millis(1);

    fn profile() -> Profile {
        Profile {
            rate_kbits: 800.0,
            rtt_ms: 80.0,
            queue_kbytes: 10.0,
            ..Profile::default()
        }
    }

    /// Sends `count` datagrams of 1000 bytes, one every `every`; answers when which arrived.
    fn stream(profile: &Profile, count: u32, every: Duration) -> Vec<(u32, Duration)> {
        let (mut road, mut dice) = (Road::new(profile), Dice::new(1));
        let send = |number| {
            let at = road.datagram(every * number, 1000, &mut dice)?;
            Some((number, at))
        };
        (0..count).filter_map(send).collect()
    }

    #[test]
    fn a_datagram_takes_its_time_on_the_link_and_half_the_round_trip() {
        let arrived = stream(&profile(), 3, 20 * MS);
        assert_eq!(arrived, [(0, 50 * MS), (1, 70 * MS), (2, 90 * MS)]);
    }

    #[test]
    fn what_comes_too_fast_is_dropped_at_the_full_queue_and_the_rate_holds() {
        // 1000 bytes a millisecond on a link that carries 100, with a queue of 10 datagrams.
        let arrived = stream(&profile(), 10_000, MS);
        assert_eq!(
            arrived[..10].iter().map(|a| a.0).max(),
            Some(9),
            "the queue took these"
        );
        let (first, last) = (arrived[0].1, arrived[arrived.len() - 1].1);
        let bytes_per_second = (arrived.len() - 1) as f64 * 1000.0 / (last - first).as_secs_f64();
        assert!(
            (99_000.0..101_000.0).contains(&bytes_per_second),
            "{bytes_per_second}"
        );
        for (number, at) in arrived {
            let waited = at - MS * number;
            assert!(
                waited <= 140 * MS,
                "{number}: a queue of 100 ms and 40 ms under way: {waited:?}"
            );
        }
    }

    #[test]
    fn loss_is_as_asked_over_many_datagrams() {
        let lossy = Profile {
            loss_percent: 3.0,
            ..profile()
        };
        let arrived = stream(&lossy, 100_000, 20 * MS).len();
        assert!((96_700..97_300).contains(&arrived), "{arrived}");
        assert_eq!(stream(&lossy, 500, 20 * MS), stream(&lossy, 500, 20 * MS));
    }

    #[test]
    fn a_blackout_swallows_what_is_on_the_link_meanwhile() {
        let dark = Profile {
            blackouts: vec![Blackout {
                at_seconds: 1.0,
                for_seconds: 2.0,
            }],
            ..profile()
        };
        let arrived: Vec<u32> = stream(&dark, 250, 20 * MS).iter().map(|a| a.0).collect();
        let expected: Vec<u32> = (0..250).filter(|n| !(50..150).contains(n)).collect();
        assert_eq!(arrived, expected);
    }

    #[test]
    fn late_datagrams_are_overtaken_and_jitter_stays_in_its_bounds() {
        let late = Profile {
            rtt_ms: 200.0,
            reorder_percent: 10.0,
            ..profile()
        };
        let arrived = stream(&late, 10_000, 20 * MS);
        let overtaken = arrived
            .windows(2)
            .filter(|pair| pair[0].1 > pair[1].1)
            .count();
        assert!((800..1000).contains(&overtaken), "{overtaken}");
        let shaky = Profile {
            jitter_ms: 30.0,
            ..profile()
        };
        let waits = stream(&shaky, 1000, 20 * MS);
        let waits: Vec<Duration> = waits.iter().map(|(n, at)| *at - 20 * MS * *n).collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*least >= 50 * MS && *least < 52 * MS, "{least:?}");
        assert!(*most < 80 * MS && *most > 78 * MS, "{most:?}");
    }
}
