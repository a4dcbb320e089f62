//! The broadcasts that come over links: who offers them, over which link each comes, and what
//! becomes of them when that one is lost.
//!
//! An **offer** is what a link announces. A **room** is a broadcast in the store that is written
//! from the best offer of it; the others of the same show stand by. Everything that happens ends in
//! [`Rooms::settle`], which makes the room follow its offers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::live::Store;
use crate::media::RoomName;
use crate::media::broadcast::Kind;
use crate::relay::error::Error;
use crate::relay::metrics::{PullMetrics, Switch};
use crate::relay::pull::link::Link;
use crate::relay::pull::parent::Blame;
use crate::relay::pull::room::{Offer, Room};
use crate::relay::wire::control::{Announce, Position, Purpose};
use crate::relay::{Config, Local};
use crate::runtime::clock::Instant;
use crate::runtime::{TaskScope, clock};

/// Offers on one link; a node carries no more rooms than `live.rooms_max`, of two kinds.
const OFFERS_MAX: usize = 20_000;

pub(super) type Key = (RoomName, Kind);

/// All broadcasts that are offered to this node.
#[derive(Debug)]
pub(in crate::relay) struct Rooms {
    node: Arc<str>,
    pub(super) store: Store,
    pub(super) metrics: Arc<PullMetrics>,
    pub(super) linger: Duration,
    orphan: Duration,
    /// `None`: never.
    pub(super) return_after: Option<Duration>,
    state: Mutex<State>,
    /// Counts changes of rooms and their routes.
    version: watch::Sender<u64>,
}

/// How a broadcast came to this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) struct Came {
    pub(in crate::relay) way: Purpose,
    /// Through these nodes, the one that published it first.
    pub(in crate::relay) path: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) offers: HashMap<Key, Vec<Offer>>,
    pub(super) open: HashMap<Key, Room>,
}

