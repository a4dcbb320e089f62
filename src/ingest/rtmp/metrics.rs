//! What the RTMP front counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry;

/// The counters; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    pub(super) connections: Gauge,
    pub(super) publishers: Gauge,
    pub(super) received_bytes: Counter,
    pub(super) turned_away: Counter,
    /// By the label of the reason, a closed set.
    pub(super) closes: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Self {
        let this = Self::default();
        let register = |name, help, metric: &Gauge| {
            metrics.register("ingest", name, help, metric.clone());
        };
        register(
            "rtmp_connections",
            "RTMP connections now open",
            &this.connections,
        );
        register(
            "rtmp_publishers",
            "RTMP connections that publish now",
            &this.publishers,
        );
        let register = |name, help, metric: &Counter| {
            metrics.register("ingest", name, help, metric.clone());
        };
        register(
            "rtmp_received_bytes",
            "Bytes received by RTMP",
            &this.received_bytes,
        );
        let help = "RTMP connections closed at once because all slots were taken";
        register("rtmp_turned_away", help, &this.turned_away);
        let help = "RTMP connections that ended, by reason";
        metrics.register("ingest", "rtmp_closes", help, this.closes.clone());
        this
    }

    pub(super) fn closed(&self, reason: &'static str) {
        self.closes.get_or_create(&[("reason", reason)]).inc();
    }
}
