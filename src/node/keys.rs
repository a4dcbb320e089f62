//! The keys of tokens under a running node: read again when their files change, and with the
//! configuration.
//!
//! Invariant: all keys of a configuration are in force, or those from before; while files are no
//! use, readiness, log and metrics say so.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::auth::{self, Gate, Keys};
use crate::node::files;
use crate::runtime::TaskScope;
use crate::telemetry::{Conditions, Metrics};

/// What is shown as wrong while files are no use.
const CONDITION: &str = "keys";

/// Keeps the gate's keys as new as their files. Clones share it.
#[derive(Clone)]
pub(super) struct KeyKeeper(Arc<Inner>);

struct Inner {
    gate: Gate,
    config: Mutex<auth::Config>,
    conditions: Conditions,
    reloads: Counter,
    failures: Counter,
}

impl KeyKeeper {
    /// Watches over the keys of `gate`, which came from `config`.
    pub(super) fn new(gate: Gate, config: &auth::Config, metrics: &Metrics) -> Self {
        let (reloads, failures) = (Counter::default(), Counter::default());
        let help = "Times that keys of tokens were read again";
        metrics.register("auth", "key_reloads", help, reloads.clone());
        let help = "Times that key files were no use and the old keys stayed";
        metrics.register("auth", "key_reload_failures", help, failures.clone());
        Self(Arc::new(Inner {
            gate,
            config: Mutex::new(config.clone()),
            conditions: metrics.conditions().clone(),
            reloads,
            failures,
        }))
    }

    /// Puts `keys`, which came from `config`, in force.
    pub(super) fn put(&self, keys: Keys, config: &auth::Config) {
        let mut known = self.0.config.lock();
        known.clone_from(config);
        self.0.put(keys);
    }

    /// Reads again what has changed, in a task of `scope`.
    pub(super) fn watch(self, scope: &TaskScope) {
        let shutdown = scope.shutdown().clone();
        scope.spawn("node.keys", async move {
            let files = || self.0.config.lock().files();
            tokio::select! {
                () = files::follow(files, || self.read_again()) => {}
                () = shutdown.requested() => {}
            }
        });
    }

    fn read_again(&self) {
        // Held until they are in force: another configuration is not overtaken by this one.
        let config = self.0.config.lock();
        if config.files().is_empty() {
            return;
        }
        match Gate::prepare(&config) {
            Ok(keys) => {
                self.0.put(keys);
                tracing::info!("the keys of tokens were read again");
            }
            Err(error) => {
                self.0.failures.inc();
                self.0.conditions.raise(CONDITION, error.to_string());
                tracing::warn!(%error, "the keys of tokens stay as they were");
            }
        }
    }
}

impl Inner {
    fn put(&self, keys: Keys) {
        self.gate.replace(keys);
        self.conditions.clear(CONDITION);
        self.reloads.inc();
    }
}
