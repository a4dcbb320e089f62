//! The rooms of an origin: when they open and close, and what is left of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::live::{Store, broadcast};
use crate::media::RoomName;
use crate::protocol::interact::question::Refusal;
use crate::rooms::authority::open::{Open, Saved, Tools};
use crate::rooms::authority::refusal::{closed, unavailable};
use crate::rooms::authority::room::{Identity, Room};
use crate::rooms::authority::tracks::Tracks;
use crate::rooms::orders;
use crate::runtime::TaskScope;

/// How often it is looked which rooms are quiet for too long.
const LOOK: Duration = Duration::from_secs(1);

/// How long the ledger is asked for earlier states before rooms open without.
const LOAD_ATTEMPTS_MAX: u32 = 20;

/// The pause between attempts.
const LOAD_RETRY: Duration = Duration::from_millis(500);

/// How long the last state of a room that closes may take to be saved.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// Changes of orders put out in one go.
const CHANGES_MAX: usize = 256;

/// The rooms of this origin, open and former.
#[derive(Debug)]
pub(super) struct Registry {
    store: Store,
    tools: Tools,
    /// This process.
    origin: Arc<str>,
    scope: TaskScope,
    runtime: Handle,
    /// Earlier states have been looked for; no room opens before.
    is_ready: AtomicBool,
    open: Mutex<HashMap<RoomName, Arc<Open>>>,
    /// What is left of rooms that are not open here: a list of sanctions each, for most.
    former: Mutex<HashMap<RoomName, Saved>>,
}

impl Registry {
    /// No room is open yet; the tasks of rooms run in `scope`, in the current runtime.
    pub(super) fn new(store: Store, tools: Tools, scope: TaskScope) -> Self {
        Self {
            origin: format!("{}-{}", tools.node, tools.clock.now().unix_ms).into(),
            store,
            tools,
            scope,
            runtime: Handle::current(),
            is_ready: AtomicBool::new(false),
            open: Mutex::default(),
            former: Mutex::default(),
        }
    }

