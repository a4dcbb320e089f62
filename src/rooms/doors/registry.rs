//! The rooms that somebody needs on this node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::live::Store;
use crate::media::RoomName;
use crate::rooms::Config;
use crate::rooms::doors::origin::Origin;
use crate::rooms::doors::room::{Room, Visit};
use crate::rooms::doors::{feed, reports};
use crate::runtime::TaskScope;

/// Opens rooms and forgets them. Never more than the store has rooms with events, and those of the
/// last minute.
#[derive(Debug)]
pub(super) struct Registry {
    rooms: Mutex<HashMap<RoomName, Arc<Room>>>,
    store: Store,
    origin: Origin,
    config: Arc<Config>,
    /// Names this process to the origins.
    process: Arc<str>,
    scope: TaskScope,
    runtime: Handle,
}

impl Registry {
    pub(super) fn new(
        store: Store,
        origin: Origin,
        config: Arc<Config>,
        process: Arc<str>,
        (scope, runtime): (TaskScope, Handle),
    ) -> Arc<Self> {
        Arc::new(Self {
            rooms: Mutex::default(),
            store,
            origin,
            config,
            process,
            scope,
            runtime,
        })
    }

    /// A visit to `name`; `None`: there is no such room.
    pub(super) fn visit(self: &Arc<Self>, name: &RoomName) -> Option<Visit> {
        let mut rooms = self.rooms.lock();
        let is_there = self.store.events(name.as_str()).is_some();
        // A room may be away for a moment while its origin restarts.
        if let Some(room) = rooms.get(name).filter(|room| is_there || !room.is_closed()) {
            return Some(room.visit());
        }
        if !is_there {
            return None;
        }
        let room = Room::new(name.clone(), self.process.clone());
        rooms.insert(name.clone(), room.clone());
        let visit = room.visit();
        drop(rooms);
        let _here = self.runtime.enter();
        self.scope.spawn("rooms.room", self.clone().serve(room));
        Some(visit)
    }

    /// The room of that name, if somebody needs it.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Room>> {
        self.rooms.lock().get(name).cloned()
    }

    async fn serve(self: Arc<Self>, room: Arc<Room>) {
        let shutdown = self.scope.shutdown().clone();
        let tick = Duration::from_millis(self.config.like_tick_ms.into());
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                () = feed::run(room.clone(), self.store.clone(), self.config.clone()) => {}
                () = reports::run(&room, &self.origin, tick) => {}
            }
            let mut rooms = self.rooms.lock();
            if !room.is_visited() {
                rooms.remove(&room.name);
                break;
            }
        }
        reports::finish(&room, &self.origin).await;
    }
}
