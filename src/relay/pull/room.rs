//! One broadcast that comes over links, and what is offered of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::live::{broadcast, track};
use crate::media::track::Kind as TrackKind;
use crate::relay::pull::flow::Flow;
use crate::relay::pull::link::Link;
use crate::relay::pull::parent::Blame;
use crate::relay::pull::rooms::Came;
use crate::relay::pull::track::Route;
use crate::relay::wire::control::{Announce, Message, Position};
use crate::runtime::clock::Instant;

/// How long a room stands still before a parent that has no frames of it is tried: once, for the
/// show itself may stand still.
const BLIND_STALL: Duration = Duration::from_secs(1);

/// Between two probes of the same room.
const PROBE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Offer {
    pub(super) link: Arc<Link>,
    pub(super) announce: Announce,
    /// For frames that did not come.
    pub(super) blame: Blame,
    /// The store refused the room, and that was said.
    pub(super) is_refused: bool,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) broadcast: broadcast::Producer,
    /// Tracks wait on it; dropping it ends them.
    pub(super) route: watch::Sender<Option<Route>>,
    pub(super) came: Came,
    pub(super) tracks: HashSet<Arc<str>>,
    /// Tracks that another writer had begun, until an offer names them.
    pub(super) inherited: Vec<track::Producer>,
    pub(super) flow: Arc<Flow>,
    pub(super) probed: Option<Instant>,
    /// How many frames had come when a parent was last tried that had none.
    pub(super) tried: Option<u64>,
    /// When the last link with it was lost.
    pub(super) orphaned: Option<Instant>,
}

impl Offer {
    pub(super) fn is_of(&self, epoch: &str) -> bool {
        *self.announce.info.epoch == *epoch
    }

    pub(super) fn route(&self) -> Route {
        Route {
            link: self.link.clone(),
            broadcast: self.announce.broadcast,
            term: self.announce.term,
        }
    }

    /// What speaks against it, as [`Link::faults`].
    pub(super) fn faults(&self, now: Instant) -> u8 {
        self.link.faults().max(u8::from(self.blame.holds(now)))
    }
}

impl Room {
    pub(super) fn is_of(&self, epoch: &str) -> bool {
        *self.broadcast.info().epoch == *epoch
    }

    pub(super) fn is_of_offer(&self, offer: &Offer) -> bool {
        offer.is_of(&self.broadcast.info().epoch)
    }

    pub(super) fn is_over(&self, link: &Arc<Link>) -> bool {
        let route = self.route.borrow();
        route
            .as_ref()
            .is_some_and(|route| Arc::ptr_eq(&route.link, link))
    }

    /// The track whose progress is compared: the first that is read, and that has frames all the
    /// time.
    pub(super) fn measure(&self) -> Option<track::Consumer> {
        let tracks = self.broadcast.consumer().tracks();
        tracks.into_iter().find(|track| {
            !matches!(track.info().kind, TrackKind::Data(_)) && track.status().readers > 0
        })
    }

    pub(super) fn stalled(&self, now: Instant) -> Option<Duration> {
        let rtt = self.route.borrow().as_ref().map(|route| route.link.rtt());
        self.flow.stalled(now, rtt?)
    }

    /// Asks the others how far they are, when this room stands still.
    pub(super) fn probe(&mut self, offers: &[Offer], now: Instant) {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < PROBE;
        if self.stalled(now).is_none() || self.probed.is_some_and(is_recent) {
            return;
        }
        let others = offers.iter().filter(|offer| {
            let is_good = offer.link.is_current() && offer.faults(now) == 0;
            is_good && self.is_of_offer(offer) && !self.is_over(&offer.link)
        });
        let mut others = others.peekable();
        if others.peek().is_none() {
            return;
        }
        let Some(track) = self.measure() else { return };
        for offer in others {
            offer.link.try_say(Message::Probe {
                broadcast: offer.announce.broadcast,
                track: track.info().name.clone(),
            });
        }
        self.probed = Some(now);
    }

    /// True when another parent, that is as far as `theirs`, would bring frames.
    pub(super) fn is_behind(&self, theirs: Option<Position>, now: Instant) -> bool {
        let Some(stall) = self.stalled(now) else {
            return false;
        };
        let ours = self.measure().and_then(|track| track.newest());
        let ours = ours.map(|(group, frames)| Position {
            group,
            frames: frames as u64,
        });
        match theirs {
            Some(_) => theirs > ours,
            None => stall >= BLIND_STALL && self.tried != Some(self.flow.frames()),
        }
    }
}
