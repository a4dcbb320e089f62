//! The registry of rooms on this node.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::live::{Config, Error, broadcast, track};
use crate::media::broadcast::{Info, Kind};
use crate::media::group::Id;
use crate::media::{Group, RoomName};

/// How many ended shows are remembered, so that their URLs answer 410 instead of 404. The oldest
/// are forgotten first.
const ENDED_MAX: usize = 4096;

/// Where groups older than the live window come from: relay-pull on an edge, nobody on an origin.
pub trait Upstream: std::fmt::Debug + Send + Sync {
    /// Fetches one complete group.
    fn fetch(
        &self,
        room: RoomName,
        epoch: Arc<str>,
        track: Arc<str>,
        group: Id,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Group>, FetchError>> + Send>>;
}

/// Why a group could not be had. Clonable, because all who wait for one fetch share its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nobody upstream has it (any more): a 404.
    #[error("no node upstream has group {0}")]
    NotFound(Id),
    /// The way up is broken or too slow just now: worth another try.
    #[error("the way to the parent is broken: {0}")]
    Unreachable(String),
}

/// The broadcasts of a node. Clones share one registry.
#[derive(Debug, Clone)]
pub struct Store {
    config: Config,
    rooms: Arc<Rooms>,
    upstream: Arc<OnceLock<Arc<dyn Upstream>>>,
}

#[derive(Debug)]
pub(super) struct Rooms {
    map: RwLock<Map>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Map {
    shows: HashMap<RoomName, Arc<broadcast::Shared>>,
    events: HashMap<RoomName, Arc<broadcast::Shared>>,
    ended: VecDeque<(RoomName, Arc<str>)>,
}

impl Map {
    fn of(&mut self, kind: Kind) -> &mut HashMap<RoomName, Arc<broadcast::Shared>> {
        match kind {
            Kind::Show => &mut self.shows,
            Kind::Events => &mut self.events,
        }
    }

    /// Takes a broadcast out, where it still is its room's.
    fn forget(&mut self, broadcast: &Arc<broadcast::Shared>) {
        let info = broadcast::Consumer(broadcast.clone()).info().clone();
        let of_kind = self.of(info.kind);
        let found = of_kind.get(&info.room);
        if !found.is_some_and(|found| Arc::ptr_eq(found, broadcast)) {
            return;
        }
        of_kind.remove(&info.room);
        if info.kind == Kind::Show {
            if self.ended.len() == ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back((info.room, info.epoch));
        }
    }
}

impl Rooms {
    pub(super) fn remove(&self, broadcast: &Arc<broadcast::Shared>) {
        self.map.write().forget(broadcast);
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let rooms = Rooms {
            map: RwLock::default(),
            version: watch::Sender::new(0),
        };
        Self {
            config,
            rooms: Arc::new(rooms),
            upstream: Arc::default(),
        }
    }

    /// Opens a broadcast, in place of one that has ended. Refused while the room has one of that
    /// kind, or when the node is full.
    pub fn publish(&self, info: Info) -> Result<broadcast::Producer, Error> {
        let mut map = self.rooms.map.write();
        if let Some(before) = map.of(info.kind).get(&info.room).cloned() {
            if !broadcast::Consumer(before.clone()).is_ended() {
                return Err(Error::RoomBusy(info.room));
            }
            map.forget(&before);
        }
        let of_kind = map.of(info.kind);
        if of_kind.len() >= self.config.rooms_max {
            return Err(Error::TooManyRooms(self.config.rooms_max));
        }
        let shared = broadcast::Shared::new(info.clone());
        of_kind.insert(info.room, shared.clone());
        drop(map);
        self.rooms.changed();
        let rooms = self.rooms.clone();
        Ok(broadcast::Producer {
            shared,
            rooms,
            config: self.config.clone(),
            writer: 0,
        })
    }

