//! A show moves from one node to another: this one goes on with it, or yields it (D8).
//!
//! The other half of [`Room`]. Which of two nodes is right is the broadcast's term: the node that
//! went on with a show last has the highest. Numbers never go back, for the show goes on after the
//! newest group that came.

use crate::ingest::publisher::feed::{Feed, Pulse};
use crate::ingest::publisher::room::{House, Room, Stage};
use crate::ingest::publisher::seats::Live;
use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::{Config, Now};
use crate::live::broadcast;

impl Room {
    /// A room whose show comes from another node as `broadcast`.
    pub(super) fn following(
        broadcast: broadcast::Consumer,
        config: Config,
        house: House,
        now: Now,
    ) -> Self {
        house.instruments.room_followed();
        let stage = Stage::Following(Feed::new(broadcast.clone(), now), Vec::new());
        Self::with(stage, &broadcast, config, house, now)
    }

    /// Whether the node that feeds the show still does; `None`: this node does.
    pub(super) fn pulse(&mut self, now: Now) -> Option<Pulse> {
        let Stage::Following(feed, _) = &mut self.stage else {
            return None;
        };
        feed.look(now);
        Some(feed.pulse(now))
    }

    /// Goes on with a show whose feed is lost. False: somebody else does, or it is over.
    pub(super) fn succeed(&mut self, now: Now) -> bool {
        let Stage::Following(feed, seats) = &mut self.stage else {
            return false;
        };
        let before = feed.broadcast();
        let (broadcast, tracks) = match self.house.store.succeed(before, before.term() + 1) {
            Ok(taken) => taken,
            Err(error) => {
                tracing::debug!(room = %self.name, %error, "the show is not gone on with");
                return false;
            }
        };
        let silent_ms = (now.us - feed.heard_us()) / 1000;
        tracing::warn!(
            room = %self.name,
            epoch = %self.epoch,
            term = before.term(),
            silent_ms,
            "the feed is lost: the show goes on here",
        );
        let show = Show::continuing(broadcast, tracks, feed.heard_us());
        let mut live = Live::continuing(show, std::mem::take(seats));
        live.show.poll(now);
        self.stage = Stage::Live(live);
        self.house.instruments.room_left();
        self.house.instruments.room_opened();
        self.house.instruments.succeeded();
        self.lease = Some(self.house.registry.seize(&self.name));
        true
    }

    /// Another node has gone on with the show: the encoders here stand by.
    pub(super) fn yield_to_successor(&mut self, now: Now) {
        let Stage::Live(live) = &mut self.stage else {
            return;
        };
        if !live.show.broadcast.is_superseded() {
            return;
        }
        let (room, epoch) = (&self.name, &self.epoch);
        tracing::warn!(%room, %epoch, "another node goes on with the show");
        let mut seats = std::mem::take(&mut live.seats);
        for seat in &mut seats {
            seat.video = None;
            seat.turns.clear();
        }
        let feed = Feed::new(live.show.broadcast.consumer(), now);
        self.stage = Stage::Following(feed, seats);
        self.house.instruments.room_ended();
        self.house.instruments.room_followed();
        self.house.instruments.yielded();
        self.lease = None;
    }
}

#[cfg(test)]
#[path = "succession_test.rs"]
mod tests;
