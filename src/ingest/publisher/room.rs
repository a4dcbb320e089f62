//! A room: who may feed its show, and when the show is over.

use std::sync::Arc;

use tokio::sync::watch;

use crate::ingest::publisher::access::{Loss, Unit};
use crate::ingest::publisher::metrics::Instruments;
use crate::ingest::publisher::seats::{Live, Seat};
use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::source::Source;
use crate::ingest::publisher::timeline::Medium;
use crate::ingest::publisher::{
    Config, Error, Metadata, Now, OnBusy, PublisherStatus, Refusal, Request, Revoked, RoomStatus,
};
use crate::live::broadcast;
use crate::media::RoomName;
use crate::media::codec::{AudioConfig, VideoConfig};

/// The state of one room.
#[derive(Debug)]
pub(super) struct Room {
    name: RoomName,
    epoch: Arc<str>,
    config: Config,
    instruments: Instruments,
    stage: Stage,
    opened_us: i64,
    /// Counts takings of seats, so that a publisher knows whether its seat is still its own.
    ticket: u64,
}

#[derive(Debug)]
enum Stage {
    Live(Live),
    /// The show is over and stays readable until the time given.
    Lingering(broadcast::Producer, i64),
    Gone,
}

/// A publisher's place in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    seat: usize,
    ticket: u64,
}

impl Room {
    /// A room whose show begins with `broadcast`.
    pub(super) fn new(
        broadcast: broadcast::Producer,
        config: Config,
        instruments: Instruments,
        now: Now,
    ) -> Self {
        instruments.room_opened();
        let info = broadcast.info();
        Self {
            name: info.room.clone(),
            epoch: info.epoch.clone(),
            config,
            instruments,
            opened_us: now.us,
            ticket: 0,
            stage: Stage::Live(Live {
                show: Show::new(broadcast),
                seats: Vec::new(),
                audio: None,
            }),
        }
    }