impl Rooms {
    pub(super) fn new(config: &Config, local: &Local, metrics: Arc<PullMetrics>) -> Self {
        let return_after = Duration::from_secs(config.return_seconds.into());
        Self {
            node: local.node.clone(),
            store: local.store.clone(),
            metrics,
            linger: Duration::from_secs(config.linger_seconds.into()),
            orphan: Duration::from_secs(config.orphan_seconds.into()),
            return_after: (!return_after.is_zero()).then_some(return_after),
            state: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    /// Counts changes of rooms and of the links they come over.
    pub(in crate::relay) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// How a broadcast of the store came here; `None` for one that is published on this node.
    pub(in crate::relay) fn came(&self, key: &Key) -> Option<Came> {
        let state = self.state.lock();
        let room = state.open.get(key);
        let room = room.filter(|room| !room.broadcast.is_superseded());
        room.map(|room| room.came.clone())
    }

    /// The link over which the owner of a room is reached: that of its events, else of its show.
    pub(super) fn link_of(&self, room: &RoomName) -> Option<Arc<Link>> {
        let state = self.state.lock();
        let routes = [Kind::Events, Kind::Show].into_iter().filter_map(|kind| {
            let room = state.open.get(&(room.clone(), kind))?;
            room.route.borrow().as_ref().map(|route| route.link.clone())
        });
        let mut down = routes.filter(|link| link.parent.purpose == Purpose::Pull);
        down.next()
    }

    /// How many rooms come over a link.
    pub(super) fn routes_over(&self, link: &Arc<Link>) -> usize {
        let state = self.state.lock();
        let over = |room: &&Room| room.is_over(link);
        state.open.values().filter(over).count()
    }

    /// A link has this broadcast, or says more of it.
    ///
    /// Errors: more than a node may offer.
    pub(super) fn announce(
        &self,
        link: &Arc<Link>,
        announce: Announce,
        scope: &TaskScope,
    ) -> Result<(), Error> {
        let key = (announce.info.room.clone(), announce.info.kind);
        let mut state = self.state.lock();
        // What has come through this node is not taken back.
        if announce.path.contains(&self.node) {
            drop(state);
            self.gone(link, announce.broadcast, scope);
            return Ok(());
        }
        let offers = state.offers.entry(key.clone()).or_default();
        let of_link = |offer: &&mut Offer| Arc::ptr_eq(&offer.link, link);
        if let Some(offer) = offers.iter_mut().find(of_link) {
            offer.announce = announce;
        } else {
            if link.offers.fetch_add(1, Ordering::Relaxed) >= OFFERS_MAX {
                return Err(Error::Protocol("more rooms than anybody carries"));
            }
            offers.push(Offer {
                link: link.clone(),
                announce,
                blame: Blame::default(),
                is_refused: false,
            });
        }
        self.settle(&mut state, &key, Switch::Better, scope);
        Ok(())
    }

    /// A link no longer has the broadcast of that number.
    pub(super) fn gone(&self, link: &Arc<Link>, broadcast: u64, scope: &TaskScope) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let is_it =
            |offer: &Offer| Arc::ptr_eq(&offer.link, link) && offer.announce.broadcast == broadcast;
        let found = state.offers.iter_mut().find_map(|(key, offers)| {
            let at = offers.iter().position(is_it)?;
            Some((key.clone(), offers.remove(at)))
        });
        let Some((key, offer)) = found else { return };
        link.offers.fetch_sub(1, Ordering::Relaxed);
        let epoch = &offer.announce.info.epoch;
        let is_over = state.open.get(&key).is_some_and(|room| {
            let others = state.offers.get(&key).into_iter().flatten();
            room.is_of(epoch)
                && (room.broadcast.consumer().is_ended()
                    || !others.into_iter().any(|other| other.is_of(epoch)))
        });
        if is_over {
            state.open.remove(&key);
            self.touch();
        }
        self.settle(state, &key, Switch::Lost, scope);
    }

    /// A link is lost: its broadcasts come over others, or wait.
    pub(super) fn lost(&self, link: &Arc<Link>, scope: &TaskScope) {
        let mut state = self.state.lock();
        let mut keys = Vec::new();
        for (key, offers) in &mut state.offers {
            let before = offers.len();
            offers.retain(|offer| !Arc::ptr_eq(&offer.link, link));
            if offers.len() != before {
                keys.push(key.clone());
            }
        }
        for key in keys {
            self.settle(&mut state, &key, Switch::Lost, scope);
        }
    }

    /// A link fares otherwise than before: every room looks for its best offer.
    pub(super) fn reconsider(&self, why: Switch, scope: &TaskScope) {
        let mut state = self.state.lock();
        for key in state.offers.keys().cloned().collect::<Vec<_>>() {
            self.settle(&mut state, &key, why, scope);
        }
    }

    /// Looks for rooms that stand still, and for those that nobody has taken up again.
    pub(super) fn look(&self) {
        let now = clock::now();
        let mut state = self.state.lock();
        self.expire(&mut state, now);
        let State { offers, open } = &mut *state;
        for (key, room) in open.iter_mut() {
            let offers = offers.get(key).map_or(&[][..], Vec::as_slice);
            room.probe(offers, now);
        }
    }

    /// What a parent says to a probe: when it is ahead of a room that stands still, its offer is
    /// taken.
    pub(super) fn progress(
        &self,
        link: &Arc<Link>,
        broadcast: u64,
        newest: Option<Position>,
        scope: &TaskScope,
    ) {
        let now = clock::now();
        let mut state = self.state.lock();
        let State { offers, open } = &mut *state;
        let key = open.iter().find_map(|(key, room)| {
            let is_it = |offer: &Offer| {
                Arc::ptr_eq(&offer.link, link) && offer.announce.broadcast == broadcast
            };
            let is_ahead = offers.get(key)?.iter().any(is_it) && room.is_behind(newest, now);
            is_ahead.then(|| key.clone())
        });
        let Some(key) = key else { return };
        let Some(room) = open.get_mut(&key) else {
            return;
        };
        if newest.is_none() {
            room.tried = Some(room.flow.frames());
        }
        let late = offers.get_mut(&key).into_iter().flatten();
        for offer in late.filter(|offer| room.is_over(&offer.link)) {
            offer.blame.add(now);
        }
        self.settle(&mut state, &key, Switch::Stall, scope);
    }

    /// Ends rooms that no link has taken up again.
    fn expire(&self, state: &mut State, now: Instant) {
        state.open.retain(|(name, _), room| {
            let over = room
                .orphaned
                .is_some_and(|since| now.saturating_duration_since(since) >= self.orphan);
            if over {
                tracing::warn!(room = %name, "room ends: no parent has it any more");
                self.touch();
            }
            !over
        });
    }

    /// Ends all rooms.
    pub(super) fn clear(&self) {
        self.state.lock().open.clear();
        self.touch();
    }

    pub(super) fn touch(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}
