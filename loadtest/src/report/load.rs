//! The machines that carried the load: what the verdict knows of them. Knows nothing of the fleet.

use serde::{Deserialize, Serialize};

use crate::crew::Clock;
use crate::machine;

/// A load machine in a second.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Own {
    /// Processors.
    #[serde(flatten)]
    pub look: machine::Look,
    /// How late actions began, p99 in milliseconds.
    pub lag_p99_ms: f64,
}

/// A load machine over the run.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// What it is called in sentences.
    pub name: String,
    /// Its clock, where it is not this machine's.
    pub clock: Option<Clock>,
    /// How late actions began, p99 in milliseconds over the run.
    pub lag_p99_ms: f64,
    /// Actions that its ceiling has forbidden.
    pub held_back: u64,
    /// That ceiling, in actions a second.
    pub rate_max: f64,
    /// Each second.
    pub seconds: Vec<Own>,
}
