//! What shedding counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::shed::budget::Pressure;
use crate::telemetry;

/// The figures of one node. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    pub(super) level: Gauge,
    pub(super) steps: Family<Step, Counter>,
    pub(super) joins: Family<ByTurn, Counter>,
    pub(super) waiting: Gauge,
    pub(super) per_second: Gauge<f64, AtomicU64>,
    pressure: Family<ByBudget, Gauge<f64, AtomicU64>>,
}

/// A step of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Step {
    /// Where it led.
    pub(super) level: &'static str,
    /// `up` or `down`.
    pub(super) direction: &'static str,
    /// The budget that was spent furthest, or `operator`.
    pub(super) reason: &'static str,
}

/// What became of somebody who came anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByTurn {
    pub(super) turn: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByBudget {
    budget: &'static str,
}

impl Metrics {
    /// Registers everything in `registry`.
    pub(super) fn register(registry: &telemetry::Metrics) -> Self {
        let this = Self::default();
        let room = "shed";
        let help = "How much of its service the node gives up: 0 nothing, 6 the most";
        registry.register(room, "level", help, this.level.clone());
        let help = "Steps of the level, by where they led and why";
        registry.register(room, "steps", help, this.steps.clone());
        let help = "Viewers who came anew, by what became of them";
        registry.register(room, "joins", help, this.joins.clone());
        let help = "Viewers who wait for their turn to come in";
        registry.register(room, "queue_waiting", help, this.waiting.clone());
        let help = "Viewers who may come in a second while others wait";
        registry.register(room, "queue_per_second", help, this.per_second.clone());
        let help = "How far a budget is spent; 1 is all of it";
        registry.register(room, "pressure_ratio", help, this.pressure.clone());
        this
    }

    pub(super) fn tell_pressure(&self, pressure: &Pressure) {
        for (budget, value) in pressure.all() {
            self.pressure.get_or_create(&ByBudget { budget }).set(value);
        }
    }
}
