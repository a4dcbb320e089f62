//! What services read: the level, at the price of one load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::shed::Level;
use crate::shed::budget::Pressure;

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

    /// A task of a worker has waited this long for its turn ([`crate::runtime::lag`]).
    pub fn waited(&self, late: Duration) {
        let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.0.turns_us.fetch_add(late_us, Ordering::Relaxed);
        self.0.turns.fetch_add(1, Ordering::Relaxed);
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
