//! The edge's half of a room: sockets, checks, batches, fan-out.
//!
//! One [`Service`] per worker answers `/rooms/ROOM/...`. A room has one feed on the node, which
//! reads the room's data tracks and encodes each event once for each format; it wakes each worker
//! once a batch, and the worker's hall writes the shared bytes to its members in one pass. What
//! members say is checked here and goes up as a question; the answer carries their `ref`.
//!
//! Deliberately knows no QUIC, no version of HTTP, no ledger and no order of events: sequence and
//! state are the origin's.
//!
//! Invariants:
//! - A member gets classes 0 and 1 without a gap and nothing twice, or a snapshot in their place.
//! - An event for one user reaches that user's connections and no other.
//! - A member that takes little costs bounded memory, and nobody else a wait.
//! - Orders have permits of their own, from the socket to the exchange.
//!
//! Spec: docs/INTERACTION.md; RFC 6455, RFC 8441, WHATWG HTML 9.2 (server-sent events).

mod batch;
mod clerk;
mod entry;
#[cfg(test)]
mod fake;
mod feed;
mod figures;
#[cfg(test)]
mod fixture;
mod front;
mod grammar;
mod hall;
mod leaving;
mod likes;
mod limits;
mod member;
mod origin;
mod posts;
mod presence;
mod registry;
mod replay;
mod reply;
mod reports;
mod room;
mod route;
mod service;
mod session;
#[cfg(test)]
mod shedding_test;
mod snapshot;
mod wire;

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::auth::Gate;
use crate::live::{Exchange, Store};
use crate::rooms::moderation;
use crate::runtime::TaskScope;
use crate::telemetry::Metrics;

pub use front::Doors;

/// What the doors work with.
pub struct Parts {
    /// Where rooms' events are read.
    pub store: Store,
    /// Where members' commands go.
    pub exchange: Exchange,
    /// Says who a member is.
    pub auth: Gate,
    /// Says what he may say.
    pub moderation: moderation::Rules,
    /// Where figures are registered.
    pub metrics: Metrics,
    /// This node's name, told to members and to the origin.
    pub node_name: Arc<str>,
    /// Owns the tasks of rooms.
    pub scope: TaskScope,
    /// Runs them; must outlive the workers.
    pub runtime: Handle,
}

/// Members of a room on this node now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Presence {
    /// Connections.
    pub online: u64,
    /// Different users since the room opened here; approximate.
    pub unique: u64,
}
