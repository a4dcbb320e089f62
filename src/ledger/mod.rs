//! The durable book of a node or a fleet: orders, the state of rooms, the audit trail.
//!
//! Knows orders as records under (room, key) with versions, and changes them by compare-and-set
//! only; deliberately knows no buyer's connection, no merchant and no rule of an order's life.
//!
//! Invariants:
//! - What was answered with [`Put::Done`] survives the death of the process and, with the disk or
//!   a majority of the cluster, of the machine.
//! - Of two writers of one version, one succeeds.
//! - A store that fails is reported and tried again; nothing else of the node fails with it.
//!
//! Spec: docs/INTERACTION.md, docs/MERCHANTS.md.

mod book;
mod embedded;
mod error;
mod jetstream;
mod metrics;
pub mod order;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::nats;

pub use book::Ledger;
pub use error::Error;
pub use order::{Depth, Entry, Filter, Order, Put, Revision, State};

/// Where the book is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which kind of store.
    pub backend: Backend,
    /// The file of the embedded store; the audit trail is beside it, `.audit.redb`. None:
    /// `rushlane-data/NODE/ledger.redb` in the working folder of an origin; in memory in
    /// `rushlane dev` without `--data`, where nothing survives the process.
    pub path: Option<PathBuf>,
    /// How long the key of a decided order is known, in hours, at least 24 (DOMAIN R5.3). One that
    /// is not decided is kept.
    pub dedupe_hours: u32,
    /// How long decisions of moderation are kept, in days. 1095: three years (DOMAIN R14.1).
    pub audit_days: u32,
    /// The cluster, with `backend = "jetstream"`.
    pub jetstream: JetstreamConfig,
}

/// Kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A file on this node's disk.
    #[default]
    Embedded,
    /// NATS JetStream, shared by all origins of a fleet.
    Jetstream,
}

/// A NATS cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JetstreamConfig {
    /// At least one.
    pub servers: nats::Servers,
    /// How many servers of the cluster keep each order: 1, 3 or 5.
    pub replicas: usize,
    /// What names of streams and subjects begin with.
    pub prefix: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: Backend::Embedded,
            path: None,
            dedupe_hours: 48,
            audit_days: 1095,
            jetstream: JetstreamConfig::default(),
        }
    }
}

impl Default for JetstreamConfig {
    fn default() -> Self {
        Self {
            servers: nats::Servers::default(),
            replicas: 3,
            prefix: "rushlane".into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
