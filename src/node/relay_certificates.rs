//! The relay's certificates under a running node: read again when their files change, and on
//! SIGHUP. Links that stand stay; who was withdrawn is refused at its next handshake.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::net::tls::{self, Identity};
use crate::node::certificates::{LOOK, look, next};
use crate::relay;
use crate::runtime::TaskScope;
use crate::telemetry::Conditions;

/// What is shown as wrong while the files are no use.
const CONDITION: &str = "relay certificate";

/// Keeps both ends of the relay as new as the files.
pub(super) struct RelayKeeper {
    pub(super) config: relay::Config,
    pub(super) children: Option<relay::Server>,
    pub(super) parents: relay::Puller,
    pub(super) conditions: Conditions,
}

impl RelayKeeper {
    /// Reads again what has changed, in a task of `scope`. `rushlane dev` has no files.
    pub(super) fn watch(self, scope: &TaskScope) {
        let relay = &self.config;
        let files = [&relay.ca, &relay.certificate, &relay.key].map(Clone::clone);
        let [Some(ca), Some(certificate), Some(key)] = files else {
            return;
        };
        let files = Arc::new([ca, certificate, key]);
        let shutdown = scope.shutdown().clone();
        scope.spawn("node.relay_certificates", async move {
            tokio::select! {
                () = self.follow(&files) => {}
                () = shutdown.requested() => {}
            }
        });
    }

    async fn follow(&self, files: &[std::path::PathBuf; 3]) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hangups = signal(SignalKind::hangup()).ok();
        let mut read = look(files);
        let mut seen = read.clone();
        loop {
            let asked = tokio::select! {
                _ = looks.tick() => false,
                () = next(&mut hangups) => true,
            };
            let now = look(files);
            // Two looks that agree: nobody is writing.
            if asked || (now == seen && now != read) {
                read.clone_from(&now);
                self.read_again(files);
            }
            seen = now;
        }
    }

    fn read_again(&self, files: &[std::path::PathBuf; 3]) {
        match self.reload(files) {
            Ok(()) => {
                self.conditions.clear(CONDITION);
                tracing::info!("the relay's certificates were read again");
            }
            Err(error) => {
                self.conditions.raise(CONDITION, error.clone());
                tracing::warn!(error, "the relay's certificates stay as they were");
            }
        }
    }

    fn reload(&self, [ca, certificate, key]: &[std::path::PathBuf; 3]) -> Result<(), String> {
        let identity = Identity::load(certificate, key).map_err(|error| error.to_string())?;
        let authorities = tls::load_certificates(ca).map_err(|error| error.to_string())?;
        let text = |error: relay::Error| error.to_string();
        self.parents.reload(&identity, &authorities).map_err(text)?;
        match &self.children {
            Some(children) => children.reload(&identity, &authorities).map_err(text),
            None => Ok(()),
        }
    }
}
