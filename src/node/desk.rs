//! What the admin port is told of a node's services.

use std::net::SocketAddr;

use crate::admin::{Fleet, NodeInfo, Sources, Stops};
use crate::node::Role;
use crate::node::assembly::Parts;
use crate::runtime::clock;

impl Parts {
    /// Where the admin port's answers come from.
    pub(super) fn sources(
        &self,
        role: Role,
        listeners: &[(&'static str, SocketAddr)],
        stops: Stops,
    ) -> Sources {
        let origin = self.origin.as_ref();
        let shown = listeners.iter().map(|(key, at)| (*key, at.to_string()));
        Sources {
            node: NodeInfo {
                name: self.name.clone(),
                role: role.as_str(),
                version: env!("CARGO_PKG_VERSION"),
                started_ms: clock::unix_us() / 1000,
                listeners: shown.collect(),
            },
            store: self.store.clone(),
            publishers: self.desk.clone(),
            children: self.children.clone(),
            parents: self.parents.clone(),
            delivery: self.delivery.clone(),
            exchange: self.exchange.clone(),
            rooms: origin.map(|rooms| rooms.authority.clone()),
            doors: self.doors.clone(),
            orders: origin.map(|rooms| rooms.orders.clone()),
            ledger: origin.map(|rooms| rooms.ledger.clone()),
            http: self.http_metrics.clone(),
            fleet: Fleet::new(self.report.clone()),
            shedding: self.services.shedding.clone(),
            configuration: self.configuration.clone(),
            gate: self.services.gate.clone(),
            why: None,
            metrics: self.metrics.clone(),
            stops,
        }
    }
}
