//! What a bench found: a table for people, JSON for machines, a verdict for both.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// One measured figure against its goal.
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
}

/// What a figure must reach.
#[derive(Clone, Copy)]
pub enum Goal {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Goal {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

/// The figures of one bench.
pub struct Outcome {
    name: &'static str,
    rows: Vec<Row>,
}

impl Outcome {
    /// An empty table.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            rows: Vec::new(),
        }
    }

    /// Adds a figure that has no goal of its own.
    pub fn tell(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.push(name.into(), value, unit, None);
    }

    /// Adds a figure with its goal.
    pub fn judge(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        self.push(name.into(), value, unit, Some(goal));
    }

    fn push(&mut self, name: String, value: f64, unit: &'static str, goal: Option<Goal>) {
        self.rows.push(Row {
            name,
            value,
            unit,
            goal,
        });
    }

    /// Prints the table, writes `target/bench/NAME.json`, and says whether every goal holds.
    pub fn finish(&self, folder: &Path) -> anyhow::Result<bool> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{}", self.name)?;
        let mut passed = true;
        let mut rows = Vec::new();
        for row in &self.rows {
            let verdict = match row.goal {
                None => String::new(),
                Some(goal) => {
                    let holds = goal.holds(row.value);
                    passed &= holds;
                    let word = if holds { "pass" } else { "FAIL" };
                    match goal {
                        Goal::AtMost(limit) => format!("{word} (<= {limit})"),
                        Goal::AtLeast(limit) => format!("{word} (>= {limit})"),
                    }
                }
            };
            let (name, unit) = (&row.name, row.unit);
            writeln!(
                out,
                "  {name:<58} {:>10} {unit:<12} {verdict}",
                shown(row.value)
            )?;
            rows.push(json!({
                "name": name,
                "value": row.value,
                "unit": unit,
                "goal": row.goal.map(|goal| match goal {
                    Goal::AtMost(limit) => json!({ "at_most": limit }),
                    Goal::AtLeast(limit) => json!({ "at_least": limit }),
                }),
                "holds": row.goal.map(|goal| goal.holds(row.value)),
            }));
        }
        let text = serde_json::to_string_pretty(&json!({
            "bench": self.name,
            "passed": passed,
            "rows": Value::from(rows),
        }))?;
        fs::write(folder.join(format!("{}.json", self.name)), text)?;
        Ok(passed)
    }
}

fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A histogram of times up to a minute, in microseconds.
pub fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds that a histogram takes")
}

/// The middle one of `values`; 0 when there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
