//! What players tell of themselves, summed: per room for those who ask why, of all rooms for
//! Prometheus. Reports of events come at least once; a repeated one is counted once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::protocol::cmcd::Cmcd;
use crate::telemetry::{Meter, Metrics};

/// Rooms with sums of their own, at 3 KB each; what players tell of later ones counts for the node
/// only.
const ROOMS_MAX: usize = 1000;

/// Events of one session in a minute, beyond which it is told to stop: a player that reports each
/// response, of two renditions with five parts a second, sends a fifth of it.
const EVENTS_MINUTE_MAX: u32 = 6000;

/// Sessions whose newest reports are remembered in one generation; two generations are kept.
const SESSIONS_MAX: usize = 50_000;

/// Of one room, since the node started.
#[derive(Debug, Default)]
pub struct PlayerSums {
    requests: AtomicU64,
    starved: AtomicU64,
    /// Media in the buffer, in microseconds.
    pub buffer: Meter,
    /// Distance from the live edge, in microseconds.
    pub latency: Meter,
    /// Throughput that players measured, in kbit/s.
    pub throughput: Meter,
}

/// Of all rooms.
#[derive(Debug)]
pub(super) struct Players {
    rooms: Mutex<HashMap<Box<str>, Arc<PlayerSums>>>,
    sessions: Mutex<Sessions>,
    requests: Counter,
    starved: Counter,
    startups: Counter,
    repeated: Counter,
    stopped: Counter,
    buffer: Histogram,
    latency: Histogram,
    throughput: Histogram,
    start: Histogram,
}

/// What is remembered of sessions that report events.
#[derive(Debug, Default)]
struct Sessions {
    new: HashMap<Box<str>, Session>,
    old: HashMap<Box<str>, Session>,
}

/// The newest reports of a session.
#[derive(Debug, Clone, Copy, Default)]
struct Session {
    /// The highest number.
    highest: u32,
    /// A bit for it, and for each of the 63 below it.
    seen: u64,
    /// The minute of the newest report, and how many came in it.
    minute: u64,
    events: u32,
    /// It was told to stop.
    stopped: bool,
}

/// What an event is to those who count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has not come before.
    New,
    /// It has.
    Repeated,
    /// Its session has sent too many and is told to stop, for good.
    Unwanted,
}

impl PlayerSums {
    /// Requests and reports that told something.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Those that told of a buffer that ran empty.
    #[must_use]
    pub fn starved(&self) -> u64 {
        self.starved.load(Ordering::Relaxed)
    }

    fn add(&self, set: &Cmcd) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.starved.fetch_add(set.bs.into(), Ordering::Relaxed);
        let times = [(set.bl, &self.buffer), (set.ltc, &self.latency)];
        for (value, meter) in times {
            if let Some(ms) = value {
                meter.add(i64::from(ms) * 1000);
            }
        }
        if let Some(kbps) = set.mtp {
            self.throughput.add(kbps.into());
        }
    }
}

impl Players {
    pub(super) fn register(metrics: &Metrics) -> Self {
        // 50 ms to 51 s; 100 kbit/s to 205 Mbit/s.
        let seconds = || Histogram::new(exponential_buckets(0.05, 2.0, 11));
        let this = Self {
            rooms: Mutex::default(),
            sessions: Mutex::default(),
            requests: Counter::default(),
            starved: Counter::default(),
            startups: Counter::default(),
            repeated: Counter::default(),
            stopped: Counter::default(),
            buffer: seconds(),
            latency: seconds(),
            throughput: Histogram::new(exponential_buckets(100.0, 2.0, 12)),
            start: seconds(),
        };
        this.export(metrics);
        this
    }

    fn export(&self, metrics: &Metrics) {
        let counters = [
            (
                "player_reports",
                "Requests and events in which players told of themselves",
                &self.requests,
            ),
            (
                "player_starvations",
                "Those of them after a buffer had run empty",
                &self.starved,
            ),
            (
                "player_urgent_requests",
                "Those of them made to start or to recover",
                &self.startups,
            ),
            (
                "player_reports_repeated",
                "Events that came again and were not counted",
                &self.repeated,
            ),
            (
                "player_reports_unwanted",
                "Events of sessions that were told to stop",
                &self.stopped,
            ),
        ];
        for (name, help, counter) in counters {
            metrics.register("delivery", name, help, counter.clone());
        }
        let histograms = [
            (
                "player_buffer_seconds",
                "Media in the buffers of players",
                &self.buffer,
            ),
            (
                "player_latency_seconds",
                "Distance of players from the live edge",
                &self.latency,
            ),
            (
                "player_throughput_kilobits",
                "Throughput per second that players measured",
                &self.throughput,
            ),
            (
                "player_start_seconds",
                "From a player's wish to its first picture",
                &self.start,
            ),
        ];
        for (name, help, histogram) in histograms {
            metrics.register("delivery", name, help, histogram.clone());
        }
    }

    pub(super) fn room(&self, room: &str) -> Option<Arc<PlayerSums>> {
        self.rooms.lock().get(room).cloned()
    }

