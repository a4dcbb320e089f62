//! Telemetry: the registry of metrics and the log output. Rooms measure themselves and register
//! here; this room knows none of them.

mod logs;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

pub use logs::{Flush, LogFormat, init_logs};

/// The node's metrics. Clones share one registry.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("rushlane"))))
    }
}

impl Metrics {
    /// Registers `metric` of room `room` as `rushlane_<room>_<name>`; `help` is one sentence
    /// without a full stop. Counters get `_total` from the encoder; put the unit last in `name`
    /// (`write_bytes`, `wake_seconds`).
    pub fn register(&self, room: &str, name: &str, help: &str, metric: impl Metric) {
        self.0
            .lock()
            .sub_registry_with_prefix(room)
            .register(name, help, metric);
    }

    /// The OpenMetrics text of everything registered.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.lock()).expect("writing into a String cannot fail");
        text
    }
}
