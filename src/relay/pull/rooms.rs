//! The broadcasts that come from parents, and what becomes of them when a parent is lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::live::{Store, broadcast};
use crate::media::RoomName;
use crate::media::broadcast::Kind;
use crate::relay::Config;
use crate::relay::metrics::PullMetrics;
use crate::relay::pull::link::Link;
use crate::relay::pull::track::{Route, Track};
use crate::relay::wire::control::Announce;
use crate::runtime::TaskScope;
use crate::runtime::clock::Instant;

/// All broadcasts that were announced to this node.
#[derive(Debug)]
pub(super) struct Rooms {
    store: Store,
    metrics: Arc<PullMetrics>,
    linger: Duration,
    orphan: Duration,
    rooms: Mutex<HashMap<(RoomName, Kind), Room>>,
}

#[derive(Debug)]
struct Room {
    broadcast: broadcast::Producer,
    /// Tracks wait on it; dropping it ends them.
    route: watch::Sender<Option<Route>>,
    tracks: HashSet<Arc<str>>,
    /// When the parent was lost.
    orphaned: Option<Instant>,
}

impl Rooms {
    pub(super) fn new(store: Store, config: &Config, metrics: Arc<PullMetrics>) -> Self {
        Self {
            store,
            metrics,
            linger: Duration::from_secs(config.linger_seconds.into()),
            orphan: Duration::from_secs(config.orphan_seconds.into()),
            rooms: Mutex::default(),
        }
    }

    /// The parent has this broadcast, or says more of it. Errors when the store refuses it (the
    /// room is published here, or the node is full): worth another try when the store changes.
    pub(super) fn announce(
        &self,
        link: &Arc<Link>,
        announce: &Announce,
        scope: &TaskScope,
    ) -> Result<(), crate::live::Error> {
        let info = &announce.info;
        let key = (info.room.clone(), info.kind);
        let mut rooms = self.rooms.lock();
        // Another epoch: the old one is over, and the room is free for the new one.
        let is_other = |room: &Room| room.broadcast.info().epoch != info.epoch;
        if rooms.get(&key).is_some_and(is_other) {
            rooms.remove(&key);
        }
        if !rooms.contains_key(&key) {
            let room = Room {
                broadcast: self.store.publish(info.clone())?,
                route: watch::Sender::new(None),
                tracks: HashSet::new(),
                orphaned: None,
            };
            rooms.insert(key.clone(), room);
        }
        let Some(room) = rooms.get_mut(&key) else {
            return Ok(());
        };
        let new = Route {
            link: link.clone(),
            broadcast: announce.broadcast,
        };
        room.orphaned = None;
        room.route.send_if_modified(|route| {
            let same = route.as_ref().is_some_and(|route| route.is(&new));
            *route = Some(new);
            !same
        });
        self.add_tracks(room, announce, scope);
        if announce.ended {
            room.broadcast.end();
        }
        Ok(())
    }

    fn add_tracks(&self, room: &mut Room, announce: &Announce, scope: &TaskScope) {
        for info in &announce.tracks {
            if room.tracks.contains(&info.name) {
                continue;
            }
            let producer = match room.broadcast.create_track(info.clone()) {
                Ok(producer) => producer,
                Err(error) => {
                    tracing::warn!(room = %announce.info.room, %error, "track left out");
                    continue;
                }
            };
            room.tracks.insert(info.name.clone());
            let frames = self.metrics.frames(announce.info.room.as_str(), &info.name);
            let track = Track {
                producer: Arc::new(producer),
                linger: self.linger,
                received_frames: frames,
                missed_groups: self.metrics.missed_groups.clone(),
            };
            scope.spawn("relay.pull.track", track.run(room.route.subscribe()));
        }
    }

    /// The parent no longer has the broadcast of that number.
    pub(super) fn gone(&self, link: &Arc<Link>, broadcast: u64) {
        let gone = Route {
            link: link.clone(),
            broadcast,
        };
        let is_gone = |room: &Room| room.route.borrow().as_ref().is_some_and(|at| at.is(&gone));
        self.rooms.lock().retain(|_, room| !is_gone(room));
    }

    /// The parent is lost: its broadcasts wait for another one.
    pub(super) fn orphan(&self, link: &Arc<Link>, now: Instant) {
        for room in self.rooms.lock().values_mut() {
            let lost = room.route.send_if_modified(|route| {
                let lost = route
                    .as_ref()
                    .is_some_and(|route| Arc::ptr_eq(&route.link, link));
                if lost {
                    *route = None;
                }
                lost
            });
            if lost {
                room.orphaned = Some(now);
            }
        }
    }

    /// Ends broadcasts that no parent has taken up again.
    pub(super) fn expire(&self, now: Instant) {
        self.rooms.lock().retain(|(name, _), room| {
            let over = room
                .orphaned
                .is_some_and(|since| now.saturating_duration_since(since) >= self.orphan);
            if over {
                tracing::warn!(room = %name, "room ends: no parent has it any more");
            }
            !over
        });
    }

    /// Ends all broadcasts.
    pub(super) fn clear(&self) {
        self.rooms.lock().clear();
    }
}
