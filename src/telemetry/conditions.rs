//! What is wrong with a node while it goes on serving: a full disk, a certificate that cannot be
//! read, a configuration that was refused. Said once in the log, shown for as long as it lasts.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;

use crate::runtime::clock;

/// The longest detail that is kept, in characters.
const DETAIL_CHARACTERS_MAX: usize = 500;

/// What is wrong now. Clones share it. Its names are words of the program, so it is bounded.
#[derive(Debug, Clone, Default)]
pub struct Conditions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    all: Mutex<BTreeMap<&'static str, Condition>>,
    gauges: Family<Label, Gauge>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What, in one word: `configuration`, `certificate`, `ledger`.
    pub name: &'static str,
    /// What exactly, and what the node does meanwhile.
    pub detail: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    condition: &'static str,
}

impl Conditions {
    /// Says that `name` is wrong; again with another `detail` changes what is shown.
    pub fn raise(&self, name: &'static str, detail: impl ToString) {
        let detail: String = detail.to_string();
        let detail: String = detail.chars().take(DETAIL_CHARACTERS_MAX).collect();
        let mut all = self.0.all.lock();
        if let Some(known) = all.get_mut(name) {
            if known.detail != detail {
                tracing::warn!(condition = name, detail, "still wrong");
                known.detail = detail;
            }
            return;
        }
        tracing::warn!(
            condition = name,
            detail,
            "something is wrong; the node goes on"
        );
        let since_ms = clock::unix_us() / 1000;
        let condition = Condition {
            name,
            detail,
            since_ms,
        };
        all.insert(name, condition);
        self.0
            .gauges
            .get_or_create(&Label { condition: name })
            .set(1);
    }

    /// Says that `name` is right again; or still.
    pub fn clear(&self, name: &'static str) {
        if self.0.all.lock().remove(name).is_some() {
            tracing::info!(condition = name, "right again");
            self.0
                .gauges
                .get_or_create(&Label { condition: name })
                .set(0);
        }
    }

    /// Raises `name` on an error and clears it otherwise; the result goes on its way.
    pub fn follow<T, E: ToString>(&self, name: &'static str, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => self.clear(name),
            Err(error) => self.raise(name, error.to_string()),
        }
        result
    }

    /// All that is wrong, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Condition> {
        self.0.all.lock().values().cloned().collect()
    }

    pub(super) fn gauges(&self) -> impl prometheus_client::registry::Metric + use<> {
        self.0.gauges.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn what_is_wrong_is_shown_until_it_is_right_again() {
        let metrics = Metrics::default();
        let conditions = metrics.conditions().clone();
        conditions.raise("ledger", "the disk is full");
        conditions.raise("ledger", "the disk is full: 0 bytes left");
        conditions.raise("certificate", "x".repeat(10_000));
        let names: Vec<_> = conditions.all().iter().map(|one| one.name).collect();
        assert_eq!(names, ["certificate", "ledger"]);
        assert!(conditions.all()[1].detail.ends_with("left"));
        assert_eq!(conditions.all()[0].detail.len(), DETAIL_CHARACTERS_MAX);
        let shown = |value| format!("rushlane_node_condition{{condition=\"ledger\"}} {value}");
        assert!(metrics.encode().contains(&shown(1)));
        let right: Result<u8, String> = conditions.follow("ledger", Ok(7));
        assert_eq!(right, Ok(7));
        assert_eq!(conditions.all().len(), 1);
        assert!(metrics.encode().contains(&shown(0)));
    }
}
