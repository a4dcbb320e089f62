//! The registry of a fleet: which node publishes which room, and which nodes there are (D7).
//!
//! Static by default: nothing is shared, every claim succeeds, and parents stand in the
//! configuration. With NATS, rooms and nodes are leases in a JetStream key-value bucket. Knows no
//! frame and no viewer, and deliberately stops no show: a lease that is lost is reported.
//!
//! Invariants:
//! - The data path never waits for it: a claim takes [`CLAIM_SECONDS`] at most, and while NATS is
//!   away the last known state answers, for an hour.
//! - A room has one lease; it goes with its holder, by word or by time.
//! - What is known is bounded: [`ROOMS_MAX`] rooms, [`NODES_MAX`] nodes.

mod book;
mod fleet;
mod lease;
mod metrics;
mod record;
mod upkeep;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::nats::Servers;

pub use lease::{Lease, Registry};
pub use record::{Node, Role};

/// How long a claim waits for the cluster before the last known state decides, in seconds: an
/// encoder waits for it with its first frame.
const CLAIM_SECONDS: u64 = 2;

/// The most rooms that are remembered; a fleet that has more knows the owners of these.
const ROOMS_MAX: usize = 100_000;

/// The most nodes that are remembered.
const NODES_MAX: usize = 10_000;

/// Where the fleet's state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which kind of registry.
    pub backend: Backend,
    /// The NATS cluster.
    pub servers: Servers,
    /// The name or address by which the others reach this node; empty: `node.name`.
    pub host: String,
    /// The name of the key-value bucket; fleets that share a cluster have one each.
    pub bucket: String,
    /// Copies of the bucket in the cluster, 1 to 5.
    pub replicas: usize,
    /// How long a lease outlives its node, in seconds. 10: a host that moves to another origin
    /// waits no longer, and a node renews three times within it.
    pub lease_seconds: u32,
    /// How long the last known state counts while the cluster is away, in seconds.
    pub memory_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: Backend::Static,
            servers: Servers::default(),
            host: String::new(),
            bucket: "rushlane".into(),
            replicas: 1,
            lease_seconds: 10,
            memory_seconds: 3600,
        }
    }
}

/// The kinds of registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// What the configuration of each node says.
    #[default]
    Static,
    /// A bucket of a NATS cluster.
    Nats,
}

/// Why the registry cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The cluster's addresses or the bucket's name are of no use.
    #[error("{0}")]
    Setup(String),
}

/// A room is leased by another node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the room is leased by {owner}")]
pub struct Taken {
    /// That node's name.
    pub owner: Arc<str>,
}

#[cfg(test)]
mod tests;
