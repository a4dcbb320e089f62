//! What a link is like, as a scenario says it. What may be written is checked where scenarios are.

use serde::{Deserialize, Serialize};

/// A link, the same in both directions unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// What it carries at the start, heads of packets included, in kbit/s of 1000 bits.
    pub rate_kbits: f64,
    /// There and back together, in milliseconds; each direction takes half of it.
    pub rtt_ms: f64,
    /// What a packet may take longer, evenly from none to this, in each direction, in milliseconds.
    /// TCP waits for the slowest.
    pub jitter_ms: f64,
    /// Packets that are lost, in percent, in each direction.
    pub loss_percent: f64,
    /// Datagrams that come late, behind others, in percent. TCP does not notice.
    pub reorder_percent: f64,
    /// What the queue before the link holds in each direction, in kB of 1000 bytes.
    pub queue_kbytes: f64,
    /// When nothing comes through, in the order of time.
    pub blackouts: Vec<Blackout>,
    /// Other rates later on, in the order of time.
    pub steps: Vec<Step>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            rate_kbits: 20_000.0,
            rtt_ms: 20.0,
            jitter_ms: 0.0,
            loss_percent: 0.0,
            reorder_percent: 0.0,
            queue_kbytes: 64.0,
            blackouts: Vec::new(),
            steps: Vec::new(),
        }
    }
}

/// A time in which all packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blackout {
    /// When it begins, in seconds from the start of the load.
    pub at_seconds: f64,
    /// How long it lasts, in seconds.
    pub for_seconds: f64,
}

/// Another rate from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// From when on, in seconds from the start of the load.
    pub at_seconds: f64,
    /// What the link carries then, in kbit/s.
    pub rate_kbits: f64,
}
