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
    buffer: Histogram,
    latency: Histogram,
    throughput: Histogram,
    start: Histogram,
}

/// The newest reports of each session: the highest number, and a bit for each of the 64 below it.
#[derive(Debug, Default)]
struct Sessions {
    new: HashMap<Box<str>, (u32, u64)>,
    old: HashMap<Box<str>, (u32, u64)>,
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
            buffer: seconds(),
            latency: seconds(),
            throughput: Histogram::new(exponential_buckets(100.0, 2.0, 12)),
            start: seconds(),
        };
        let counters = [
            (
                "player_reports",
                "Requests and events in which players told of themselves",
                &this.requests,
            ),
            (
                "player_starvations",
                "Those of them after a buffer had run empty",
                &this.starved,
            ),
            (
                "player_urgent_requests",
                "Those of them made to start or to recover",
                &this.startups,
            ),
            (
                "player_reports_repeated",
                "Events that came again and were not counted",
                &this.repeated,
            ),
        ];
        for (name, help, counter) in counters {
            metrics.register("delivery", name, help, counter.clone());
        }
        let histograms = [
            (
                "player_buffer_seconds",
                "Media in the buffers of players",
                &this.buffer,
            ),
            (
                "player_latency_seconds",
                "Distance of players from the live edge",
                &this.latency,
            ),
            (
                "player_throughput_kilobits",
                "Throughput per second that players measured",
                &this.throughput,
            ),
            (
                "player_start_seconds",
                "From a player's wish to its first picture",
                &this.start,
            ),
        ];
        for (name, help, histogram) in histograms {
            metrics.register("delivery", name, help, histogram.clone());
        }
        this
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

    /// True when the report `number` of session `sid` has not been seen.
    pub(super) fn is_new(&self, sid: &str, number: u32) -> bool {
        let new = self.sessions.lock().take(sid, number);
        if !new {
            self.repeated.inc();
        }
        new
    }
}

impl Sessions {
    fn take(&mut self, sid: &str, number: u32) -> bool {
        let known = self.new.get(sid).copied();
        let Some((highest, seen)) = known.or_else(|| self.old.remove(sid)) else {
            self.put(sid, (number, 1));
            return true;
        };
        let (state, new) = if number > highest {
            let shifted = seen.checked_shl(number - highest).unwrap_or(0);
            ((number, shifted | 1), true)
        } else {
            // What is further back than 64 reports was told long ago.
            let bit = 1_u64.checked_shl(highest - number).unwrap_or(0);
            ((highest, seen | bit), bit != 0 && seen & bit == 0)
        };
        self.put(sid, state);
        new
    }

    fn put(&mut self, sid: &str, state: (u32, u64)) {
        if self.new.len() >= SESSIONS_MAX && !self.new.contains_key(sid) {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(sid.into(), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_counted_once() {
        let players = Players::register(&Metrics::default());
        let told = [1, 2, 2, 5, 4, 4, 1, 200, 130, 199];
        let new: Vec<bool> = told.map(|number| players.is_new("s", number)).into();
        let expected = [
            true, true, false, true, true, false, false, true, false, true,
        ];
        assert_eq!(new, expected);
        assert!(players.is_new("other", 2));
    }

    #[test]
    fn sessions_are_forgotten_in_generations() {
        let mut sessions = Sessions::default();
        for session in 0..3 * SESSIONS_MAX {
            assert!(sessions.take(&session.to_string(), 1));
        }
        assert!(sessions.new.len() + sessions.old.len() <= 2 * SESSIONS_MAX);
        let newest = (3 * SESSIONS_MAX - 1).to_string();
        assert!(!sessions.take(&newest, 1));
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