    /// Sums one set, for `room` if it has one.
    pub(super) fn add(&self, room: &str, set: &Cmcd) {
        self.requests.inc();
        self.starved.inc_by(set.bs.into());
        self.startups.inc_by(set.su.into());
        let times = [
            (set.bl, &self.buffer),
            (set.ltc, &self.latency),
            (set.msd, &self.start),
        ];
        for (value, histogram) in times {
            if let Some(ms) = value {
                histogram.observe(f64::from(ms) / 1000.0);
            }
        }
        if let Some(kbps) = set.mtp {
            self.throughput.observe(kbps.into());
        }
        if let Some(sums) = self.sums(room) {
            sums.add(set);
        }
    }

    fn sums(&self, room: &str) -> Option<Arc<PlayerSums>> {
        if room.is_empty() {
            return None;
        }
        let mut rooms = self.rooms.lock();
        if let Some(sums) = rooms.get(room) {
            return Some(sums.clone());
        }
        if rooms.len() >= ROOMS_MAX {
            return None;
        }
        let sums = Arc::<PlayerSums>::default();
        rooms.insert(room.into(), sums.clone());
        Some(sums)
    }

    /// Takes note of report `number` of session `sid`, which came in the minute `minute`.
    pub(super) fn see(&self, sid: &str, number: Option<u32>, minute: u64) -> Seen {
        let seen = self.sessions.lock().take(sid, number, minute);
        match seen {
            Seen::New => 0,
            Seen::Repeated => self.repeated.inc(),
            Seen::Unwanted => self.stopped.inc(),
        };
        seen
    }
}

impl Sessions {
    fn take(&mut self, sid: &str, number: Option<u32>, minute: u64) -> Seen {
        let known = self.new.get(sid).copied().or_else(|| self.old.remove(sid));
        let mut session = known.unwrap_or_default();
        let seen = session.take(number, minute);
        if self.new.len() >= SESSIONS_MAX && !self.new.contains_key(sid) {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(sid.into(), session);
        seen
    }
}

impl Session {
    fn take(&mut self, number: Option<u32>, minute: u64) -> Seen {
        if self.minute != minute {
            (self.minute, self.events) = (minute, 0);
        }
        self.events += 1;
        self.stopped |= self.events > EVENTS_MINUTE_MAX;
        if self.stopped {
            return Seen::Unwanted;
        }
        match number {
            Some(number) if !self.is_new(number) => Seen::Repeated,
            _ => Seen::New,
        }
    }

    fn is_new(&mut self, number: u32) -> bool {
        if number > self.highest || self.seen == 0 {
            let shift = number.saturating_sub(self.highest);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = number;
            return true;
        }
        // What is further back than 64 reports was told long ago.
        let bit = 1_u64.checked_shl(self.highest - number).unwrap_or(0);
        let is_new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_counted_once() {
        let players = Players::register(&Metrics::default());
        let told = [1, 2, 2, 5, 4, 4, 1, 200, 130, 199];
        let is_new = |sid: &str, number| players.see(sid, Some(number), 1) == Seen::New;
        let new: Vec<bool> = told.map(|number| is_new("s", number)).into();
        let expected = [
            true, true, false, true, true, false, false, true, false, true,
        ];
        assert_eq!(new, expected);
        assert!(is_new("other", 2));
        // Without a number nothing is known to have come twice.
        assert_eq!(players.see("s", None, 1), Seen::New);
        assert_eq!(players.see("s", None, 1), Seen::New);
    }

    #[test]
    fn who_floods_is_told_to_stop_for_good() {
        let mut sessions = Sessions::default();
        for number in 1..=2 * EVENTS_MINUTE_MAX {
            let minute = u64::from(number > EVENTS_MINUTE_MAX);
            assert_eq!(sessions.take("busy", Some(number), minute), Seen::New);
        }
        let one_more = Some(2 * EVENTS_MINUTE_MAX + 1);
        assert_eq!(sessions.take("busy", one_more, 1), Seen::Unwanted);
        assert_eq!(sessions.take("busy", one_more, 7), Seen::Unwanted);
        assert_eq!(sessions.take("other", Some(1), 1), Seen::New);
    }

    #[test]
    fn sessions_are_forgotten_in_generations() {
        let mut sessions = Sessions::default();
        for session in 0..3 * SESSIONS_MAX {
            assert_eq!(sessions.take(&session.to_string(), Some(1), 1), Seen::New);
        }
        assert!(sessions.new.len() + sessions.old.len() <= 2 * SESSIONS_MAX);
        let newest = (3 * SESSIONS_MAX - 1).to_string();
        assert_eq!(sessions.take(&newest, Some(1), 1), Seen::Repeated);
    }

    #[test]
    fn rooms_are_bounded() {
        let players = Players::register(&Metrics::default());
        let set = Cmcd {
            bs: true,
            bl: Some(900),
            ..Cmcd::default()
        };
        for room in 0..ROOMS_MAX + 10 {
            players.add(&room.to_string(), &set);
        }
        assert_eq!(players.rooms.lock().len(), ROOMS_MAX);
        assert_eq!(players.room("7").map(|sums| sums.starved()), Some(1));
        assert_eq!(players.starved.get(), ROOMS_MAX as u64 + 10);
    }
}
