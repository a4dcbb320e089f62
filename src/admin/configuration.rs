//! Which configuration is in force, as the operator sees it.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

/// The configuration in force. Clones share it; whoever loads one says so here.
#[derive(Debug, Clone, Default)]
pub struct Configuration(Arc<Mutex<Loaded>>);

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Loaded {
    /// The file; empty: there is none.
    pub file: String,
    /// SHA-256 of its text, as `sha256sum` prints it.
    pub sha256: String,
    /// When it came into force, in milliseconds since 1970.
    pub loaded_ms: i64,
    /// Keys that have other values in it than in the running node: they wait for a restart.
    pub restart: Vec<String>,
    /// Why the newest version of the file is not in force, one line a fault; empty: it is.
    pub faults: Vec<String>,
}

impl Configuration {
    /// What is in force.
    #[must_use]
    pub fn get(&self) -> Loaded {
        self.0.lock().clone()
    }

    /// Another one is in force.
    pub fn set(&self, loaded: Loaded) {
        *self.0.lock() = loaded;
    }

    /// The newest version of the file has `faults`; the one before stays in force.
    pub fn refuse(&self, faults: Vec<String>) {
        self.0.lock().faults = faults;
    }
}
