//! One direction of one TCP connection: what goes now, what waits, what has arrived. Sans-IO; the
//! road that it takes is lent for each call.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::link::{Dice, Road, SEGMENT_BYTES, SEGMENT_HEAD_BYTES, Window};

/// The least retransmission timeout beyond the round trip: Linux's.
const TIMEOUT_MIN: Duration = Duration::from_millis(200);
/// The longest wait between two retransmissions (RFC 6298 allows 60 s and more).
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Retransmissions of a segment before it counts as arrived: Linux gives a connection up then.
const TRIES_MAX: u32 = 15;
/// What may be under way and held back, in bytes: the receiver's buffer as Linux has it at most.
/// Full: the sender waits.
const ARRIVING_BYTES_MAX: usize = 6_291_456;

/// One direction of a connection.
#[derive(Debug)]
pub struct Flow {
    dice: Dice,
    window: Window,
    notices: BinaryHeap<Reverse<Notice>>,
    /// What has not been handed over yet, in order: from when on it may be. Empty: the end.
    arriving: VecDeque<(Duration, Bytes)>,
    arriving_bytes: usize,
    /// The retransmission timer runs until then.
    stands_until: Duration,
    sent_at: Duration,
    /// The last overflow of the queue is noticed then.
    overflow_until: Duration,
}

/// What the sender hears at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Notice {
    at: Duration,
    sent_at: Duration,
    /// Bytes that arrived; `None`: a segment was lost.
    arrived_bytes: Option<usize>,
}

impl Flow {
    /// A new connection's direction, whose losses follow `dice`.
    #[must_use]
    pub fn new(dice: Dice) -> Self {
        Self {
            dice,
            window: Window::default(),
            notices: BinaryHeap::new(),
            arriving: VecDeque::new(),
            arriving_bytes: 0,
            stands_until: Duration::ZERO,
            sent_at: Duration::ZERO,
            overflow_until: Duration::ZERO,
        }
    }

    /// When a segment may go: `now`, or when to ask again.
    pub fn goes_at(&mut self, road: &mut Road, now: Duration) -> Duration {
        self.hear(now);
        if self.stands_until > now {
            return self.stands_until;
        }
        if !self.window.has_room() {
            let next = self.notices.peek().map(|Reverse(notice)| notice.at);
            return next.unwrap_or(now);
        }
        if self.arriving_bytes >= ARRIVING_BYTES_MAX {
            return self.next_arrival().unwrap_or(now);
        }
        let room_at = road.room_at(now, SEGMENT_BYTES + SEGMENT_HEAD_BYTES);
        if room_at > now && self.overflow_until <= now && !self.window.is_idle() {
            // What the queue would drop is noticed when what stands before it has arrived.
            self.overflow_until = now + road.wait(now) + road.round_trip();
            self.notices.push(Reverse(Notice {
                at: self.overflow_until,
                sent_at: now,
                arrived_bytes: None,
            }));
        }
        room_at
    }

    /// A segment of at most [`SEGMENT_BYTES`] goes; without bytes it is the end of the stream.
    pub fn send(&mut self, road: &mut Road, now: Duration, bytes: Bytes) {
        let timeout = road.round_trip() + road.wait(now) + TIMEOUT_MIN;
        if self.window.is_idle() && now > self.sent_at + timeout {
            self.window.rested();
        }
        self.sent_at = now;
        let passage = road.send(now, bytes.len() + SEGMENT_HEAD_BYTES, &mut self.dice);
        let arrives_at = match road.loses(passage.sent_at, &mut self.dice) {
            false => passage.arrives_at,
            true => self.send_again(road, passage.sent_at, timeout),
        };
        self.window.sent(bytes.len());
        self.notices.push(Reverse(Notice {
            at: arrives_at + road.delay(),
            sent_at: now,
            arrived_bytes: Some(bytes.len()),
        }));
        let before = self.arriving.back().map_or(Duration::ZERO, |(at, _)| *at);
        self.arriving_bytes += bytes.len();
        self.arriving.push_back((arrives_at.max(before), bytes));
    }

    /// When a segment arrives after all that was lost on the road at `lost_at`.
    fn send_again(&mut self, road: &Road, lost_at: Duration, timeout: Duration) -> Duration {
        let mut at = lost_at;
        if !road.is_dark(at) {
            // What follows arrives and tells of the gap: fast retransmit.
            at += road.delay() * 2;
            self.notices.push(Reverse(Notice {
                at,
                sent_at: self.sent_at,
                arrived_bytes: None,
            }));
            if !road.loses(at, &mut self.dice) {
                return at + road.crossing(&mut self.dice);
            }
        }
        let mut wait = timeout;
        for _ in 0..TRIES_MAX {
            at += wait;
            wait = (wait * 2).min(TIMEOUT_MAX);
            if !road.loses(at, &mut self.dice) {
                break;
            }
        }
        self.stands_until = self.stands_until.max(at);
        self.window.timed_out(at);
        at + road.crossing(&mut self.dice)
    }

    /// The next segment that has arrived in order; an empty one is the end of the stream.
    pub fn arrived(&mut self, now: Duration) -> Option<Bytes> {
        let (_, bytes) = self.arriving.pop_front_if(|(at, _)| *at <= now)?;
        self.arriving_bytes -= bytes.len();
        Some(bytes)
    }

