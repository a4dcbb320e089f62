//! The rooms that somebody needs on this node.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::live::Store;
use crate::media::RoomName;
use crate::protocol::interact::question::Refusal;
use crate::rooms::Settings;
use crate::rooms::doors::origin::{Origin, refusal};
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
    settings: Settings,
    /// Names this process to the origins.
    process: Arc<str>,
    scope: TaskScope,
    runtime: Handle,
}

impl Registry {
    pub(super) fn new(
        store: Store,
        origin: Origin,
        settings: Settings,
        process: Arc<str>,
        (scope, runtime): (TaskScope, Handle),
    ) -> Arc<Self> {
        Arc::new(Self {
            rooms: Mutex::default(),
            store,
            origin,
            settings,
            process,
            scope,
            runtime,
        })
    }

    /// A visit to `name`. Errors: there is no such room, or it is not open yet beside its show.
    pub(super) fn visit(self: &Arc<Self>, name: &RoomName) -> Result<Visit, Refusal> {
        let mut rooms = self.rooms.lock();
        let is_there = self.store.events(name.as_str()).is_some();
        // A room may be away for a moment while its origin restarts.
        if let Some(room) = rooms.get(name).filter(|room| is_there || !room.is_closed()) {
            return Ok(room.visit());
        }
        if !is_there {
            let show = self.store.room(name.as_str());
            let is_live = show.is_some_and(|show| !show.is_ended());
            return Err(if is_live { not_yet() } else { no_room() });
        }
        let room = Room::new(name.clone(), self.process.clone());
        rooms.insert(name.clone(), room.clone());
        let visit = room.visit();
        drop(rooms);
        let _here = self.runtime.enter();
        self.scope.spawn("rooms.room", self.clone().serve(room));
        Ok(visit)
    }

    /// The room of that name, if somebody needs it.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Room>> {
        self.rooms.lock().get(name).cloned()
    }

    async fn serve(self: Arc<Self>, room: Arc<Room>) {
        let shutdown = self.scope.shutdown().clone();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                () = feed::run(room.clone(), self.store.clone(), &self.settings) => {}
                () = reports::run(&room, &self.origin, &self.settings) => {}
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

/// Nothing of that name is here.
pub(super) fn no_room() -> Refusal {
    refusal(404, "no_room", "there is no such room".into(), None)
}

/// The room's origin has not opened it, as while it cannot read what it keeps.
fn not_yet() -> Refusal {
    let detail = "the room is not open yet".into();
    refusal(503, "not_ready", detail, Some(1))
}
