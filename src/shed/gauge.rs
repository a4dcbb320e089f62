//! What services read: the level, at the price of one load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::runtime::{Shutdown, clock};
use crate::shed::Level;
use crate::shed::budget::Pressure;

/// How often a worker's tasks are asked how long they wait for their turn.
const PULSE: Duration = Duration::from_millis(100);

/// The level of a node, for all who have to know it. Clones share it; the default one is of a node
/// that never sheds.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    level: AtomicU8,
    turns_us: AtomicU64,
    turns: AtomicU64,
    status: Mutex<Status>,
}

/// Why the level is what it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Status {
    /// The level.
    pub level: Level,
    /// The budget that is spent furthest (`cpu`, `turns`, `egress`, `sockets`, `memory`), or
    /// `operator`.
    pub reason: &'static str,
    /// How far each budget is spent; 1: all of it.
    pub pressure: Pressure,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// Until when the operator holds it there, in milliseconds since 1970.
    pub forced_until_ms: Option<i64>,
    /// Viewers who wait for their turn; at [`Level::JoinQueue`] and above.
    pub waiting: u64,
    /// Viewers who may come in a second; at [`Level::JoinQueue`] and above.
    pub admitted_per_second: f64,
}

impl Gauge {
    /// The level now.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::from_index(self.0.level.load(Ordering::Relaxed))
    }

    /// The level and its reason.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status.lock().clone()
    }

    /// Measures how long the tasks of a worker wait for their turn, until `shutdown`; to be run on
    /// the worker's thread.
    pub async fn pulse(self, shutdown: Shutdown) {
        loop {
            let due = clock::now() + PULSE;
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            let late = clock::now().saturating_duration_since(due);
            let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            self.0.turns_us.fetch_add(late_us, Ordering::Relaxed);
            self.0.turns.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits of workers' tasks so far: their sum in microseconds, and their number.
    pub(super) fn turns(&self) -> (u64, u64) {
        let turns = self.0.turns.load(Ordering::Relaxed);
        (self.0.turns_us.load(Ordering::Relaxed), turns)
    }

    pub(super) fn set(&self, status: Status) {
        self.0.level.store(status.level as u8, Ordering::Relaxed);
        *self.0.status.lock() = status;
    }
}

#[cfg(test)]
impl Gauge {
    /// A gauge that stands at `level` whatever happens.
    pub(crate) fn at(level: Level) -> Self {
        let gauge = Self::default();
        gauge.set(Status {
            level,
            ..Status::default()
        });
        gauge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_has_time_gives_turns_at_once() {
        let (gauge, shutdown) = (Gauge::default(), Shutdown::new());
        let stop = shutdown.clone();
        let beat = gauge.clone().pulse(shutdown);
        let (_, ()) = tokio::join!(beat, async {
            tokio::time::sleep(Duration::from_millis(1050)).await;
            stop.request();
        });
        let (waited_us, turns) = gauge.turns();
        assert_eq!(turns, 10);
        assert!(waited_us <= 20_000, "{waited_us}");
    }
}
