//! What a run was: the verdict with its evidence, as text, JSON and one HTML file.

mod html;
mod load;
mod plot;
mod text;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::actors::Books;
use crate::capacity::Capacity;
use crate::events::Happened;
use crate::gates::Gate;
use crate::scenario::Scenario;
use crate::scrape::Look;

pub use load::{Machine, Own};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All gates hold.
    Go,
    /// One does not.
    NoGo,
    /// Nothing can be said.
    None,
}

/// A second of one group.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Second {
    /// Viewers or members who are there.
    pub present: i64,
    /// Live delay, in milliseconds: p50 and p95.
    pub live_ms: Option<[f64; 2]>,
    /// Playlist wake-up, p99 in milliseconds.
    pub wake_p99_ms: Option<f64>,
    /// Comments, p95 in milliseconds.
    pub comment_p95_ms: Option<f64>,
    /// Orders, p99 in milliseconds.
    pub ack_p99_ms: Option<f64>,
    /// Stalls.
    pub stalls: i64,
    /// Errors.
    pub errors: i64,
    /// Orders acknowledged.
    pub orders: i64,
    /// Bytes received.
    pub bytes: i64,
}

/// A group over the run.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Each second.
    pub seconds: Vec<Second>,
    /// Name, number of samples, then p50, p95, p99 and the greatest, in milliseconds.
    pub times: Vec<(&'static str, u64, [f64; 4])>,
    /// Counts over the run.
    pub counts: Vec<(String, i64)>,
}

/// A node over the run.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Each second; `None`: it did not answer.
    pub seconds: Vec<Option<Look>>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is that, in words.
    pub reasons: Vec<String>,
    /// What gives out first, with its evidence.
    pub binds_first: String,
    /// What was run.
    pub scenario: Scenario,
    /// When the load began, in microseconds since 1970.
    pub started_us: i64,
    /// How long it lasted, in seconds.
    pub seconds: f64,
    /// The gates.
    pub gates: Vec<Gate>,
    /// The groups.
    pub groups: Vec<Group>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// This machine, each second.
    pub machine: Vec<Own>,
    /// The workers, where others carried the load.
    pub workers: Vec<Machine>,
    /// What happened to the fleet.
    pub events: Vec<Happened>,
    /// What viewers cost, where that can be told.
    pub capacity: Option<Capacity>,
    /// The same of an earlier run.
    pub before: Option<Capacity>,
    /// The books, where there were buyers.
    pub books: Option<Books>,
}

/// What an earlier report says of capacity. Errors: `path` is no report.
pub fn earlier(path: &Path) -> anyhow::Result<Option<Capacity>> {
    #[derive(Deserialize)]
    struct Earlier {
        #[serde(default)]
        capacity: Option<Capacity>,
    }
    let text = fs::read(path).with_context(|| format!("{}", path.display()))?;
    let report: Earlier = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no report.json", path.display()))?;
    Ok(report.capacity)
}

impl Report {
    /// Writes report.html and report.json into `folder`.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        let json = serde_json::to_vec_pretty(self)?;
        fs::write(folder.join("report.json"), json)?;
        fs::write(folder.join("report.html"), html::page(self))?;
        Ok(())
    }
}
