//! The broadcasts that come over links: who offers them, over which link each comes, and what
//! becomes of them when that one is lost.
//!
//! An **offer** is what a link announces. A **room** is a broadcast in the store that is written
//! from the best offer of it; the others of the same show stand by. Everything that happens ends in
//! [`Rooms::settle`], which makes the room follow its offers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::live::{self, Store, broadcast, track};
use crate::media::RoomName;
use crate::media::broadcast::Kind;
use crate::relay::error::Error;
use crate::relay::metrics::{PullMetrics, Switch};
use crate::relay::pull::flow::Flow;
use crate::relay::pull::intake::Figures;
use crate::relay::pull::link::Link;
use crate::relay::pull::parent::Blame;
use crate::relay::pull::room::{Offer, Room};
use crate::relay::pull::track::{Route, Track};
use crate::relay::wire::control::{Announce, Position, Purpose};
use crate::relay::{Config, Local};
use crate::runtime::clock::Instant;
use crate::runtime::{TaskScope, clock};

/// Offers on one link; a node carries no more rooms than `live.rooms_max`, of two kinds.
const OFFERS_MAX: usize = 20_000;

type Key = (RoomName, Kind);

/// All broadcasts that are offered to this node.
#[derive(Debug)]
pub(in crate::relay) struct Rooms {
    node: Arc<str>,
    store: Store,
    metrics: Arc<PullMetrics>,
    linger: Duration,
    orphan: Duration,
    /// `None`: never.
    return_after: Option<Duration>,
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
struct State {
    offers: HashMap<Key, Vec<Offer>>,
    open: HashMap<Key, Room>,
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

    /// Makes the room follow its offers.
    fn settle(&self, state: &mut State, key: &Key, why: Switch, scope: &TaskScope) {
        let now = clock::now();
        let State { offers, open } = state;
        if offers.get(key).is_some_and(Vec::is_empty) {
            offers.remove(key);
        }
        let offers = offers.get_mut(key).map_or(&mut [][..], Vec::as_mut_slice);
        // A later show replaces an earlier one; any show replaces one that nobody has any more. What
        // this node has gone on with is no longer pulled.
        let newest = offers.iter().map(|offer| &offer.announce.info.epoch).max();
        let is_replaced = |room: &Room| {
            room.broadcast.is_superseded()
                || newest.is_some_and(|newest| *newest > room.broadcast.info().epoch)
                || !(offers.is_empty() || offers.iter().any(|offer| room.is_of_offer(offer)))
        };
        if open.get(key).is_some_and(is_replaced) {
            open.remove(key);
            self.touch();
        }
        if !open.contains_key(key) {
            let best = offers.iter_mut().max_by_key(|offer| {
                let announce = &offer.announce;
                (
                    announce.info.epoch.clone(),
                    announce.term,
                    std::cmp::Reverse(offer.link.rank()),
                )
            });
            let Some(room) = best.and_then(|offer| self.open(offer)) else {
                return;
            };
            open.insert(key.clone(), room);
            self.touch();
        }
        if let Some(room) = open.get_mut(key) {
            self.choose(room, offers, why, now);
            self.follow(room, offers, scope);
        }
    }

    /// Opens the room of an offer; `None` when the store refuses it: the room is published here, or
    /// the node is full. Tried again when the store changes.
    fn open(&self, offer: &mut Offer) -> Option<Room> {
        let (broadcast, inherited) = match self.take_over(&offer.announce) {
            Ok(taken) => taken,
            Err(error) => {
                if !std::mem::replace(&mut offer.is_refused, true) {
                    let room = &offer.announce.info.room;
                    tracing::warn!(%room, %error, "announced room not taken");
                }
                return None;
            }
        };
        offer.is_refused = false;
        Some(Room {
            broadcast,
            route: watch::Sender::new(None),
            came: Came {
                way: offer.link.parent.purpose,
                path: Vec::new(),
            },
            tracks: HashSet::new(),
            inherited,
            flow: Arc::new(Flow::new()),
            probed: None,
            tried: None,
            orphaned: None,
        })
    }

