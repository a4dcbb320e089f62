//! The desk: who publishes to which room.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::ingest::publisher::closed::Closed;
use crate::ingest::publisher::metrics::Instruments;
use crate::ingest::publisher::room::{House, Room};
use crate::ingest::publisher::waits::{Ears, Heard};
use crate::ingest::publisher::{Config, Now, Publisher, Refusal, Request, Revoked, RoomStatus};
use crate::live::{self, broadcast};
use crate::media::RoomName;
use crate::media::broadcast::{Info, Kind, epoch_at};
use crate::registry::{Lease, Registry, Taken};
use crate::runtime::{TaskScope, clock};
use crate::telemetry::Metrics;

/// Hands out publishers, two for each rendition of a room. One per node; clones share it.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    house: House,
    config: RwLock<Config>,
    started: clock::Instant,
    rooms: Mutex<Rooms>,
    closed: Closed,
    ears: Ears,
    /// Shows of other origins are followed, and gone on with when their feed is lost.
    stands_by: AtomicBool,
    scope: TaskScope,
}

/// What a desk needs of its node.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Where broadcasts are published.
    pub store: live::Store,
    /// Who publishes what in the fleet.
    pub registry: Registry,
    /// Where its figures are registered.
    pub metrics: &'a Metrics,
    /// Where its tasks run.
    pub scope: TaskScope,
}

type Rooms = HashMap<RoomName, Arc<Open>>;

/// A room and the bell that wakes its task.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) room: Mutex<Room>,
    pub(super) changed: Notify,
}

impl Desk {
    /// A desk without rooms.
    #[must_use]
    pub fn new(config: &Config, parts: Parts<'_>) -> Self {
        Self(Arc::new(Shared {
            house: House {
                store: parts.store,
                registry: parts.registry,
                instruments: Instruments::register(parts.metrics),
            },
            config: RwLock::new(config.clone()),
            started: clock::now(),
            rooms: Mutex::default(),
            closed: Closed::default(),
            ears: Ears::default(),
            stands_by: AtomicBool::new(false),
            scope: parts.scope,
        }))
    }

    /// From now on this node stands by for the shows of other origins: it holds their newest
    /// minute, and lets encoders wait that publish the same rooms here.
    pub fn stand_by(&self) {
        if !self.0.stands_by.swap(true, Ordering::Relaxed) {
            self.0.scope.spawn("ingest.standby", self.clone().follow());
        }
    }

    /// Puts another configuration in force. Broadcasts keep the timing that they were opened with.
    pub fn apply(&self, config: &Config) {
        self.0.config.write().clone_from(config);
        for open in self.0.rooms.lock().values() {
            open.room.lock().apply(config);
            open.changed.notify_one();
        }
    }

    /// Opens a room, continues it within the resume window, joins it with a further rendition or
    /// as a backup, or stands by while another node feeds it.
    pub async fn publish(&self, request: Request) -> Result<Publisher, Refusal> {
        if self.0.scope.shutdown().is_requested() {
            return Err(Refusal::Stopping);
        }
        request.check()?;
        if let Some(left) = self.0.closed.left(&request.room, clock::now()) {
            return Err(Refusal::Closed {
                room: request.room,
                seconds: left.as_secs() + u64::from(left.subsec_nanos() > 0),
            });
        }
        let lease = self.claim(&request.room).await?;
        let publisher = self.seat(&request, lease)?;
        if !request.backup && !self.stands_by() {
            publisher.find_room_free(&request.room).await?;
        }
        tracing::info!(
            room = %request.room,
            rendition = request.rendition.as_deref().unwrap_or(""),
            seat = request.role().name(),
            peer = %request.peer,
            "publishing",
        );
        Ok(publisher)
    }

    /// The right to open a room; `None` where there is nothing to open.
    async fn claim(&self, room: &RoomName) -> Result<Option<Lease>, Refusal> {
        let open = self.0.rooms.lock().get(room).cloned();
        let is_open = open.is_some_and(|open| open.room.lock().is_open());
        let show = self.0.house.store.room(room.as_str());
        if is_open || show.is_some_and(|show| !show.is_ended()) {
            return Ok(None);
        }
        match self.0.house.registry.claim(room).await {
            Ok(lease) => Ok(Some(lease)),
            Err(Taken { owner }) => Err(Refusal::Owned {
                room: room.clone(),
                owner,
            }),
        }
    }

    /// Takes a place in the room, which is opened where it is not.
    fn seat(&self, request: &Request, lease: Option<Lease>) -> Result<Publisher, Refusal> {
        let now = self.now();
        let (revoke, revoked) = watch::channel(None);
        let mut rooms = self.0.rooms.lock();
        let open = self.open(&mut rooms, &request.room, lease, now)?;
        let place = open.room.lock().join(request, revoke, now)?;
        drop(rooms);
        Ok(Publisher {
            desk: self.clone(),
            waits: self.0.ears.of(&request.room),
            open,
            place,
            revoked,
        })
    }

    /// For how long a room's encoders were waited for; `None` when there is none.
    #[must_use]
    pub fn heard(&self, room: &RoomName) -> Option<Heard> {
        self.0.ears.heard(room)
    }

