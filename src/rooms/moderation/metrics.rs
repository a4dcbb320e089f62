//! What moderation counts.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::telemetry;

/// Counters of one node.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    comments: Family<ByRule, Counter>,
    reviews: Family<ByOutcome, Counter>,
    pub(super) review_seconds: Histogram,
    pub(super) words: Gauge<i64, AtomicI64>,
    pub(super) list_faults: Counter,
    pub(super) audit_lost: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRule {
    rule: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

impl Metrics {
    pub(super) fn register(registry: &telemetry::Metrics) -> Self {
        let metrics = Self {
            comments: Family::default(),
            reviews: Family::default(),
            review_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 10)),
            words: Gauge::default(),
            list_faults: Counter::default(),
            audit_lost: Counter::default(),
        };
        let Self {
            comments,
            reviews,
            review_seconds,
            words,
            list_faults,
            audit_lost,
        } = metrics.clone();
        let help = "Comments by the rule that decided on them; allow is none";
        registry.register("moderation", "comments", help, comments);
        let help = "Comments put to the operator's own service, by what came of it";
        registry.register("moderation", "reviews", help, reviews);
        let help = "How long the operator's own service took to answer";
        registry.register("moderation", "review_seconds", help, review_seconds);
        let help = "Filtered words and exceptions in force";
        registry.register("moderation", "words", help, words);
        let help = "Lists of words that could not be used";
        registry.register("moderation", "list_faults", help, list_faults);
        let help = "Audit records that nobody took in time";
        registry.register("moderation", "audit_lost", help, audit_lost);
        metrics
    }

    pub(super) fn decided(&self, rule: &'static str) {
        self.comments.get_or_create(&ByRule { rule }).inc();
    }

    pub(super) fn reviewed(&self, outcome: &'static str) {
        self.reviews.get_or_create(&ByOutcome { outcome }).inc();
    }
}
