//! Makes rooms follow their offers: which show a room holds, over which link it comes, and which
//! tracks it has.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::live::{self, broadcast, track};
use crate::media::broadcast::Kind;
use crate::relay::metrics::Switch;
use crate::relay::pull::flow::Flow;
use crate::relay::pull::intake::Figures;
use crate::relay::pull::room::{Offer, Room};
use crate::relay::pull::rooms::{Came, Key, Rooms, State};
use crate::relay::pull::track::{Route, Track};
use crate::relay::wire::control::{Announce, Purpose};
use crate::runtime::clock::Instant;
use crate::runtime::{TaskScope, clock};

impl Rooms {
    /// Makes the room follow its offers.
    pub(super) fn settle(&self, state: &mut State, key: &Key, why: Switch, scope: &TaskScope) {
        let now = clock::now();
        let State { offers, open } = state;
        if offers.get(key).is_some_and(Vec::is_empty) {
            offers.remove(key);
        }
        let offers = offers.get_mut(key).map_or(&mut [][..], Vec::as_mut_slice);
        // A later show replaces an earlier one; any show replaces one that nobody has any more.
        // What this node has gone on with is no longer pulled.
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
                    began_us: room.broadcast.info().started_us,
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
}