    /// Goes on with a broadcast in place of its writer, as when that one's source is lost: the
    /// broadcast stays what it is to its readers, and the former writer has no effect any more.
    /// Answers its new writer with one of each track, after whose newest groups to go on.
    ///
    /// Errors: the broadcast is over, or `term` is not above its own: somebody else was sooner.
    pub fn succeed(
        &self,
        before: &broadcast::Consumer,
        term: u32,
    ) -> Result<(broadcast::Producer, Vec<track::Producer>), Error> {
        let info = before.info();
        let superseded = || Error::Superseded(info.room.clone());
        let mut map = self.rooms.map.write();
        let found = map.of(info.kind).get(&info.room);
        let is_here = found.is_some_and(|found| Arc::ptr_eq(found, &before.0));
        if !is_here || term <= before.term() {
            return Err(superseded());
        }
        let (writer, tracks) = before.0.succeed(term).ok_or_else(superseded)?;
        drop(map);
        self.rooms.changed();
        let producer = broadcast::Producer {
            shared: before.0.clone(),
            rooms: self.rooms.clone(),
            config: self.config.clone(),
            writer,
        };
        Ok((producer, tracks))
    }

    /// The show of a room. Costs one look-up and leaves no trace, so strangers may ask for
    /// anything.
    #[must_use]
    pub fn room(&self, room: &str) -> Option<broadcast::Consumer> {
        let found = self.rooms.map.read().shows.get(room).cloned();
        found.map(broadcast::Consumer)
    }

    /// The events of a room, as [`Self::room`].
    #[must_use]
    pub fn events(&self, room: &str) -> Option<broadcast::Consumer> {
        let found = self.rooms.map.read().events.get(room).cloned();
        found.map(broadcast::Consumer)
    }

    /// True when the room had a show of that epoch that is over and gone.
    #[must_use]
    pub fn has_ended(&self, room: &str, epoch: &str) -> bool {
        let map = self.rooms.map.read();
        map.ended
            .iter()
            .any(|(name, of)| name.as_str() == room && &**of == epoch)
    }

    /// All live shows, sorted by room.
    #[must_use]
    pub fn shows(&self) -> Vec<broadcast::Consumer> {
        sorted(self.rooms.map.read().shows.values())
    }

    /// All broadcasts of either kind; those of one kind are sorted by room.
    #[must_use]
    pub fn broadcasts(&self) -> Vec<broadcast::Consumer> {
        let map = self.rooms.map.read();
        let mut all = sorted(map.shows.values());
        all.extend(sorted(map.events.values()));
        all
    }

    /// Counts changes of the registry (rooms, their tracks and ends); relay-serve waits on it to
    /// announce them.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.rooms.version.subscribe()
    }

    /// Names where older groups come from; the first call wins.
    pub fn set_upstream(&self, upstream: Arc<dyn Upstream>) {
        let _first_wins = self.upstream.set(upstream).is_err();
    }

    /// A complete group: from the live window, else from upstream. Callers coalesce and remember
    /// misses.
    pub async fn fetch(
        &self,
        broadcast: &broadcast::Consumer,
        track: &str,
        group: Id,
    ) -> Result<Arc<Group>, FetchError> {
        let Some(consumer) = broadcast.track(track) else {
            return Err(FetchError::NotFound(group));
        };
        if let Some(found) = consumer.group(group) {
            return Ok(Arc::new(found));
        }
        let Some(upstream) = self.upstream.get() else {
            return Err(FetchError::NotFound(group));
        };
        let info = broadcast.info();
        let name = consumer.info().name.clone();
        upstream
            .fetch(info.room.clone(), info.epoch.clone(), name, group)
            .await
    }
}

fn sorted<'a>(
    broadcasts: impl Iterator<Item = &'a Arc<broadcast::Shared>>,
) -> Vec<broadcast::Consumer> {
    let mut all: Vec<_> = broadcasts.cloned().map(broadcast::Consumer).collect();
    all.sort_by(|a, b| a.info().room.cmp(&b.info().room));
    all
}

#[cfg(test)]
#[path = "store_test.rs"]
mod tests;
