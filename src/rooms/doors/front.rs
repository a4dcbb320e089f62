//! The doors as the node sees them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::auth;
use crate::media::broadcast::epoch_at;
use crate::net::Alternate;
use crate::net::http::Service;
use crate::rooms::Settings;
use crate::rooms::doors::clerk::Clerk;
use crate::rooms::doors::figures::Figures;
use crate::rooms::doors::leaving::Leaving;
use crate::rooms::doors::limits::Gate;
use crate::rooms::doors::origin::Origin;
use crate::rooms::doors::registry::Registry;
use crate::rooms::doors::service::{House, Worker};
use crate::rooms::doors::{Parts, Presence, route};
use crate::runtime::{Shutdown, TaskScope, clock};

/// The doors of a node. Clones share them.
#[derive(Clone)]
pub struct Doors(Arc<Inner>);

struct Inner {
    settings: Settings,
    node_name: Arc<str>,
    auth: auth::Gate,
    gate: Gate,
    clerk: Clerk,
    figures: Figures,
    registry: Arc<Registry>,
    shutdown: Shutdown,
    leaving: Leaving,
}

impl Doors {
    /// Opens the doors to the rooms of `parts.store`.
    #[must_use]
    pub fn new(settings: Settings, parts: Parts) -> Self {
        let shutdown = parts.scope.shutdown().clone();
        let leaving = Leaving::under(&shutdown);
        let figures = Figures::new(&parts.metrics);
        let origin = Origin::new(parts.exchange);
        let rules = parts.moderation;
        let config = settings.config();
        let clerk = Clerk::new(origin.clone(), rules, figures.clone(), &config.limits);
        let process = format!("{}-{}", parts.node_name, epoch_at(clock::unix_us()));
        let tasks = (parts.scope, parts.runtime);
        let (store, process) = (parts.store, process.into());
        Self(Arc::new(Inner {
            registry: Registry::new(store, origin, settings.clone(), process, tasks),
            gate: Gate::new(settings.clone()),
            settings,
            node_name: parts.node_name,
            auth: parts.auth,
            clerk,
            figures,
            shutdown,
            leaving,
        }))
    }

    /// True for paths that [`Self::service`] answers: `/rooms/ROOM/...`.
    #[must_use]
    pub fn takes(path: &str) -> bool {
        route::is_below_rooms(path)
    }

    /// The service of one worker; call it on the worker's thread, inside its `LocalSet`.
    #[must_use]
    pub fn service(&self, worker: usize) -> Rc<dyn Service> {
        tracing::debug!(worker, "rooms are open");
        let inner = &self.0;
        Rc::new(Worker(Rc::new(House {
            settings: inner.settings.clone(),
            node_name: inner.node_name.clone(),
            auth: inner.auth.clone(),
            gate: inner.gate.clone(),
            clerk: inner.clerk.clone(),
            figures: inner.figures.clone(),
            registry: inner.registry.clone(),
            scope: TaskScope::under(&inner.shutdown),
            leaving: inner.leaving.clone(),
            halls: RefCell::default(),
            members: Cell::default(),
        })))
    }

    /// Members of `room` on this node.
    #[must_use]
    pub fn presence(&self, room: &str) -> Presence {
        let room = self.0.registry.find(room);
        let presence = room.map(|room| (room.presence.online(), room.presence.unique()));
        let (online, unique) = presence.unwrap_or_default();
        Presence { online, unique }
    }

    /// Sends all members away, to `others` if there are any, and lets nobody in any more. Posts are
    /// answered until the front closes.
    pub fn drain(&self, others: &[Alternate]) {
        self.0.leaving.begin(others);
    }
}
