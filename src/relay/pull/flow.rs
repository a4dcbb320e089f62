//! Whether the frames of a room come as they should.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::runtime::clock;
use crate::runtime::clock::Instant;

/// A room stands still when no frame came for so long, at least.
const STALL_MIN: Duration = Duration::from_millis(300);

/// The longest interval of frames that is believed.
const INTERVAL_MAX: Duration = Duration::from_secs(10);

/// The frames of one room's picture and sound as they arrive, whatever the link.
#[derive(Debug)]
pub(super) struct Flow {
    begun: Instant,
    /// The newest arrival, in microseconds after `begun`.
    last_us: AtomicU64,
    /// The duration of the newest frame.
    interval_us: AtomicU64,
    /// Frames so far.
    frames: AtomicU64,
    /// Tracks that are pulled now.
    tracks: AtomicUsize,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self {
            begun: clock::now(),
            last_us: AtomicU64::new(0),
            interval_us: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            tracks: AtomicUsize::new(0),
        }
    }

    /// A frame has come that lasts for `duration`.
    pub(super) fn note(&self, duration: Duration) {
        self.touch();
        self.frames.fetch_add(1, Ordering::Relaxed);
        let interval = duration.min(INTERVAL_MAX);
        self.interval_us.store(micros(interval), Ordering::Relaxed);
    }

    /// Frames that have come so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// From now on frames are due anew, as over another link.
    pub(super) fn touch(&self) {
        let since = clock::now().saturating_duration_since(self.begun);
        self.last_us.fetch_max(micros(since), Ordering::Relaxed);
    }

    /// A track is pulled while the guard lives.
    pub(super) fn expect(self: &std::sync::Arc<Self>) -> Expecting {
        if self.tracks.fetch_add(1, Ordering::Relaxed) == 0 {
            self.touch();
        }
        Expecting(self.clone())
    }

    /// For how long nothing has come although it was due, over a link with this round trip.
    pub(super) fn stalled(&self, now: Instant, rtt: Duration) -> Option<Duration> {
        if self.tracks.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let last = self.begun + Duration::from_micros(self.last_us.load(Ordering::Relaxed));
        let quiet = now.saturating_duration_since(last);
        let interval = Duration::from_micros(self.interval_us.load(Ordering::Relaxed));
        (quiet >= STALL_MIN.max(interval * 2 + rtt * 2)).then_some(quiet)
    }
}

/// A track that is pulled.
#[derive(Debug)]
pub(super) struct Expecting(std::sync::Arc<Flow>);

impl Drop for Expecting {
    fn drop(&mut self) {
        self.0.tracks.fetch_sub(1, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
