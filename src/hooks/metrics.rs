//! What callbacks count.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::hooks::Kind;
use crate::telemetry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    hook: &'static str,
    result: &'static str,
}

/// Clones share the figures.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    posts: Family<Label, Counter>,
    pub(super) dropped: Counter,
    pub(super) waiting: Gauge,
    seconds: Histogram,
}

impl Metrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Self {
        let this = Self {
            posts: Family::default(),
            dropped: Counter::default(),
            waiting: Gauge::default(),
            // 1 ms to 1 s: the limit of a decision is 200 ms.
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 11)),
        };
        let room = "hooks";
        let help = "Callbacks by hook and result";
        metrics.register(room, "posts", help, this.posts.clone());
        let help = "Events that were never told: the queue was full, or all attempts failed";
        metrics.register(room, "dropped", help, this.dropped.clone());
        let help = "Events that wait to be told";
        metrics.register(room, "waiting", help, this.waiting.clone());
        let help = "How long callbacks take";
        metrics.register(room, "post_seconds", help, this.seconds.clone());
        this
    }

    pub(super) fn posted(&self, kind: Kind, result: &'static str, took: Duration) {
        let hook = kind.as_str();
        self.posts.get_or_create(&Label { hook, result }).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}
