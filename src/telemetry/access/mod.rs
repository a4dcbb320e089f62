//! Access records: what became of each request, written off the data path (R4.1b).
//!
//! Whoever answers notes what was asked for on the request's [`Slip`]; the HTTP front files a
//! [`Record`] when the last byte has left. A bounded ring and a thread take it from there: a line
//! in the log, the sums of what players report, a span of a trace.
//!
//! Invariants:
//! - No path, query or header of a stranger is written, but for the bounded values of CMCD: a token
//!   cannot reach a line.
//! - Filing never waits: a full ring loses the record and counts it. A full disk loses lines and
//!   counts them; serving goes on.

mod line;
mod log;
mod players;
mod record;
mod slip;
mod trace;
mod writer;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use log::{Collected, Log};
pub use players::PlayerSums;
pub use record::{Link, Record};
pub use slip::{Object, Slip, Traffic};
pub use trace::Trace;

/// The access log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file that lines are appended to, `"-"` for stdout, `"off"` for none. It is opened again
    /// when it was moved away.
    pub path: PathBuf,
    /// What lines look like.
    pub format: Format,
    /// The share of plain successes that are written, 0 to 1; whatever failed, was slow or came
    /// with a sampled trace is always written. 1: all, as few viewers ask for.
    pub sample_ok: f64,
    /// From when on an answer counts as slow, in milliseconds on top of what it was held for.
    pub slow_ms: u32,
}

/// What lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line, always with the same fields.
    #[default]
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "off".into(),
            format: Format::Json,
            sample_ok: 1.0,
            slow_ms: 1000,
        }
    }
}
