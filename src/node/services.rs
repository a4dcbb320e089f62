//! The services of a running node that take another configuration.

use crate::auth::Gate;
use crate::ingest::publisher;
use crate::node::config::Config;
use crate::node::keys::KeyKeeper;
use crate::rooms::{self, moderation};
use crate::{shed, telemetry};

/// Where a reload goes. Clones reach the same services.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) gate: Gate,
    pub(super) keys: KeyKeeper,
    pub(super) shedding: shed::Controller,
    pub(super) rooms: rooms::Settings,
    pub(super) moderation: Option<moderation::Rules>,
    pub(super) publishers: Option<publisher::Desk>,
}

impl Services {
    /// Puts `config`, which was checked, in force. What may fail comes first, so that a failure
    /// leaves everything as it was.
    ///
    /// Errors: what is wrong, for the operator.
    pub(super) fn apply(&self, config: &Config) -> Result<(), String> {
        let keys = Gate::prepare(&config.auth).map_err(|error| format!("auth: {error}"))?;
        if let Some(moderation) = &self.moderation {
            let applied = moderation.apply(&config.moderation);
            applied.map_err(|error| format!("moderation: {error}"))?;
        }
        self.keys.put(keys, &config.auth);
        if let Some(publishers) = &self.publishers {
            publishers.apply(&config.publish);
        }
        self.rooms.apply(&config.rooms);
        self.shedding.apply(&config.shed);
        set_log_filter(config);
        Ok(())
    }
}

/// Logs as `config` says, unless the environment says otherwise.
pub(super) fn set_log_filter(config: &Config) {
    if std::env::var_os("RUST_LOG").is_some() {
        return;
    }
    if let Err(error) = telemetry::set_log_filter(&config.node.log) {
        tracing::warn!(error, "the log's filter stays as it was");
    }
}
