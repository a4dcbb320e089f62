//! The configuration of a node: every room's own `Config`, composed.
//!
//! Order of precedence: file, then environment (`RUSHLANE_SECTION__KEY`), then flags (`--set
//! section.key=value`). What was typed is checked into what it means before any socket binds, and
//! every fault is reported, not only the first.

mod check;
mod overrides;
mod source;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::node::Role;
use crate::{admin, auth, delivery, ingest, ledger, live, net, relay, rooms};

pub use overrides::{Override, override_from_flag, overrides_from_environment};
pub use source::{Fault, Source};

/// Everything a node can be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node itself.
    pub node: NodeConfig,
    /// The live window.
    pub live: live::Config,
    /// RTMP and RTMPS listeners (origin).
    pub rtmp: ingest::rtmp::Config,
    /// What becomes of a push (origin).
    pub publish: ingest::publisher::Config,
    /// The relay: its listener and its parents.
    pub relay: relay::Config,
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
    /// How orders are taken and passed on (origin).
    pub orders: rooms::orders::Config,
    /// Where orders are kept (origin).
    pub ledger: ledger::Config,
    /// The admin port.
    pub admin: admin::Config,
}

/// The node itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// The name that peers, viewers and logs see; empty: the host name.
    pub name: String,
    /// How long a stop may take before tasks are aborted, in seconds. 10: twice the longest target
    /// duration, so that players finish the request they are in.
    pub grace_seconds: u32,
    /// Threads for ingest, relay and packaging; 0: half the cores, at least one, at most four.
    pub media_threads: usize,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            grace_seconds: 10,
            media_threads: 0,
        }
    }
}

impl NodeConfig {
    /// [`Self::name`], else the host's, else a word.
    #[must_use]
    pub fn shown_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().chars().filter(char::is_ascii_graphic);
        let host: String = host.take(64).collect();
        match host.is_empty() {
            true => "rushlane".into(),
            false => host,
        }
    }
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

    /// As [`Self::load`], from a text that is named `name` in faults.
    pub fn read(name: &str, text: &str, role: Role, overrides: &[Override]) -> Result<Self, Error> {
        let (source, config, mut faults) = Source::read(name, text, overrides);
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
