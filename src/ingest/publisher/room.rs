//! A room: who may feed its show, and when the show is over.

use std::sync::Arc;

use tokio::sync::watch;

use crate::ingest::publisher::access::Unit;
use crate::ingest::publisher::feed::{Feed, LOOK_US};
use crate::ingest::publisher::metrics::Instruments;
use crate::ingest::publisher::seats::{Live, Seat};
use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::source::Source;
use crate::ingest::publisher::timeline::Medium;
use crate::ingest::publisher::turns::Beat;
use crate::ingest::publisher::{
    Config, Error, Metadata, Now, OnBusy, Refusal, Request, Revoked, Role,
};
use crate::live::{Store, broadcast};
use crate::media::RoomName;
use crate::media::codec::{AudioConfig, VideoConfig};
use crate::registry::{Lease, Registry};

/// The state of one room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: RoomName,
    pub(super) epoch: Arc<str>,
    config: Config,
    pub(super) house: House,
    pub(super) stage: Stage,
    /// Held while the show is this node's own.
    pub(super) lease: Option<Lease>,
    started_us: i64,
    opened_us: i64,
    /// Counts takings of places, so that a publisher knows whether its place is still its own.
    ticket: u64,
}

/// What all rooms share.
#[derive(Debug, Clone)]
pub(super) struct House {
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) instruments: Instruments,
}

#[derive(Debug)]
pub(super) enum Stage {
    Live(Live),
    /// Another node feeds the show; encoders here stand by.
    Following(Feed, Vec<Seat>),
    /// The show is over and stays readable until the time given.
    Lingering {
        until_us: i64,
        _readable: broadcast::Producer,
    },
    Gone,
}

/// A publisher's place in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    seat: usize,
    role: Role,
    ticket: u64,
}

impl Room {
    /// A room whose show begins with `broadcast`.
    pub(super) fn new(
        broadcast: broadcast::Producer,
        lease: Option<Lease>,
        config: Config,
        house: House,
        now: Now,
    ) -> Self {
        house.instruments.room_opened();
        let consumer = broadcast.consumer();
        let live = Live {
            show: Show::new(broadcast),
            seats: Vec::new(),
            audio: None,
        };
        let room = Self::with(Stage::Live(live), &consumer, config, house, now);
        Self { lease, ..room }
    }

    pub(super) fn with(
        stage: Stage,
        broadcast: &broadcast::Consumer,
        config: Config,
        house: House,
        now: Now,
    ) -> Self {
        let info = broadcast.info();
        Self {
            name: info.room.clone(),
            epoch: info.epoch.clone(),
            started_us: info.started_us,
            config,
            house,
            opened_us: now.us,
            ticket: 0,
            stage,
            lease: None,
        }
    }

