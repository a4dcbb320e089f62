//! What the node sees of the registry: leases of rooms, and who else is there.

use std::sync::Arc;

use crate::media::RoomName;
use crate::registry::fleet::Fleet;
use crate::registry::{Backend, Config, Error, Node, Taken};
use crate::runtime::TaskScope;
use crate::telemetry;

/// The fleet's registry, as one node sees it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Registry(pub(super) Option<Arc<Fleet>>);

/// A room that this node has; it lets go of it when dropped.
#[derive(Debug)]
pub struct Lease(Option<(Arc<Fleet>, RoomName)>);

impl Registry {
    /// Opens it for a node that is called `name`; its tasks run in `scope`. Does not wait for the
    /// cluster.
    ///
    /// Errors: the configuration is of no use.
    pub async fn open(
        config: &Config,
        name: &str,
        metrics: &telemetry::Metrics,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        match config.backend {
            Backend::Static => Ok(Self::default()),
            Backend::Nats => {
                let fleet = Fleet::open(config, name, metrics, scope).await?;
                Ok(Self(Some(fleet)))
            }
        }
    }

    /// Says what this node is; nodes of the fleet see it a moment later.
    pub fn introduce(&self, node: Node) {
        if let Some(fleet) = &self.0 {
            fleet.introduce(node);
        }
    }

    /// Claims a room for this node, for as long as the lease is held.
    ///
    /// Errors: another node has it.
    pub async fn claim(&self, room: &RoomName) -> Result<Lease, Taken> {
        match &self.0 {
            Some(fleet) => fleet.claim(room).await?,
            None => return Ok(Lease(None)),
        }
        Ok(self.lease(room))
    }

    /// Takes a room that another node has lost, whoever holds its lease.
    #[must_use]
    pub fn seize(&self, room: &RoomName) -> Lease {
        if let Some(fleet) = &self.0 {
            fleet.seize(room);
        }
        self.lease(room)
    }

    fn lease(&self, room: &RoomName) -> Lease {
        Lease(self.0.clone().map(|fleet| (fleet, room.clone())))
    }

    /// The nodes of the fleet, this one left out, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        self.0.as_ref().map_or_else(Vec::new, |fleet| fleet.nodes())
    }

    /// Waits until [`Self::nodes`] may have changed. Cancel-safe.
    pub async fn nodes_changed(&self) {
        match &self.0 {
            Some(fleet) => fleet.nodes_changed().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((fleet, room)) = self.0.take() {
            fleet.release(&room);
        }
    }
}
