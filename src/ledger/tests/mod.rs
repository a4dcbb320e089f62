//! What every store keeps to, and how each fails.

mod crash;
mod embedded;
mod jetstream;
mod suite;

use std::sync::Arc;

use crate::ledger::order::{Id, Order, State};
use crate::ledger::{Config, Ledger, Put};
use crate::media::RoomName;
use crate::protocol::interact::question::Audit;
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry::Metrics;

/// A book and the tasks behind it.
struct Open {
    ledger: Ledger,
    metrics: Metrics,
    scope: TaskScope,
}

impl Open {
    async fn new(config: &Config) -> Self {
        let scope = TaskScope::under(&Shutdown::new());
        let metrics = Metrics::default();
        let ledger = Ledger::open(config, &metrics, &scope).await;
        Self {
            ledger: ledger.expect("a usable configuration"),
            metrics,
            scope,
        }
    }

    /// How often the store was repaired when it was opened.
    fn repairs(&self) -> String {
        let text = self.metrics.encode();
        let name = "rushlane_ledger_repairs_total ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().to_owned()
    }

    /// Ends the tasks and closes the store.
    async fn close(self) {
        drop(self.ledger);
        self.scope.finish(std::time::Duration::from_secs(10)).await;
    }
}

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a room name")
}

fn id(in_room: &str, key: &str) -> Id {
    Id {
        room: room(in_room),
        key: Arc::from(key),
    }
}

pub(crate) fn order(in_room: &str, key: &str, at: i64) -> Order {
    let mut order = Order::accepted(id(in_room, key), "u_li".into(), at);
    order.answer = format!("{{\"key\":\"{key}\"}}");
    order
}

/// `order` in another state.
fn decided(order: &Order, state: State, at: i64) -> Order {
    let mut order = order.clone();
    (order.state, order.changed, order.due) = (state, at, None);
    order
}

/// A decision of moderation.
pub(crate) fn decision(at: i64) -> Audit {
    Audit {
        at,
        node: "edge-1".into(),
        by: "links".into(),
        action: "refuse".into(),
        user: "u_x".into(),
        text: format!("number {at}"),
    }
}

/// Puts it; it must be done.
async fn put(ledger: &Ledger, order: &Order, expected: u64) -> u64 {
    match ledger
        .put(order, expected)
        .await
        .expect("a store that works")
    {
        Put::Done(revision) => revision,
        Put::Changed(entry) => panic!("{entry:?} stands there"),
    }
}