    /// True while the show goes on and can be joined.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Live(_) | Stage::Following(..))
    }

    /// True while the show is this node's own.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live(_))
    }

    /// True while the show is this node's own, or an encoder stands by here.
    pub(super) fn is_published(&self) -> bool {
        match &self.stage {
            Stage::Live(_) => true,
            Stage::Following(_, seats) => !seats.iter().all(Seat::is_empty),
            Stage::Lingering { .. } | Stage::Gone => false,
        }
    }

    /// Puts another configuration in force.
    pub(super) fn apply(&mut self, config: &Config) {
        self.config.clone_from(config);
    }

    /// When the show was opened, in microseconds since 1970.
    pub(super) fn started_us(&self) -> i64 {
        self.started_us
    }

    fn seats(&mut self) -> Option<&mut Vec<Seat>> {
        match &mut self.stage {
            Stage::Live(live) => Some(&mut live.seats),
            Stage::Following(_, seats) => Some(seats),
            Stage::Lingering { .. } | Stage::Gone => None,
        }
    }

    /// Takes a place in the seat of a rendition: a new one, one that was left, or by taking over.
    pub(super) fn join(
        &mut self,
        request: &Request,
        revoke: watch::Sender<Option<Revoked>>,
        now: Now,
    ) -> Result<Place, Refusal> {
        let role = request.role();
        let (on_busy, renditions_max) = (self.config.on_busy, self.config.renditions_max);
        let (room, instruments) = (self.name.clone(), self.house.instruments.clone());
        let ticket = self.ticket + 1;
        let Some(seats) = self.seats() else {
            return Err(Refusal::Stopping);
        };
        let found = seats
            .iter()
            .position(|seat| seat.rendition == request.rendition);
        let busy = found.is_some_and(|seat| seats[seat].source(role).is_some());
        if busy && on_busy == OnBusy::Refuse {
            return Err(Refusal::Busy { room });
        }
        if found.is_none() && seats.len() >= renditions_max {
            return Err(Refusal::TooManyRenditions {
                room,
                renditions_max,
            });
        }
        let index = found.unwrap_or_else(|| {
            seats.push(Seat::new(request.rendition.clone()));
            seats.len() - 1
        });
        let seat = &mut seats[index];
        if let Some(source) = seat.leave(role, now) {
            instruments.publisher_left();
            source.revoke.send_replace(Some(Revoked::TakenOver));
        }
        instruments.publisher_came();
        let source = Source::new(ticket, request.peer, revoke, instruments, now);
        seat.sit(role, source, now);
        self.ticket = ticket;
        Ok(Place {
            seat: index,
            role,
            ticket,
        })
    }

    /// A publisher goes, and the resume window opens. A goodbye opens it too: encoders say one
    /// when they reconnect by themselves or are restarted in the middle of a show.
    pub(super) fn leave(&mut self, place: Place, now: Now) {
        let Ok(seat) = self.seat(place) else { return };
        if seat.leave(place.role, now).is_some() {
            self.house.instruments.publisher_left();
        }
    }

    /// Ends the show; publishers that are still here are told `reason`. What another node feeds
    /// goes on there.
    pub(super) fn end(&mut self, reason: Revoked, now: Now) {
        let seats = match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Live(live) => {
                self.house.instruments.room_ended();
                self.lease = None;
                tracing::info!(room = %self.name, epoch = %self.epoch, "broadcast ended");
                let until_us = now.us + seconds(self.config.linger_seconds);
                self.stage = Stage::Lingering {
                    until_us,
                    _readable: live.show.end(),
                };
                live.seats
            }
            Stage::Following(_, seats) => {
                self.house.instruments.room_left();
                seats
            }
            over @ (Stage::Lingering { .. } | Stage::Gone) => {
                self.stage = over;
                return;
            }
        };
        for source in seats.iter().flat_map(Seat::sources) {
            self.house.instruments.publisher_left();
            source.revoke.send_replace(Some(reason));
        }
    }

    /// Takes the show off the store at once, whatever its stage.
    pub(super) fn dispose(&mut self, reason: Revoked, now: Now) {
        self.end(reason, now);
        self.stage = Stage::Gone;
    }

    /// Does what time asks for. Returns when to look again; `None` when nothing will come.
    /// `standby`: shows of other nodes are followed, whether or not somebody stands by here.
    pub(super) fn poll(&mut self, standby: bool, now: Now) -> Option<i64> {
        self.yield_to_successor(now);
        if self.is_live() && now.us >= self.over_us() {
            self.end(Revoked::Silent, now);
        }
        match &mut self.stage {
            Stage::Live(live) => {
                let look_us = live.show.poll(now).unwrap_or(i64::MAX);
                Some(look_us.min(self.over_us().max(now.us + 1)))
            }
            Stage::Following(feed, seats) => {
                feed.look(now);
                let found = self.house.store.room(self.name.as_str());
                let goes_on = found.is_some_and(|found| found.is(feed.broadcast()));
                let wanted = standby || !seats.iter().all(Seat::is_empty);
                if wanted && goes_on && !feed.broadcast().is_ended() {
                    return Some(now.us + LOOK_US);
                }
                self.end(Revoked::Ended, now);
                None
            }
            Stage::Lingering { until_us, .. } if now.us < *until_us => Some(*until_us),
            Stage::Lingering { .. } | Stage::Gone => {
                self.stage = Stage::Gone;
                None
            }
        }
    }

    /// When the show is over unless somebody comes or a frame does.
    fn over_us(&self) -> i64 {
        let Stage::Live(live) = &self.stage else {
            return i64::MAX;
        };
        let fed_us = live.show.fed_us().unwrap_or(self.opened_us);
        let silent_us = fed_us.saturating_add(seconds(self.config.end_after_silence_seconds));
        let sources = live.seats.iter().flat_map(Seat::sources);
        if let Some(joined_us) = sources.map(|source| source.joined_us).max() {
            let patience = seconds(self.config.end_after_silence_seconds);
            return silent_us.max(joined_us.saturating_add(patience));
        }
        let left_us = live.seats.iter().map(|seat| seat.left_us).max();
        left_us.unwrap_or(self.opened_us) + seconds(self.config.resume_seconds)
    }

    // === what publishers hand in ===

    pub(super) fn metadata(&mut self, place: Place, metadata: Metadata) -> Result<(), Error> {
        if let Some(source) = self.seat(place)?.source_mut(place.role) {
            source.encoder.clone_from(&metadata.encoder);
            source.frame_rate = metadata.frame_rate;
            source.expects_video = metadata.has_video;
        }
        if let Stage::Live(live) = &mut self.stage {
            live.metadata(place.seat, place.role, &metadata);
        }
        Ok(())
    }

    pub(super) fn video_config(&mut self, place: Place, config: VideoConfig) -> Result<(), Error> {
        if let Some(source) = self.seat(place)?.source_mut(place.role) {
            source.video = Some(config.clone());
        }
        match &mut self.stage {
            Stage::Live(live) => live.video_config(place.seat, place.role, config),
            _ => Ok(()),
        }
    }

    pub(super) fn audio_config(&mut self, place: Place, config: AudioConfig) -> Result<(), Error> {
        if let Some(source) = self.seat(place)?.source_mut(place.role) {
            source.audio = Some(config.clone());
        }
        match &mut self.stage {
            Stage::Live(live) => live.audio_config(place.seat, place.role, config),
            _ => Ok(()),
        }
    }

    pub(super) fn video(&mut self, place: Place, unit: Unit, now: Now) -> Result<(), Error> {
        unit.check_size()?;
        let source = self.seat(place)?.source(place.role);
        let in_band = source.and_then(|source| source.config_in_band(unit.key, &unit.payload));
        if let Some(config) = in_band {
            tracing::info!(room = %self.name, name = config.name, "new parameter sets");
            self.video_config(place, config)?;
        }
        self.unit(place, Medium::Video, unit, now)
    }

    pub(super) fn audio(&mut self, place: Place, unit: Unit, now: Now) -> Result<(), Error> {
        unit.check_size()?;
        self.seat(place)?;
        self.unit(place, Medium::Audio, unit, now)
    }

    fn unit(&mut self, place: Place, medium: Medium, unit: Unit, now: Now) -> Result<(), Error> {
        if let Stage::Following(feed, seats) = &mut self.stage {
            let seat = &mut seats[place.seat];
            let starts = seat.hear(place.role, medium, unit.key, now) == Beat::Start;
            feed.look(now);
            let free = starts && feed.can_be_succeeded(now);
            if !free || !self.succeed(now) {
                if let Some(source) = self.seat(place)?.source_mut(place.role) {
                    source.stand_by(medium, &unit, now);
                }
                return Ok(());
            }
        }
        let policy = self.config.return_to_primary;
        match &mut self.stage {
            Stage::Live(live) => live.unit((place.seat, place.role), medium, unit, policy, now),
            _ => Err(Error::Revoked(Revoked::Ended)),
        }
    }

    /// The seat of a publisher that may still use it.
    fn seat(&mut self, place: Place) -> Result<&mut Seat, Error> {
        let Some(seats) = self.seats() else {
            return Err(Error::Revoked(Revoked::Ended));
        };
        let seat = &mut seats[place.seat];
        match seat.source(place.role) {
            Some(source) if source.ticket == place.ticket => Ok(seat),
            _ => Err(Error::Revoked(Revoked::TakenOver)),
        }
    }
}

fn seconds(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000_000
}

#[cfg(test)]
#[path = "room_test.rs"]
mod tests;