    /// When the next segment arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        self.arriving.front().map(|(at, _)| *at)
    }

    fn hear(&mut self, now: Duration) {
        while let Some(Reverse(notice)) = self.notices.peek().copied() {
            if notice.at > now {
                return;
            }
            self.notices.pop();
            match notice.arrived_bytes {
                Some(bytes) => self.window.arrived(bytes),
                None => self.window.lost(notice.at, notice.sent_at),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Blackout, Profile};

    const MS: Duration = Duration::from_millis(1);

    /// A sender that always has something, for `length`: when which bytes had arrived.
    fn bulk(profile: &Profile, length: Duration) -> Vec<(Duration, usize)> {
        let (mut road, mut flow) = (Road::new(profile), Flow::new(Dice::new(3)));
        let (mut now, mut arrived) = (Duration::ZERO, Vec::new());
        while now < length {
            while let Some(bytes) = flow.arrived(now) {
                arrived.push((now, bytes.len()));
            }
            let goes_at = flow.goes_at(&mut road, now);
            if goes_at <= now {
                flow.send(&mut road, now, Bytes::from_static(&[0; SEGMENT_BYTES]));
                continue;
            }
            now = flow.next_arrival().map_or(goes_at, |at| at.min(goes_at));
        }
        arrived
    }

    fn mbits(arrived: &[(Duration, usize)], length: Duration) -> f64 {
        let bytes: usize = arrived.iter().map(|(_, bytes)| bytes).sum();
        bytes as f64 * 8e-6 / length.as_secs_f64()
    }

    #[test]
    fn a_clean_link_is_used_whole() {
        for (rate_kbits, rtt_ms) in [(300.0, 20.0), (5000.0, 80.0), (5000.0, 200.0)] {
            let profile = Profile {
                rate_kbits,
                rtt_ms,
                queue_kbytes: 128.0,
                ..Profile::default()
            };
            let length = Duration::from_secs(60);
            let found = mbits(&bulk(&profile, length), length);
            let carried = rate_kbits / 1000.0 * 1448.0 / 1500.0;
            assert!(found <= carried * 1.001, "{rate_kbits} {rtt_ms}: {found}");
            assert!(found >= carried * 0.95, "{rate_kbits} {rtt_ms}: {found}");
        }
    }

    /// Mathis et al. 1997: the rate is a segment in a round trip times the root of 1.5 / loss.
    #[test]
    fn loss_limits_the_rate_as_mathis_says() {
        for (loss_percent, rtt_ms) in [(0.1, 80.0), (1.0, 80.0), (1.0, 200.0), (3.0, 100.0)] {
            let profile = Profile {
                rate_kbits: 1e6,
                rtt_ms,
                loss_percent,
                queue_kbytes: 10_000.0,
                ..Profile::default()
            };
            let length = Duration::from_secs(600);
            let found = mbits(&bulk(&profile, length), length);
            let expected = 1448.0 * 8e-6 / (rtt_ms / 1000.0) * (150.0 / loss_percent).sqrt();
            let share = found / expected;
            assert!(
                (1.0..1.4).contains(&share),
                "{loss_percent} % {rtt_ms} ms: {share}"
            );
        }
    }

    #[test]
    fn a_lost_segment_holds_back_what_follows_for_a_round_trip() {
        let profile = Profile {
            rtt_ms: 100.0,
            loss_percent: 1.0,
            ..Profile::default()
        };
        let (mut road, mut flow) = (Road::new(&profile), Flow::new(Dice::new(3)));
        let mut waits = Vec::new();
        for number in 0..2000_u32 {
            let sent_at = 10 * MS * number;
            flow.send(&mut road, sent_at, Bytes::from_static(&[0; 100]));
            while flow
                .arrived(flow.next_arrival().unwrap_or_default())
                .is_some()
            {}
            let last = flow.notices.iter().map(|Reverse(n)| n.at).max();
            waits.push(last.unwrap_or_default().saturating_sub(sent_at));
            flow.hear(sent_at);
        }
        let round_trip = |wait: &&Duration| **wait >= 200 * MS && **wait < 202 * MS;
        let lost = waits.iter().filter(round_trip).count();
        assert!(lost > 0, "a hundredth of 2000 waits once more: {waits:?}");
    }

    #[test]
    fn nothing_arrives_in_the_dark_and_the_timer_decides_when_it_goes_on() {
        let profile = Profile {
            rate_kbits: 1000.0,
            rtt_ms: 100.0,
            blackouts: vec![Blackout {
                at_seconds: 5.0,
                for_seconds: 2.0,
            }],
            ..Profile::default()
        };
        let arrived = bulk(&profile, Duration::from_secs(20));
        let (dark, light) = (5050 * MS, 7050 * MS);
        assert!(arrived.iter().all(|(at, _)| *at <= dark || *at >= light));
        let back = arrived.iter().find(|(at, _)| *at >= light).unwrap().0;
        // Each wait is twice as long as the one before: the last one at most as long as it was dark
        // until it began, and a timeout.
        assert!(back < 9700 * MS, "{back:?}");
        let late = arrived.iter().filter(|(at, _)| *at > 12_000 * MS);
        let late: usize = late.map(|(_, bytes)| bytes).sum();
        assert!(late > 900_000, "the old rate is found again: {late}");
    }
}