    /// Opens a broadcast, or goes on with one that another node has gone on with already.
    fn take_over(
        &self,
        announce: &Announce,
    ) -> Result<(broadcast::Producer, Vec<track::Producer>), live::Error> {
        let Announce { info, term, .. } = announce;
        let here = match info.kind {
            Kind::Show => self.store.room(info.room.as_str()),
            Kind::Events => self.store.events(info.room.as_str()),
        };
        match here.filter(|here| here.info().epoch == info.epoch && *term > here.term()) {
            Some(here) => self.store.succeed(&here, *term),
            None => Ok((self.store.publish(info.clone())?, Vec::new())),
        }
    }

    /// Chooses the link that a room comes over.
    fn choose(&self, room: &mut Room, offers: &[Offer], why: Switch, now: Instant) {
        let fares = |offer: &Offer| {
            let newest = std::cmp::Reverse(offer.announce.term);
            // What comes up from where it is published has not been round by another node.
            let is_round = offer.link.parent.purpose != Purpose::Push;
            ((newest, offer.faults(now), is_round), offer.link.rank())
        };
        let of_show = || offers.iter().filter(|offer| room.is_of_offer(offer));
        let Some(best) = of_show().min_by_key(|offer| fares(offer)) else {
            if room.route.send_replace(None).is_some() {
                room.orphaned = Some(now);
                self.touch();
            }
            return;
        };
        let now_over = of_show().find(|offer| room.is_over(&offer.link));
        let stays = now_over.filter(|now_over| fares(best).0 == fares(now_over).0);
        let chosen = match stays {
            Some(_) if self.is_time_to_return(best, now) => best,
            Some(now_over) => now_over,
            None => best,
        };
        let (route, path) = (chosen.route(), &chosen.announce.path);
        let is_same = |at: &Route| at.is(&route);
        if room.orphaned.is_none() && room.route.borrow().as_ref().is_some_and(is_same) {
            if room.came.path != *path {
                room.came.path.clone_from(path);
                self.touch();
            }
            return;
        }
        room.came = Came {
            way: chosen.link.parent.purpose,
            path: path.clone(),
        };
        room.broadcast.set_followed(room.came.way == Purpose::Peer);
        if route.term > room.broadcast.consumer().term() {
            room.broadcast.set_term(route.term);
        }
        (room.orphaned, room.probed) = (None, None);
        room.flow.touch();
        let to = chosen.link.hello.node.clone();
        if let Some(before) = room.route.send_replace(Some(route)) {
            let why = match stays {
                Some(_) => Switch::Return,
                None => why,
            };
            self.metrics.switched(why);
            let (name, from) = (&room.broadcast.info().room, &before.link.hello.node);
            tracing::info!(room = %name, %from, %to, ?why, "room comes over another link");
        }
        self.touch();
    }

    /// True when the parent of an offer has been good for long enough.
    fn is_time_to_return(&self, offer: &Offer, now: Instant) -> bool {
        self.return_after.is_some_and(|after| {
            let since = now.checked_sub(after);
            since.is_some_and(|since| {
                offer.link.up_since <= since && offer.link.parent.is_good_since(since)
            })
        })
    }

    /// Takes up tracks and the end of the show.
    fn follow(&self, room: &mut Room, offers: &[Offer], scope: &TaskScope) {
        let mut has_ended = false;
        let epoch = room.broadcast.info().epoch.clone();
        for offer in offers.iter().filter(|offer| offer.is_of(&epoch)) {
            has_ended |= offer.announce.ended;
            for info in &offer.announce.tracks {
                if room.tracks.contains(&info.name) {
                    continue;
                }
                let name = &offer.announce.info.room;
                let is_it = |track: &track::Producer| track.info().name == info.name;
                let inherited = room.inherited.iter().position(is_it);
                let created = match inherited {
                    Some(place) => Ok(room.inherited.swap_remove(place)),
                    None => room.broadcast.create_track(info.clone()),
                };
                let producer = match created {
                    Ok(producer) => producer,
                    Err(error) => {
                        tracing::warn!(room = %name, %error, "track left out");
                        continue;
                    }
                };
                room.tracks.insert(info.name.clone());
                let track = Track {
                    producer: Arc::new(producer),
                    linger: self.linger,
                    figures: Figures {
                        received_frames: self.metrics.frames(name.as_str(), &info.name),
                        missed_groups: self.metrics.missed_groups.clone(),
                        flow: room.flow.clone(),
                    },
                };
                scope.spawn("relay.pull.track", track.run(room.route.subscribe()));
            }
        }
        if has_ended && !room.broadcast.consumer().is_ended() {
            room.broadcast.end();
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

    fn touch(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}