    /// True while the show goes on and can be joined.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live(_))
    }

    /// When the show was opened, in microseconds since 1970.
    pub(super) fn started_us(&self) -> Option<i64> {
        match &self.stage {
            Stage::Live(live) => Some(live.show.info().started_us),
            Stage::Lingering(broadcast, _) => Some(broadcast.info().started_us),
            Stage::Gone => None,
        }
    }

    /// Takes the seat of a rendition: a new one, one that was left, or by taking over.
    pub(super) fn join(
        &mut self,
        request: &Request,
        revoke: watch::Sender<Option<Revoked>>,
        now: Now,
    ) -> Result<Place, Refusal> {
        let room = || self.name.clone();
        let Stage::Live(live) = &mut self.stage else {
            return Err(Refusal::Stopping);
        };
        let found = live
            .seats
            .iter()
            .position(|seat| seat.rendition == request.rendition);
        let busy = found.is_some_and(|seat| live.seats[seat].source.is_some());
        if busy && self.config.on_busy == OnBusy::Refuse {
            return Err(Refusal::Busy { room: room() });
        }
        if found.is_none() && live.seats.len() >= self.config.renditions_max {
            return Err(Refusal::TooManyRenditions {
                room: room(),
                renditions_max: self.config.renditions_max,
            });
        }
        let seat = found.unwrap_or_else(|| {
            live.seats.push(Seat::new(request.rendition.clone()));
            live.seats.len() - 1
        });
        if let Some((_, source)) = live.seats[seat].source.take() {
            self.instruments.publisher_left();
            source.revoke.send_replace(Some(Revoked::TakenOver));
        }
        let timeline = live.timeline(seat, now);
        live.renew(seat);
        self.ticket += 1;
        self.instruments.publisher_came();
        let instruments = self.instruments.clone();
        let source = Source::new(request.peer, timeline, revoke, instruments, now);
        live.seats[seat].source = Some((self.ticket, source));
        Ok(Place {
            seat,
            ticket: self.ticket,
        })
    }

    /// A publisher goes, and the resume window opens. A goodbye opens it too: encoders say one
    /// when they reconnect by themselves or are restarted in the middle of a show.
    pub(super) fn leave(&mut self, place: Place, now: Now) {
        let Stage::Live(live) = &mut self.stage else {
            return;
        };
        let seat = &mut live.seats[place.seat];
        if !matches!(&seat.source, Some((ticket, _)) if *ticket == place.ticket) {
            return;
        }
        seat.source = None;
        seat.left_us = now.us;
        self.instruments.publisher_left();
    }

    /// Ends the show; publishers that are still here are told `reason`.
    pub(super) fn end(&mut self, reason: Revoked, now: Now) {
        let stage = std::mem::replace(&mut self.stage, Stage::Gone);
        let Stage::Live(live) = stage else {
            self.stage = stage;
            return;
        };
        for (_, source) in live.seats.into_iter().filter_map(|seat| seat.source) {
            self.instruments.publisher_left();
            source.revoke.send_replace(Some(reason));
        }
        self.instruments.room_ended();
        tracing::info!(room = %self.name, epoch = %self.epoch, "broadcast ended");
        let until_us = now.us + seconds(self.config.linger_seconds);
        self.stage = Stage::Lingering(live.show.end(), until_us);
    }

    /// Takes an ended show off the store at once, for another one.
    pub(super) fn dispose(&mut self, now: Now) {
        self.end(Revoked::Stopping, now);
        self.stage = Stage::Gone;
    }

    /// Does what time asks for. Returns when to look again; `None` when nothing will come.
    pub(super) fn poll(&mut self, now: Now) -> Option<i64> {
        if let Some(reason) = self.over(now) {
            self.end(reason, now);
        }
        match &mut self.stage {
            Stage::Live(live) => {
                let look_us = live.show.poll(now).unwrap_or(i64::MAX);
                Some(look_us.min(self.over_us().max(now.us + 1)))
            }
            Stage::Lingering(_, until_us) if now.us < *until_us => Some(*until_us),
            Stage::Lingering(..) | Stage::Gone => {
                self.stage = Stage::Gone;
                None
            }
        }
    }

    /// Why the show is over, if it is.
    fn over(&self, now: Now) -> Option<Revoked> {
        (self.is_live() && now.us >= self.over_us()).then_some(Revoked::Silent)
    }

    /// When the show is over unless somebody comes or a frame does.
    fn over_us(&self) -> i64 {
        let Stage::Live(live) = &self.stage else {
            return i64::MAX;
        };
        let fed_us = live.show.fed_us().unwrap_or(self.opened_us);
        let silent_us = fed_us.saturating_add(seconds(self.config.end_after_silence_seconds));
        if live.seats.iter().any(|seat| seat.source.is_some()) {
            let joined_us = live.seats.iter().filter_map(|seat| seat.source.as_ref());
            let joined_us = joined_us.map(|(_, source)| source.joined_us).max();
            let patience = seconds(self.config.end_after_silence_seconds);
            return silent_us.max(joined_us.unwrap_or(0).saturating_add(patience));
        }
        let left_us = live.seats.iter().map(|seat| seat.left_us).max();
        left_us.unwrap_or(self.opened_us) + seconds(self.config.resume_seconds)
    }

    // === what publishers hand in ===

    pub(super) fn metadata(&mut self, place: Place, metadata: Metadata) -> Result<(), Error> {
        let (live, seat) = self.seat(place)?;
        let Some((_, source)) = &mut live.seats[seat].source else {
            return Ok(());
        };
        source.encoder = metadata.encoder;
        source.frame_rate = metadata.frame_rate;
        if let Some(expects) = metadata.has_video {
            live.show.expect_video(expects);
        }
        if let (Some(rate), Some(index)) = (metadata.frame_rate, live.seats[seat].video) {
            live.show.announce_rate(index, rate);
        }
        Ok(())
    }

    pub(super) fn video_config(&mut self, place: Place, config: VideoConfig) -> Result<(), Error> {
        let (live, seat) = self.seat(place)?;
        live.configure_video(seat, config)
    }

    pub(super) fn audio_config(&mut self, place: Place, config: AudioConfig) -> Result<(), Error> {
        let (live, seat) = self.seat(place)?;
        if let Some((_, source)) = &mut live.seats[seat].source {
            source.audio = Some(config.clone());
        }
        match live.audio {
            None => live.audio = Some((live.show.add_audio(&config)?, seat)),
            Some((_, owner)) if owner != seat => return Ok(()),
            Some(_) => {}
        }
        if let Some((index, _)) = live.audio {
            live.show.configure_audio(index, config);
        }
        Ok(())
    }

    pub(super) fn video(&mut self, place: Place, unit: Unit, now: Now) -> Result<(), Error> {
        unit.check_size()?;
        let (live, seat) = self.seat(place)?;
        let in_band = live
            .source(seat)
            .and_then(|source| source.config_in_band(unit.key, &unit.payload));
        if let Some(config) = in_band {
            tracing::info!(room = %live.show.info().room, name = config.name, "new parameter sets");
            live.configure_video(seat, config)?;
        }
        let Seat { video, source, .. } = &mut live.seats[seat];
        let Some((_, source)) = source else {
            return Ok(());
        };
        match video {
            Some(index) => source.feed(&mut live.show, *index, Medium::Video, unit, now),
            None => source.drop_frame(Loss::Unconfigured),
        }
        Ok(())
    }

    pub(super) fn audio(&mut self, place: Place, unit: Unit, now: Now) -> Result<(), Error> {
        unit.check_size()?;
        let (live, seat) = self.seat(place)?;
        live.adopt_audio(seat);
        let Some((_, source)) = &mut live.seats[seat].source else {
            return Ok(());
        };
        match live.audio {
            Some((index, owner)) if owner == seat => {
                source.feed(&mut live.show, index, Medium::Audio, unit, now);
            }
            Some(_) => source.drop_frame(Loss::OtherAudio),
            None => source.drop_frame(Loss::Unconfigured),
        }
        Ok(())
    }

    /// The seat of a publisher that may still use it.
    fn seat(&mut self, place: Place) -> Result<(&mut Live, usize), Error> {
        let Stage::Live(live) = &mut self.stage else {
            return Err(Error::Revoked(Revoked::Ended));
        };
        match &live.seats[place.seat].source {
            Some((ticket, _)) if *ticket == place.ticket => Ok((live, place.seat)),
            _ => Err(Error::Revoked(Revoked::TakenOver)),
        }
    }

    /// What the admin API shows; `None` once the show is over.
    pub(super) fn status(&mut self, now: Now) -> Option<RoomStatus> {
        let Stage::Live(live) = &mut self.stage else {
            return None;
        };
        let stalled = live.show.is_stalled();
        let publishers = live.seats.iter_mut().filter_map(|seat| {
            let rendition = seat.rendition.clone();
            let learnt = seat.video.map(|index| live.show.frames_per_second(index));
            let (_, source) = seat.source.as_mut()?;
            let status = source.status(rendition, stalled, now);
            Some(PublisherStatus {
                learnt_frames_per_second: learnt,
                ..status
            })
        });
        Some(RoomStatus {
            room: self.name.clone(),
            epoch: self.epoch.clone(),
            stalled,
            publishers: publishers.collect(),
        })
    }
}

fn seconds(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000_000
}

#[cfg(test)]
#[path = "room_test.rs"]
mod tests;
