//! The origin's half of a room: sequence, history, totals.
//!
//! The [`Authority`] opens a room when its show goes live, when the operator has something for it,
//! or because it was open when the process ended; it answers the questions of edges and publishes
//! what all should see as the room's `Events` broadcast. The rules are pure and take time as an
//! argument; one task a room keeps its rhythm and saves its state.
//!
//! Deliberately knows no socket, no relay and no merchant: orders go to [`orders::Desk`] without
//! waiting for anything of the room's.
//!
//! Invariants:
//! - Classes 0 and 1 are numbered from 1 without gaps in each epoch, in the order of the track.
//! - A state that a snapshot shows holds every event up to the snapshot's numbers.
//! - The total of likes never sinks, and counts each batch once.
//!
//! Spec: docs/INTERACTION.md.

mod audience;
mod audit;
mod clock;
mod generations;
mod history;
mod likes;
mod metrics;
mod moderation;
mod open;
mod presence;
mod program;
mod refusal;
mod registry;
mod room;
mod service;
mod totals;
mod tracks;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::hooks::Hooks;
use crate::ledger::Ledger;
use crate::live::{Exchange, Store};
use crate::media::RoomName;
use crate::rooms::orders;
use crate::runtime::TaskScope;
use crate::telemetry::Metrics;

pub use service::Authority;

/// What the authority works with.
#[derive(Debug)]
pub struct Parts {
    /// Where shows are found and events are published.
    pub store: Store,
    /// Where questions come from.
    pub exchange: Exchange,
    /// Keeps the state of rooms and the audit trail.
    pub ledger: Ledger,
    /// Takes orders, and says what became of them.
    pub orders: (orders::Desk, mpsc::Receiver<orders::Change>),
    /// Told of orders and comments.
    pub hooks: Hooks,
    /// Where figures are registered.
    pub metrics: Metrics,
    /// This node's name, for the audit trail.
    pub node_name: Arc<str>,
    /// Owns the tasks.
    pub scope: TaskScope,
}

/// A room, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoomStatus {
    /// The room.
    pub room: RoomName,
    /// The epoch of its events.
    pub epoch: Arc<str>,
    /// Connections now, over all edges.
    pub online: u64,
    /// Different users since the room opened; approximate.
    pub unique: u64,
    /// All likes.
    pub likes: u64,
    /// Comments taken in the last second.
    pub comments_per_second: u32,
    /// The last number given in class 0 and in class 1.
    pub seq: [u64; 2],
    /// Cards that are shown.
    pub cards: usize,
    /// One comment of each user in this many seconds; 0: no slow mode.
    pub slow_seconds: u32,
}
