//! Who watches: viewers by room and protocol.
//!
//! An HTTP-FLV viewer is a connection and is counted. An LL-HLS viewer is a series of requests
//! without a session (keys hold media identity only, D4), so it is measured: each playlist handed
//! out covers some media time until the next one is due, and the media time handed out per second
//! of wall time is the number of viewers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;

use crate::delivery::census::{Census, Told};
use crate::delivery::pulse::Pulse;
use crate::delivery::starts::Starts;
use crate::media::RoomName;
use crate::runtime::clock;
use crate::telemetry::Metrics;

/// How much of the past the measure looks at, in seconds: twice the slowest playlist interval.
const WINDOW_SECONDS: u64 = 8;

/// Viewers of a room on this node now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Viewers {
    /// By LL-HLS and HLS, measured over the last seconds.
    pub hls: u64,
    /// By HTTP-FLV.
    pub flv: u64,
}

/// The audiences of all rooms that have one. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Audiences {
    rooms: Arc<Mutex<HashMap<RoomName, Weak<Audience>>>>,
    census: Arc<Census>,
    starts: Starts,
    figures: Figures,
    start: clock::Instant,
}

/// Of all rooms together.
#[derive(Debug, Clone, Default)]
struct Figures {
    flv: Gauge,
    hls_seconds: Counter<f64, AtomicU64>,
}

/// Those who watch one room.
#[derive(Debug)]
pub(super) struct Audience {
    figures: Figures,
    start: clock::Instant,
    flv: AtomicUsize,
    hls: Meter,
    pulse: Arc<Pulse>,
}

/// One FLV viewer, for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat(Arc<Audience>);

/// Milliseconds of media handed out, in the current stretch of [`WINDOW_SECONDS`] and the one
/// before.
#[derive(Debug, Default)]
struct Meter {
    stretch: AtomicU64,
    current: AtomicU64,
    previous: AtomicU64,
}

impl Audiences {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let figures = Figures::default();
        let help = "HTTP-FLV viewers now";
        metrics.register("delivery", "flv_viewers", help, figures.flv.clone());
        let help = "Media time of playlists handed out; its rate is the number of HLS viewers";
        let seconds = figures.hls_seconds.clone();
        metrics.register("delivery", "hls_watched_seconds", help, seconds);
        let census = Arc::<Census>::default();
        metrics.register_collector(Told(census.clone()));
        Self {
            rooms: Arc::default(),
            census,
            starts: Starts::new(metrics),
            figures,
            start: clock::now(),
        }
    }

    /// Measures how long newcomers wait.
    pub(super) fn starts(&self) -> &Starts {
        &self.starts
    }

    /// The audience of `room`; it is forgotten when nobody holds it.
    pub(super) fn of(&self, room: &RoomName) -> Arc<Audience> {
        let mut rooms = self.rooms.lock();
        if let Some(audience) = rooms.get(room).and_then(Weak::upgrade) {
            return audience;
        }
        rooms.retain(|_, audience| audience.strong_count() > 0);
        let audience = Arc::new(Audience {
            figures: self.figures.clone(),
            start: self.start,
            flv: AtomicUsize::default(),
            hls: Meter::default(),
            pulse: Arc::default(),
        });
        rooms.insert(room.clone(), Arc::downgrade(&audience));
        self.census.enter(room.as_str(), Arc::downgrade(&audience));
        audience
    }

    /// Viewers of `room` now.
    pub(super) fn viewers(&self, room: &str) -> Viewers {
        let audience = self.find(room);
        audience
            .map(|audience| audience.viewers())
            .unwrap_or_default()
    }

    /// What is counted of `room`, while it has an audience.
    pub(super) fn pulse(&self, room: &str) -> Option<Arc<Pulse>> {
        self.find(room).map(|audience| audience.pulse.clone())
    }

    fn find(&self, room: &str) -> Option<Arc<Audience>> {
        self.rooms.lock().get(room).and_then(Weak::upgrade)
    }
}

impl Audience {
    /// A viewer sits down.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        self.flv.fetch_add(1, Ordering::Relaxed);
        self.figures.flv.inc();
        Seat(self.clone())
    }

    /// A playlist was handed out; the next one of this viewer is due in `milliseconds`.
    pub(super) fn watched(&self, milliseconds: u32) {
        self.hls.add(self.now_ms(), milliseconds.into());
        self.figures
            .hls_seconds
            .inc_by(f64::from(milliseconds) / 1000.0);
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    pub(super) fn viewers(&self) -> Viewers {
        Viewers {
            hls: self.hls.viewers(self.now_ms()),
            flv: self.flv.load(Ordering::Relaxed) as u64,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(clock::now().duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.flv.fetch_sub(1, Ordering::Relaxed);
        self.0.figures.flv.dec();
    }
}

impl Meter {
    /// Two threads that meet at the turn of a stretch may lose a request or two; it is a gauge.
    fn add(&self, now_ms: u64, milliseconds: u64) {
        self.turn(now_ms);
        self.current.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn turn(&self, now_ms: u64) {
        let stretch = now_ms / (WINDOW_SECONDS * 1000);
        let before = self.stretch.swap(stretch, Ordering::Relaxed);
        if before != stretch {
            let current = self.current.swap(0, Ordering::Relaxed);
            let kept = if before + 1 == stretch { current } else { 0 };
            self.previous.store(kept, Ordering::Relaxed);
        }
    }

    /// The media time handed out over the last window, by the window: the whole current stretch
    /// and the tail of the one before.
    fn viewers(&self, now_ms: u64) -> u64 {
        self.turn(now_ms);
        let window_ms = WINDOW_SECONDS * 1000;
        let into = now_ms % window_ms;
        let previous = self.previous.load(Ordering::Relaxed) * (window_ms - into) / window_ms;
        let current = self.current.load(Ordering::Relaxed);
        (previous + current + window_ms / 2) / window_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_handed_out_tell_the_viewers() {
        let meter = Meter::default();
        // Three viewers, one playlist every 334 ms each.
        for at_ms in (0..30_000).step_by(334) {
            for _ in 0..3 {
                meter.add(at_ms, 334);
            }
            if at_ms > 8000 {
                assert_eq!(meter.viewers(at_ms), 3, "at {at_ms} ms");
            }
        }
        assert_eq!(meter.viewers(60_000), 0);
    }

    #[test]
    fn seats_are_given_back() {
        let audiences = Audiences::new(&Metrics::default());
        let room = RoomName::parse("r").unwrap();
        let seat = audiences.of(&room).seat();
        assert_eq!(audiences.viewers("r").flv, 1);
        drop(seat);
        assert_eq!(audiences.viewers("r"), Viewers::default());
        assert_eq!(audiences.viewers("unknown"), Viewers::default());
    }
}