    pub(super) fn tools(&self) -> &Tools {
        &self.tools
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The room if it is open.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Open>> {
        self.open.lock().get(name).cloned()
    }

    /// The room if it is open, or should be. Errors: it is not, or nobody can say yet.
    pub(super) fn find(&self, name: &RoomName) -> Result<Arc<Open>, Refusal> {
        if let Some(open) = self.get(name.as_str()) {
            return Ok(open);
        }
        if self.has_show(name) || !self.is_ready.load(Ordering::Acquire) {
            return self.find_or_open(name);
        }
        Err(closed())
    }

    /// The room, opened if need be. Errors: there is no place for it, or this node is not ready.
    pub(super) fn find_or_open(&self, name: &RoomName) -> Result<Arc<Open>, Refusal> {
        let mut rooms = self.open.lock();
        if let Some(open) = rooms.get(name) {
            return Ok(open.clone());
        }
        if !self.is_ready.load(Ordering::Acquire) || self.scope.shutdown().is_requested() {
            return Err(unavailable(
                "not_ready",
                "this server is starting or stopping",
            ));
        }
        if rooms.len() >= self.tools.settings.config().rooms_max {
            self.tools.metrics.refused_rooms.inc();
            let detail = format!("this server has its limit of {} rooms", rooms.len());
            return Err(unavailable("too_many_rooms", &detail));
        }
        let open = self.open(name)?;
        rooms.insert(name.clone(), open.clone());
        self.tools.metrics.open.set(rooms.len() as i64);
        Ok(open)
    }

    /// Opens a room with what is left of it.
    fn open(&self, name: &RoomName) -> Result<Arc<Open>, Refusal> {
        let now = self.tools.clock.now();
        let former = self.former.lock().get(name).cloned();
        let earliest_ms = former.as_ref().map_or(0, |former| former.epoch_ms + 1);
        let epoch_ms = now.unix_ms.max(earliest_ms);
        let tracks = Tracks::publish(&self.store, name, epoch_ms, now)
            .map_err(|error| unavailable("no_room", &error.to_string()))?;
        let identity = Identity {
            name: name.clone(),
            node: self.tools.node.clone(),
            origin: self.origin.clone(),
            epoch: tracks.info().epoch.clone(),
        };
        let mut room = Room::new(identity, self.tools.settings.pace(), now);
        let mut quiet_since_ms = now.unix_ms;
        if let Some(former) = former {
            if self.is_young(&former) {
                quiet_since_ms = former.quiet_since_ms();
                room.restore(former.state, now);
            } else {
                room.restore(former.state.sanctions_only(), now);
            }
        }
        tracing::info!(room = %name, epoch = %tracks.info().epoch, "the room is open");
        let tools = self.tools.clone();
        let open = Open::new(name.clone(), tools, room, tracks, Some(quiet_since_ms));
        let open = Arc::new(open);
        let _guard = self.runtime.enter();
        let shutdown = self.scope.shutdown().clone();
        self.scope.spawn("rooms.room", open.clone().run(shutdown));
        Ok(open)
    }

    fn linger_ms(&self) -> i64 {
        i64::from(self.tools.settings.config().linger_seconds) * 1000
    }

    /// True while a room in that state would be open still.
    fn is_young(&self, saved: &Saved) -> bool {
        let linger_ms = self.linger_ms();
        saved.quiet_since_ms() + linger_ms > self.tools.clock.now().unix_ms
    }

    /// Reads what is left of all rooms, and opens those that this node had open. False when the
    /// ledger cannot be read.
    pub(super) async fn load(&self) -> bool {
        let states = match self.tools.ledger.load_rooms().await {
            Ok(states) => states,
            Err(error) => {
                tracing::warn!(%error, "the states of rooms cannot be read");
                return false;
            }
        };
        let mut own = Vec::new();
        for (name, bytes) in states {
            let saved: Saved = match serde_json::from_slice(&bytes) {
                Ok(saved) => saved,
                Err(error) => {
                    tracing::error!(room = %name, %error, "the room's state is of no use");
                    continue;
                }
            };
            if saved.node == self.tools.node && self.is_young(&saved) {
                own.push(name.clone());
            }
            self.former.lock().insert(name, saved);
        }
        self.is_ready.store(true, Ordering::Release);
        for name in own {
            if let Err(error) = self.find_or_open(&name) {
                tracing::warn!(room = %name, error = error.detail, "the room stays closed");
            }
        }
        true
    }

    /// Opens rooms as their shows go live, and closes them when they are quiet for long enough.
    pub(super) async fn keep(&self, is_loaded: bool) {
        if !is_loaded {
            self.load_at_last().await;
        }
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            self.open_shows();
            for (name, saved) in self.close_quiet() {
                let save = self.tools.ledger.save_room(&name, saved.to_bytes());
                match tokio::time::timeout(LAST_SAVE, save).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(room = %name, %error, "not saved"),
                    Err(_) => tracing::warn!(room = %name, "not saved in time"),
                }
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn load_at_last(&self) {
        for _ in 0..LOAD_ATTEMPTS_MAX {
            tokio::time::sleep(LOAD_RETRY).await;
            if self.load().await {
                return;
            }
        }
        tracing::error!("rooms open without their earlier states");
        self.is_ready.store(true, Ordering::Release);
    }

    fn open_shows(&self) {
        for show in self.store.shows() {
            let name = &show.info().room;
            if !is_own(&show) || self.open.lock().contains_key(name) {
                continue;
            }
            if let Err(error) = self.find_or_open(name) {
                tracing::warn!(room = %name, error = error.detail, "the room stays closed");
            }
        }
    }

    /// True while a show is on whose room is this node's.
    fn has_show(&self, name: &RoomName) -> bool {
        let show = self.store.room(name.as_str());
        show.is_some_and(|show| is_own(&show))
    }

    /// Closes rooms whose show has been over for long enough. Returns what is left of them.
    fn close_quiet(&self) -> Vec<(RoomName, Saved)> {
        let linger_ms = self.linger_ms();
        let mut rooms = self.open.lock();
        let is_over = |(name, open): &(&RoomName, &Arc<Open>)| {
            let is_live = self.has_show(name);
            open.set_live(is_live) >= linger_ms && !is_live
        };
        let over: Vec<RoomName> = rooms
            .iter()
            .filter(is_over)
            .map(|(name, _)| name.clone())
            .collect();
        let mut left = Vec::new();
        for name in over {
            let saved = rooms.remove(&name).and_then(|open| open.close());
            let Some(mut saved) = saved else { continue };
            tracing::info!(room = %name, "the room is closed");
            saved.state = saved.state.sanctions_only();
            self.former.lock().insert(name.clone(), saved.clone());
            left.push((name, saved));
        }
        self.tools.metrics.open.set(rooms.len() as i64);
        left
    }

    /// Puts out what becomes of orders.
    pub(super) async fn tell_orders(&self, mut changes: mpsc::Receiver<orders::Change>) {
        let mut some = Vec::with_capacity(CHANGES_MAX);
        while changes.recv_many(&mut some, CHANGES_MAX).await > 0 {
            for change in some.drain(..) {
                // Whoever is not told now finds the order when he asks.
                if let Some(open) = self.get(change.room.as_str()) {
                    open.with(|room, _| room.order(change.event));
                }
            }
        }
    }
}

/// True for a show that is on and that no other origin has: one that is only followed has its room
/// where it comes from.
fn is_own(show: &broadcast::Consumer) -> bool {
    !show.is_ended() && !show.is_followed()
}
