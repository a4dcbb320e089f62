//! The registry's figures.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry;

/// Of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    pub(super) up: Gauge,
    pub(super) rooms: Gauge,
    pub(super) nodes: Gauge,
    pub(super) held: Gauge,
    pub(super) refusals: Counter,
    pub(super) conflicts: Counter,
    pub(super) failures: Counter,
    pub(super) conditions: telemetry::Conditions,
}

impl Metrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Self {
        let this = Self {
            conditions: metrics.conditions().clone(),
            ..Self::default()
        };
        for (name, help, gauge) in [
            ("up", "1 while the NATS cluster can be reached", &this.up),
            ("rooms", "Rooms with a lease, as known here", &this.rooms),
            ("nodes", "Nodes of the fleet, as known here", &this.nodes),
            ("held_rooms", "Rooms that this node has leased", &this.held),
        ] {
            metrics.register("registry", name, help, gauge.clone());
        }
        for (name, help, counter) in [
            (
                "refusals",
                "Claims refused since another node has the room",
                &this.refusals,
            ),
            (
                "conflicts",
                "Renewals left out since another node has taken the lease",
                &this.conflicts,
            ),
            (
                "failures",
                "Writes that the cluster did not take",
                &this.failures,
            ),
        ] {
            metrics.register("registry", name, help, counter.clone());
        }
        this
    }
}
