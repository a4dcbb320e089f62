//! How the two halves of rooms are set up: the doors of a node with members, and what an origin has
//! besides its shows.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::ledger::Ledger;
use crate::node::Error;
use crate::node::assembly::Parts;
use crate::node::config::Config;
use crate::rooms::authority::{self, Authority};
use crate::rooms::doors::{self, Doors};
use crate::rooms::{moderation, orders};
use crate::runtime::TaskScope;

/// The rooms whose origin a node is, with their orders.
pub(super) struct OriginRooms {
    pub(super) authority: Authority,
    pub(super) orders: orders::Desk,
    pub(super) ledger: Ledger,
}

impl Parts {
    /// Opens the ledger and takes up what it holds.
    pub(super) async fn open_rooms(
        &mut self,
        config: &Config,
        scope: &TaskScope,
    ) -> Result<(), Error> {
        let ledger = Ledger::open(&config.ledger, &self.metrics, scope).await?;
        let (orders, changes) =
            orders::Desk::start(&config.orders, ledger.clone(), &self.metrics, scope);
        let parts = authority::Parts {
            store: self.store.clone(),
            exchange: self.above.clone(),
            ledger: ledger.clone(),
            orders: (orders.clone(), changes),
            hooks: self.hooks.clone(),
            metrics: self.metrics.clone(),
            node_name: self.name.as_str().into(),
            scope: scope.clone(),
        };
        let authority = Authority::start(self.services.rooms.clone(), parts).await;
        self.origin = Some(OriginRooms {
            authority,
            orders,
            ledger,
        });
        Ok(())
    }

    /// Opens the doors to all rooms.
    pub(super) fn open_doors(
        &mut self,
        config: &Config,
        scope: &TaskScope,
    ) -> Result<Doors, Error> {
        let runtime = Handle::current();
        let node_name: Arc<str> = self.name.as_str().into();
        let rules = moderation::Parts {
            node_name: node_name.clone(),
            exchange: self.exchange.clone(),
            metrics: &self.metrics,
            scope,
            runtime: &runtime,
        };
        let moderation = moderation::Rules::start(&config.moderation, rules)?;
        self.services.moderation = Some(moderation.clone());
        let parts = doors::Parts {
            store: self.store.clone(),
            exchange: self.exchange.clone(),
            auth: self.services.gate.clone(),
            moderation,
            metrics: self.metrics.clone(),
            node_name,
            scope: scope.clone(),
            runtime,
        };
        Ok(Doors::new(self.services.rooms.clone(), parts))
    }
}
