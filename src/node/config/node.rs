//! What an operator can say about the node itself.

use serde::{Deserialize, Serialize};

/// The node itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// The name that peers, viewers and logs see; empty: the host name.
    pub name: String,
    /// How long a stop may take before tasks are aborted, in seconds. 10: twice the longest target
    /// duration, so that players finish the request they are in.
    pub grace_seconds: u32,
    /// What is logged, in the grammar of `RUST_LOG`, which stands above it where it is set.
    pub log: String,
    /// Threads for ingest, relay and packaging; 0: half the cores, at least one, at most four.
    pub media_threads: usize,
}

/// Where viewers go when the node stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// Other edges as `https://HOST:PORT`, in turns. Empty: whoever asks is turned away, and finds
    /// another one by name or balancer.
    pub alternates: Vec<String>,
    /// How long a process serves its viewers on when another one has taken its place, in seconds.
    /// 300: both take memory for so long, and most who watch by HTTP-FLV have left by themselves.
    pub upgrade_seconds: u32,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            alternates: Vec::new(),
            upgrade_seconds: 300,
        }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            grace_seconds: 10,
            log: "info".into(),
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
