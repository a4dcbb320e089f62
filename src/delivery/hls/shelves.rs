//! The shelves of a node, one for each track that somebody has asked for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::program::Program;
use super::shelf::Shelf;
use crate::delivery;
use crate::delivery::cmsd::Teller;
use crate::delivery::viewers::Audiences;
use crate::live::{Store, broadcast, track};
use crate::media::RoomName;
use crate::media::codec::Config;
use crate::runtime::TaskScope;

/// The least time a shelf reads after a request, in seconds: longer than any request is held.
const IDLE_SECONDS_MIN: u32 = 10;

/// Shelves by track. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Shelves {
    all: Arc<Mutex<HashMap<Key, Arc<Shelf>>>>,
    programs: Arc<Mutex<HashMap<RoomName, Weak<Program>>>>,
    store: Store,
    audiences: Audiences,
    teller: Teller,
    window_seconds: u32,
    idle: Duration,
    media: TaskScope,
    runtime: Handle,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    room: RoomName,
    epoch: Arc<str>,
    track: Arc<str>,
}

impl Shelves {
    /// Shelves that are fed by tasks of `media` in `runtime`.
    pub(in crate::delivery) fn new(
        config: &delivery::Config,
        (store, audiences): (Store, Audiences),
        teller: Teller,
        media: TaskScope,
        runtime: Handle,
    ) -> Self {
        let idle_seconds = config.idle_seconds.max(IDLE_SECONDS_MIN);
        Self {
            all: Arc::default(),
            programs: Arc::default(),
            store,
            audiences,
            teller,
            window_seconds: config.playlist_window_seconds,
            idle: Duration::from_secs(idle_seconds.into()),
            media,
            runtime,
        }
    }

    /// What `track` turned out to be when it was last asked for.
    pub(in crate::delivery) fn config(
        &self,
        of: &broadcast::Consumer,
        track: &track::Consumer,
    ) -> Option<Config> {
        let shelf = self.all.lock().get(&Key::new(of, track)).cloned()?;
        Some(shelf.known()?.config)
    }

    /// The names of all tracks that are read, the same on all nodes.
    pub(in crate::delivery) fn warm(&self) -> Vec<String> {
        let all = self.all.lock();
        let warm = all.iter().filter(|(_, shelf)| !shelf.is_cold());
        warm.map(|(key, _)| key.name()).collect()
    }

    /// Reads the tracks of `names`; true once those that are here have something to show.
    pub(in crate::delivery) fn warm_up(&self, names: &HashSet<String>) -> bool {
        let mut is_warm = true;
        for broadcast in self.store.shows() {
            for track in broadcast.tracks() {
                if names.contains(&Key::new(&broadcast, &track).name()) {
                    is_warm &= self.open(&broadcast, &track).known().is_some();
                }
            }
        }
        is_warm
    }

    /// The shelf of `track`, reading.
    pub(super) fn open(&self, of: &broadcast::Consumer, track: &track::Consumer) -> Arc<Shelf> {
        let shelf = self.get(of, track);
        shelf.ask(&self.media, &self.runtime, self.idle);
        shelf
    }

    /// The shelf of `track` as it is.
    pub(super) fn get(&self, of: &broadcast::Consumer, track: &track::Consumer) -> Arc<Shelf> {
        let key = Key::new(of, track);
        let mut all = self.all.lock();
        if let Some(shelf) = all.get(&key).filter(|shelf| shelf.broadcast().is(of)) {
            return shelf.clone();
        }
        // New shelves are rare: a good time to let go of those of past shows.
        all.retain(|_, shelf| !(shelf.broadcast().is_ended() && shelf.is_cold()));
        let room = &of.info().room;
        let shelf = Arc::new(Shelf::new(
            of.clone(),
            track.clone(),
            self.window_seconds,
            self.audiences.of(room),
            self.program(room),
            self.teller.clone(),
        ));
        all.insert(key, shelf.clone());
        shelf
    }

    /// What `room` shows, shared by the shelves of its tracks.
    fn program(&self, room: &RoomName) -> Arc<Program> {
        let mut programs = self.programs.lock();
        if let Some(program) = programs.get(room).and_then(Weak::upgrade) {
            return program;
        }
        programs.retain(|_, program| program.strong_count() > 0);
        let (store, shutdown) = (self.store.clone(), self.media.shutdown());
        let program = Program::follow(store, room.clone(), shutdown, &self.runtime);
        let program = Arc::new(program);
        programs.insert(room.clone(), Arc::downgrade(&program));
        program
    }
}

impl Key {
    fn name(&self) -> String {
        format!("{}/{}/{}", self.room, self.epoch, self.track)
    }

    fn new(of: &broadcast::Consumer, track: &track::Consumer) -> Self {
        let info = of.info();
        Self {
            room: info.room.clone(),
            epoch: info.epoch.clone(),
            track: track.info().name.clone(),
        }
    }
}