    /// Ends a room's broadcast by an operator's wish: it leaves the store at once, and with it all
    /// edges. The room takes no publisher for `closed`. False when nobody published it here.
    pub fn cut(&self, room: &RoomName, closed: Duration) -> bool {
        self.close_room(room, closed);
        let Some(open) = self.0.rooms.lock().get(room).cloned() else {
            return false;
        };
        let mut state = open.room.lock();
        let was_published = state.is_published();
        state.dispose(Revoked::Cut, self.now());
        open.changed.notify_one();
        if was_published {
            self.0.house.instruments.room_cut();
            tracing::warn!(%room, closed_seconds = closed.as_secs(), "cut by an operator");
        }
        was_published
    }

    /// Keeps a room closed to publishers for a while; who publishes there now goes on. No time at
    /// all opens it again.
    pub fn close_room(&self, room: &RoomName, closed: Duration) {
        self.0.closed.close(room, closed, clock::now());
    }

    /// What the encoders of a room do; `None` when nobody publishes it here.
    #[must_use]
    pub fn status(&self, room: &RoomName) -> Option<RoomStatus> {
        let open = self.0.rooms.lock().get(room).cloned()?;
        open.room.lock().status(self.now())
    }

    fn stands_by(&self) -> bool {
        self.0.stands_by.load(Ordering::Relaxed)
    }

    /// The open room of that name: the one there is, the show of another node, or a new show.
    fn open(
        &self,
        rooms: &mut Rooms,
        name: &RoomName,
        lease: Option<Lease>,
        now: Now,
    ) -> Result<Arc<Open>, Refusal> {
        // Another show has another epoch, even when the clock is set back (D8).
        let mut started_us = now.unix_us;
        if let Some(before) = rooms.get(name).cloned() {
            let mut room = before.room.lock();
            if room.is_open() {
                drop(room);
                return Ok(before);
            }
            started_us = started_us.max(room.started_us() + 1000);
            room.dispose(Revoked::Ended, now);
            before.changed.notify_one();
        }
        if let Some(show) = self.0.house.store.room(name.as_str()) {
            if !show.is_ended() {
                return Ok(self.follow_show(rooms, show, now));
            }
            started_us = started_us.max(show.info().started_us + 1000);
        }
        let config = self.0.config.read().clone();
        let broadcast = self.0.house.store.publish(Info {
            room: name.clone(),
            kind: Kind::Show,
            epoch: epoch_at(started_us),
            started_us,
            timing: config.profile.timing(),
        })?;
        let room = Room::new(broadcast, lease, config, self.0.house.clone(), now);
        Ok(self.keep(rooms, name, room))
    }

    /// Opens a room whose show another node feeds.
    fn follow_show(&self, rooms: &mut Rooms, show: broadcast::Consumer, now: Now) -> Arc<Open> {
        let name = show.info().room.clone();
        let config = self.0.config.read().clone();
        let room = Room::following(show, config, self.0.house.clone(), now);
        self.keep(rooms, &name, room)
    }

    fn keep(&self, rooms: &mut Rooms, name: &RoomName, room: Room) -> Arc<Open> {
        let open = Arc::new(Open {
            room: Mutex::new(room),
            changed: Notify::new(),
        });
        rooms.insert(name.clone(), open.clone());
        let task = self.clone().watch(name.clone(), open.clone());
        self.0.scope.spawn("ingest.room", task);
        open
    }

    /// Does what time asks of a room until it is gone.
    async fn watch(self, name: RoomName, open: Arc<Open>) {
        let shutdown = self.0.scope.shutdown().clone();
        loop {
            let look_us = open.room.lock().poll(self.stands_by(), self.now());
            let Some(look_us) = look_us else { break };
            let wait = Duration::from_micros(look_us.unsigned_abs());
            tokio::select! {
                () = tokio::time::sleep_until(self.0.started + wait) => {}
                () = open.changed.notified() => {}
                () = shutdown.requested() => {
                    open.room.lock().dispose(Revoked::Stopping, self.now());
                }
            }
        }
        let mut rooms = self.0.rooms.lock();
        if rooms
            .get(&name)
            .is_some_and(|found| Arc::ptr_eq(found, &open))
        {
            rooms.remove(&name);
        }
    }

    /// Follows every show that another node feeds.
    async fn follow(self) {
        let mut changes = self.0.house.store.changes();
        loop {
            for show in self.0.house.store.shows() {
                self.look_after(show);
            }
            tokio::select! {
                _lives_as_long_as_the_store = changes.changed() => {}
                () = self.0.scope.shutdown().requested() => return,
            }
        }
    }

    fn look_after(&self, show: broadcast::Consumer) {
        let mut rooms = self.0.rooms.lock();
        match rooms.get(&show.info().room) {
            // It may have been taken over by another node.
            Some(open) if open.room.lock().is_open() => open.changed.notify_one(),
            _ if show.is_ended() => {}
            _ => {
                self.follow_show(&mut rooms, show, self.now());
            }
        }
    }

    pub(super) fn now(&self) -> Now {
        let elapsed = clock::now().saturating_duration_since(self.0.started);
        Now {
            us: i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX),
            unix_us: clock::unix_us(),
        }
    }
}

#[cfg(test)]
#[path = "desk_test.rs"]
mod tests;
