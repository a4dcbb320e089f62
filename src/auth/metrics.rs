//! What the gate counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::auth::{DenyList, Refusal};
use crate::telemetry;

/// Where somebody asked to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Play,
    Publish,
    Interact,
    Admin,
}

const DOORS: [&str; 4] = ["play", "publish", "interact", "admin"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    door: &'static str,
    result: &'static str,
}

/// Answers by door and result. The common ones are looked up once.
#[derive(Debug)]
pub(super) struct Metrics {
    checks: Family<Label, Counter>,
    granted: [Counter; 4],
}

impl Metrics {
    pub(super) fn register(metrics: &telemetry::Metrics, denied: &DenyList) -> Self {
        let checks = Family::<Label, Counter>::default();
        let help = "Answers of the gate, by door and result";
        metrics.register("auth", "checks", help, checks.clone());
        let help = "Entries of the deny list";
        metrics.register("auth", "denied_entries", help, denied.gauge());
        let result = "granted";
        let granted = DOORS.map(|door| checks.get_or_create(&Label { door, result }).clone());
        Self { checks, granted }
    }

    pub(super) fn asked(&self, door: Door, refusal: Option<&Refusal>) {
        let Some(refusal) = refusal else {
            self.granted[door as usize].inc();
            return;
        };
        let (door, result) = (DOORS[door as usize], refusal.code());
        self.checks.get_or_create(&Label { door, result }).inc();
    }
}
