//! The ledger's figures.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::order::{Depth, State};
use crate::runtime::clock;
use crate::telemetry;

const ROOM: &str = "ledger";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// Of either store.
#[derive(Debug)]
pub(super) struct Metrics {
    up: Gauge,
    failures: Counter,
    repairs: Counter,
    commit_seconds: Histogram,
    batch_writes: Histogram,
    waiting: Family<StateLabel, Gauge>,
    oldest_seconds: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Arc<Self> {
        let this = Self {
            up: Gauge::default(),
            failures: Counter::default(),
            repairs: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            batch_writes: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            waiting: Family::default(),
            oldest_seconds: Gauge::default(),
        };
        metrics.register(
            ROOM,
            "up",
            "1 while the store takes writes",
            this.up.clone(),
        );
        let failures = "Times that the store failed or could not be opened";
        metrics.register(ROOM, "failures", failures, this.failures.clone());
        let repairs = "Times that the store was repaired when it was opened";
        metrics.register(ROOM, "repairs", repairs, this.repairs.clone());
        let seconds = "From the first write of a batch to all being durable";
        metrics.register(ROOM, "commit_seconds", seconds, this.commit_seconds.clone());
        let batch = "Writes that shared one commit";
        metrics.register(ROOM, "batch_writes", batch, this.batch_writes.clone());
        let waiting = "Orders that wait for the merchant, his decision or the operator";
        metrics.register(ROOM, "waiting_orders", waiting, this.waiting.clone());
        let oldest = "Age of the oldest order that waits for the merchant";
        metrics.register(
            ROOM,
            "oldest_order_seconds",
            oldest,
            this.oldest_seconds.clone(),
        );
        Arc::new(this)
    }

    pub(super) fn opened(&self, repaired: bool, depth: Depth) {
        self.up.set(1);
        self.repairs.inc_by(u64::from(repaired));
        self.show(depth);
    }

    pub(super) fn failed(&self) {
        self.up.set(0);
        self.failures.inc();
    }

    pub(super) fn committed(&self, took: Duration, writes: usize, depth: Depth) {
        self.commit_seconds.observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
        self.batch_writes.observe(writes as f64);
        self.show(depth);
    }

    /// Shows how many orders wait.
    pub(super) fn show(&self, depth: Depth) {
        let waiting = [
            (State::Accepted, depth.accepted),
            (State::Forwarded, depth.forwarded),
            (State::Unknown, depth.unknown),
        ];
        for (state, count) in waiting {
            let state = state.as_str();
            let gauge = self.waiting.get_or_create(&StateLabel { state });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let now = clock::unix_us() / 1000;
        let age = depth.oldest.map_or(0, |oldest| (now - oldest).max(0));
        self.oldest_seconds
            .set(Duration::from_millis(age.unsigned_abs()).as_secs_f64());
    }
}
