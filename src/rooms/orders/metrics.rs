//! The figures of orders.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::State;
use super::life::Outcome;
use crate::telemetry;

const ROOM: &str = "orders";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Of the desk and of what is behind it.
#[derive(Debug)]
pub(super) struct Metrics {
    answers: Family<StatusLabel, Counter>,
    ack_seconds: Histogram,
    states: Family<StateLabel, Counter>,
    attempts: Family<OutcomeLabel, Counter>,
    attempt_seconds: Histogram,
    pub(super) with_merchant: Gauge,
    pub(super) load: Counter,
    pub(super) contradictions: Counter,
}

impl Metrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Arc<Self> {
        let this = Self {
            answers: Family::default(),
            ack_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            states: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            with_merchant: Gauge::default(),
            load: Counter::default(),
            contradictions: Counter::default(),
        };
        let answers = "Answers to orders by status";
        metrics.register(ROOM, "answers", answers, this.answers.clone());
        let ack = "From an order's arrival to its answer";
        metrics.register(ROOM, "ack_seconds", ack, this.ack_seconds.clone());
        let states = "Orders that came into a state";
        metrics.register(ROOM, "states", states, this.states.clone());
        let attempts = "Attempts to reach the merchant by what came of them";
        metrics.register(ROOM, "attempts", attempts, this.attempts.clone());
        let seconds = "Time of one attempt to reach the merchant";
        metrics.register(
            ROOM,
            "attempt_seconds",
            seconds,
            this.attempt_seconds.clone(),
        );
        let with = "Orders that are with the merchant just now";
        metrics.register(ROOM, "with_merchant", with, this.with_merchant.clone());
        let load = "Orders of load tests, which went no further";
        metrics.register(ROOM, "load_orders", load, this.load.clone());
        let twice = "Decisions of the merchant against his own first one";
        metrics.register(ROOM, "contradictions", twice, this.contradictions.clone());
        Arc::new(this)
    }

    pub(super) fn answered(&self, status: u16, took: Duration) {
        self.answers.get_or_create(&StatusLabel { status }).inc();
        self.ack_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn entered(&self, state: State) {
        let state = state.as_str();
        self.states.get_or_create(&StateLabel { state }).inc();
    }

    pub(super) fn attempted(&self, outcome: &Outcome, took: Duration) {
        let outcome = outcome.as_str();
        self.attempts.get_or_create(&OutcomeLabel { outcome }).inc();
        self.attempt_seconds.observe(took.as_secs_f64());
    }
}
