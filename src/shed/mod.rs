//! Shedding: what a node gives up, and in which order, when there is more to do than it can.
//!
//! A [`Controller`] compares what the process uses with its budgets (CPU, the turns of its workers,
//! egress, sockets, memory) and moves a [`Level`] up and down a ladder, one step at a time
//! (R12.5). Services read the level from a [`Gauge`]; those who come anew pass the [`Door`].
//!
//! Deliberately knows no room, no viewer and no HTTP: what a level means is done where it is done,
//! and orders are not on the ladder at all.
//!
//! Invariants:
//! - Steps are taken in the declared order, each is counted, and each is taken back.
//! - A session that has begun keeps what it was given; only totals and comments grow coarser.
//! - Nothing is remembered of those who wait: their place is in their own hands, signed.

mod budget;
mod controller;
mod door;
mod gauge;
mod ladder;
mod level;
mod limits;
mod metrics;
mod queue;
mod ticket;
mod trend;

use serde::{Deserialize, Serialize};

pub use budget::Pressure;
pub use controller::{Controller, Egress};
pub use door::{Door, Join, Turn};
pub use gauge::{Gauge, Status};
pub use level::Level;

/// The budgets of a node, and where it sends those for whom it has no place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Shed when a budget is spent; `false`: measure only, and obey the operator.
    pub enabled: bool,
    /// CPU that the process may use, in percent of the cores it may run on (affinity and cgroup
    /// quota count). 75: the rest is what a burst of joins or a key frame takes, and keeps the way
    /// of an order short.
    pub cpu_percent: u32,
    /// How late the tasks of a worker may get their turn, on average over a second, in
    /// milliseconds. 50: what a wake of all viewers of a worker may take (R1.3); it tells overload
    /// that others on the machine cause, too.
    pub turn_ms: u32,
    /// What viewers may be sent, in Mbit/s; 0: no budget, as the speed of the line is not known.
    pub egress_mbps: u32,
    /// Open files and sockets; 0: nine tenths of what the process may open.
    pub sockets_max: u32,
    /// Resident memory, in MiB; 0: nine tenths of the cgroup's limit, or of the machine.
    pub memory_mb: u32,
    /// The longest that somebody may be told to wait, in seconds; beyond it nobody is given a
    /// place.
    pub queue_seconds_max: u32,
    /// Edges that take those for whom this one has no place, by their public base URL
    /// (`https://edge-2.example.net`). Without any, redirection is not on the ladder. One that is
    /// known by its URL in the registry is passed over while it has a join queue itself.
    pub peers: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            cpu_percent: 75,
            turn_ms: 50,
            egress_mbps: 0,
            sockets_max: 0,
            memory_mb: 0,
            queue_seconds_max: 120,
            peers: Vec::new(),
        }
    }
}
