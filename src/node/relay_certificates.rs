//! The relay's certificates under a running node: read again when their files change, and on
//! SIGHUP. Links that stand stay; who was withdrawn is refused at its next handshake.

use std::path::PathBuf;

use crate::net::tls::{self, Identity};
use crate::node::files;
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
        let files = [ca, certificate, key];
        let shutdown = scope.shutdown().clone();
        scope.spawn("node.relay_certificates", async move {
            tokio::select! {
                () = files::follow(|| files.to_vec(), || self.read_again(&files)) => {}
                () = shutdown.requested() => {}
            }
        });
    }

    fn read_again(&self, files: &[PathBuf; 3]) {
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

    fn reload(&self, [ca, certificate, key]: &[PathBuf; 3]) -> Result<(), String> {
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
