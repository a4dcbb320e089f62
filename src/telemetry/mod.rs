//! Telemetry: the registry of metrics, what is wrong now, log output, access records and traces.
//! Rooms measure themselves and register here; this room knows none of them.

pub mod access;
mod conditions;
mod logs;
mod meter;
pub mod otlp;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

pub use conditions::{Condition, Conditions};
pub use logs::{Flush, LogFormat, check_log_filter, init_logs, set_log_filter};
pub use meter::{Meter, Quantiles, Spread};

/// The node's metrics. Clones share one registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    conditions: Conditions,
}

impl Default for Metrics {
    fn default() -> Self {
        let this = Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix("rushlane"))),
            conditions: Conditions::default(),
        };
        let help = "What is wrong with the node: 1 while it is";
        this.register("node", "condition", help, this.conditions.gauges());
        this
    }
}

impl Metrics {
    /// Registers `metric` of room `room` as `rushlane_<room>_<name>`; `help` is one sentence
    /// without a full stop. Counters get `_total` from the encoder; put the unit last in `name`
    /// (`write_bytes`, `wake_seconds`).
    pub fn register(&self, room: &str, name: &str, help: &str, metric: impl Metric) {
        self.registry
            .lock()
            .sub_registry_with_prefix(room)
            .register(name, help, metric);
    }

    /// Registers what `collector` tells at each scrape; its names begin with `rushlane_` and it
    /// bounds its labels itself.
    pub fn register_collector(&self, collector: impl Collector) {
        self.registry.lock().register_collector(Box::new(collector));
    }

    /// What is wrong with the node now: whoever measures says it there.
    #[must_use]
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The OpenMetrics text of everything registered.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock()).expect("writing into a String cannot fail");
        text
    }
}
