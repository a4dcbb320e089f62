//! The configuration of a node: every room's own `Config`, composed.
//!
//! Order of precedence: file, then environment (`RUSHLANE_SECTION__KEY`), then flags (`--set
//! section.key=value`). What was typed is checked into what it means before any socket binds, and
//! every fault is reported, not only the first.

mod check;
mod node;
mod overrides;
mod source;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ledger::Backend;
use crate::node::Role;
use crate::{
    admin, auth, delivery, hooks, ingest, ledger, live, net, registry, relay, rooms, shed,
    telemetry,
};

pub use node::{DrainConfig, NodeConfig};
pub use overrides::{Override, override_from_flag, overrides_from_environment};
pub use source::{Fault, Source};

/// Everything a node can be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node itself.
    pub node: NodeConfig,
    /// Where viewers go when the node stops.
    pub drain: DrainConfig,
    /// The live window.
    pub live: live::Config,
    /// RTMP and RTMPS listeners (origin, and edges that hosts push to).
    pub rtmp: ingest::rtmp::Config,
    /// What becomes of a push (where hosts push).
    pub publish: ingest::publisher::Config,
    /// The relay: its listener and its parents.
    pub relay: relay::Config,
    /// What the nodes of a fleet share: who publishes what, and who is there.
    pub registry: registry::Config,
    /// The HTTP front for viewers.
    pub http: net::http::Config,
    /// What viewers get.
    pub delivery: delivery::Config,
    /// Whom tokens let in.
    pub auth: auth::Config,
    /// What members do beside the picture.
    pub rooms: rooms::Config,
    /// What they may say.
    pub moderation: rooms::moderation::Config,
    /// Callbacks to the operator's own services.
    pub hooks: hooks::Config,
    /// How orders are taken and passed on (origin).
    pub orders: rooms::orders::Config,
    /// Where orders are kept (origin).
    pub ledger: ledger::Config,
    /// The budgets of the node, beyond which it gives up some of its service.
    pub shed: shed::Config,
    /// The admin port.
    pub admin: admin::Config,
    /// The log of requests.
    pub access_log: telemetry::access::Config,
    /// Traces.
    pub telemetry: telemetry::otlp::Config,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It has faults; one line each.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
}

impl Config {
    /// Reads the file of a `role`, puts `overrides` on top and checks everything.
    ///
    /// Errors: the file cannot be read, or one line for every fault.
    pub fn load(path: &Path, role: Role, overrides: &[Override]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        Self::read(&path.display().to_string(), &text, role, overrides)
    }

    /// Names the places of what nobody said where to keep: an order that was acknowledged outlives
    /// the process in any case.
    pub fn settle(&mut self, role: Role) {
        if role != Role::Origin {
            return;
        }
        let folder = Path::new("rushlane-data").join(self.node.shown_name());
        if self.ledger.backend == Backend::Embedded {
            let path = &mut self.ledger.path;
            let path = path.get_or_insert_with(|| folder.join("ledger.redb"));
            tracing::info!(path = %path.display(), "orders are kept");
        }
        let path = &mut self.auth.deny_file;
        path.get_or_insert_with(|| folder.join("denied.json"));
    }

    /// As [`Self::load`], from a text that is named `name` in faults.
    pub fn read(name: &str, text: &str, role: Role, overrides: &[Override]) -> Result<Self, Error> {
        let (source, mut config, mut faults) = Source::read::<Self>(name, text, overrides);
        if role == Role::Edge && !source.sets(&["rtmp", "listen"]) {
            // Hosts push to an edge where it says so.
            config.rtmp.listen = None;
        }
        faults.extend(check::meaning(&config, role, &source));
        faults.sort_by_key(Fault::order);
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Error::Faults(faults))
        }
    }
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
