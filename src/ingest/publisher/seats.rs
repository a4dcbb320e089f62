//! The seats of a room: which encoders there are for each rendition, and which of them feeds it.

use crate::ingest::publisher::access::{Loss, Unit};
use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::source::Source;
use crate::ingest::publisher::timeline::{Medium, Timeline};
use crate::ingest::publisher::turns::{Beat, Turn, Turns};
use crate::ingest::publisher::{Error, Metadata, Now, PublisherStatus, ReturnToPrimary, Role};
use crate::media::codec::{AudioConfig, VideoConfig};
use crate::media::track::{Kind, VIDEO};

/// A show and those who feed it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) show: Show,
    pub(super) seats: Vec<Seat>,
    /// The audio track, and the seat that feeds it.
    pub(super) audio: Option<(usize, usize)>,
}

/// The place of one rendition's encoders. It stays when they go.
#[derive(Debug, Default)]
pub(super) struct Seat {
    pub(super) rendition: Option<String>,
    pub(super) video: Option<usize>,
    pub(super) turns: Turns,
    primary: Option<Source>,
    backup: Option<Source>,
    pub(super) left_us: i64,
}

impl Live {
    /// The tracks of a show that another node has fed so far, for those who wait in `seats`.
    pub(super) fn continuing(show: Show, mut seats: Vec<Seat>) -> Self {
        let mut audio = None;
        for (index, track) in show.tracks.iter().enumerate() {
            let info = track.info();
            if info.kind != Kind::Video {
                audio = Some(index);
                continue;
            }
            let rendition = (&*info.name != VIDEO).then(|| info.name.to_string());
            let found = seats.iter().position(|seat| seat.rendition == rendition);
            let seat = found.unwrap_or_else(|| {
                seats.push(Seat::new(rendition));
                seats.len() - 1
            });
            seats[seat].video = Some(index);
        }
        let owner = seats.iter().position(|seat| !seat.is_empty());
        let audio = audio.map(|index| (index, owner.unwrap_or(0)));
        Self { show, seats, audio }
    }

    // === what encoders hand in ===

    pub(super) fn metadata(&mut self, seat: usize, role: Role, metadata: &Metadata) {
        if !self.seats[seat].has_air(role) {
            return;
        }
        if let Some(expects) = metadata.has_video {
            self.show.expect_video(expects);
        }
        if let (Some(rate), Some(index)) = (metadata.frame_rate, self.seats[seat].video) {
            self.show.announce_rate(index, rate);
        }
    }

    pub(super) fn video_config(
        &mut self,
        seat: usize,
        role: Role,
        config: VideoConfig,
    ) -> Result<(), Error> {
        match self.seats[seat].has_air(role) {
            true => self.configure_video(seat, config),
            false => Ok(()),
        }
    }

    pub(super) fn audio_config(
        &mut self,
        seat: usize,
        role: Role,
        config: AudioConfig,
    ) -> Result<(), Error> {
        match self.seats[seat].has_air(role) {
            true => self.configure_audio(seat, config),
            false => Ok(()),
        }
    }

    /// Takes one access unit of the encoder in `role` of `seat`.
    pub(super) fn unit(
        &mut self,
        (seat, role): (usize, Role),
        medium: Medium,
        unit: Unit,
        policy: ReturnToPrimary,
        now: Now,
    ) -> Result<(), Error> {
        let beat = self.seats[seat].hear(role, medium, unit.key, now);
        match self.seats[seat].turns.turn(role, beat, policy, now.us) {
            Turn::OnAir => {}
            Turn::Begins => self.begin(seat, role, now)?,
            Turn::Waits => {
                if let Some(source) = self.seats[seat].source_mut(role) {
                    source.stand_by(medium, &unit, now);
                }
                return Ok(());
            }
        }
        let track = match medium {
            Medium::Video => self.seats[seat].video.ok_or(Loss::Unconfigured),
            Medium::Audio => {
                self.adopt_audio(seat);
                match self.audio {
                    Some((index, owner)) if owner == seat => Ok(index),
                    Some(_) => Err(Loss::OtherAudio),
                    None => Err(Loss::Unconfigured),
                }
            }
        };
        let Some(source) = self.seats[seat].source_mut(role) else {
            return Ok(());
        };
        match track {
            Ok(index) => source.feed(&mut self.show, index, medium, unit, now),
            Err(loss) => source.drop_frame(loss),
        }
        Ok(())
    }

    /// The encoder in `role` of `seat` comes on air: it goes on where the show stands, by its own
    /// clock and with its own configurations.
    fn begin(&mut self, seat: usize, role: Role, now: Now) -> Result<(), Error> {
        let timeline = self.timeline(seat, now);
        self.renew(seat);
        let Some(source) = self.seats[seat].source_mut(role) else {
            return Ok(());
        };
        source.begin(role, timeline, &self.show.info().room);
        let (video, audio) = (source.video.clone(), source.audio.clone());
        let rate = source.frame_rate;
        if let Some(expects) = source.expects_video {
            self.show.expect_video(expects);
        }
        if let Some(config) = video {
            self.configure_video(seat, config)?;
        }
        if let (Some(rate), Some(index)) = (rate, self.seats[seat].video) {
            self.show.announce_rate(index, rate);
        }
        match audio {
            Some(config) => self.configure_audio(seat, config),
            None => Ok(()),
        }
    }

    // === tracks ===

    /// The clock for an encoder that comes on air in `seat`.
    fn timeline(&self, seat: usize, now: Now) -> Timeline {
        let others = self.seats.iter().enumerate();
        let beside = others
            .filter(|(other, _)| *other != seat)
            .find_map(|(_, other)| other.on_air())
            .map(|source| &source.timeline);
        if self.show.fed_us().is_none() && beside.is_none() {
            return Timeline::new();
        }
        Timeline::joining(self.show.position_ms(now), now.us, beside)
    }

    /// Another encoder goes on with the tracks of `seat`.
    fn renew(&mut self, seat: usize) {
        if let Some(index) = self.seats[seat].video {
            self.show.renew(index);
        }
        if let Some((index, owner)) = self.audio
            && owner == seat
        {
            self.show.renew(index);
        }
    }

    pub(super) fn configure_video(
        &mut self,
        seat: usize,
        config: VideoConfig,
    ) -> Result<(), Error> {
        let place = &mut self.seats[seat];
        let index = match place.video {
            Some(index) => index,
            None => {
                let name = place.rendition.as_deref().unwrap_or(VIDEO);
                *place.video.insert(self.show.add_video(name)?)
            }
        };
        if let Some(rate) = place.on_air().and_then(|source| source.frame_rate) {
            self.show.announce_rate(index, rate);
        }
        self.show.configure_video(index, config);
        Ok(())
    }

    fn configure_audio(&mut self, seat: usize, config: AudioConfig) -> Result<(), Error> {
        let index = match self.audio {
            None => {
                let index = self.show.add_audio(&config)?;
                self.audio = Some((index, seat));
                index
            }
            Some((_, owner)) if owner != seat => return Ok(()),
            Some((index, _)) => index,
        };
        self.show.configure_audio(index, config);
        Ok(())
    }

    /// Lets `seat` go on with the audio of encoders that have gone.
    fn adopt_audio(&mut self, seat: usize) {
        let Some((index, owner)) = self.audio else {
            return;
        };
        let left = owner != seat && self.seats[owner].is_empty();
        let source = self.seats[seat].on_air().filter(|_| left);
        if let Some(config) = source.and_then(|source| source.audio.clone()) {
            self.audio = Some((index, seat));
            self.show.renew(index);
            self.show.configure_audio(index, config);
        }
    }
}

impl Seat {
    pub(super) fn new(rendition: Option<String>) -> Self {
        Self {
            rendition,
            ..Self::default()
        }
    }

    pub(super) fn source(&self, role: Role) -> Option<&Source> {
        match role {
            Role::Primary => self.primary.as_ref(),
            Role::Backup => self.backup.as_ref(),
        }
    }

    pub(super) fn source_mut(&mut self, role: Role) -> Option<&mut Source> {
        self.place(role).as_mut()
    }

    /// The encoder that feeds the show.
    pub(super) fn on_air(&self) -> Option<&Source> {
        self.source(self.turns.on_air()?)
    }

    /// Whether what the encoder in `role` says of itself goes into the show at once.
    fn has_air(&self, role: Role) -> bool {
        self.turns.on_air() == Some(role)
    }

    /// True when nobody sits here.
    pub(super) fn is_empty(&self) -> bool {
        self.primary.is_none() && self.backup.is_none()
    }

    /// Both encoders, as far as they are there.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        [&self.primary, &self.backup].into_iter().flatten()
    }

    pub(super) fn sit(&mut self, role: Role, source: Source, now: Now) {
        self.turns.came(role, now.us);
        *self.place(role) = Some(source);
    }

    /// Takes an encoder off its place.
    pub(super) fn leave(&mut self, role: Role, now: Now) -> Option<Source> {
        let source = self.place(role).take()?;
        self.turns.left(role);
        self.left_us = now.us;
        Some(source)
    }

    /// Notes that an access unit has come, and answers what it says of its encoder.
    pub(super) fn hear(&mut self, role: Role, medium: Medium, key: bool, now: Now) -> Beat {
        let has_video = self
            .source(role)
            .is_some_and(|source| source.video.is_some());
        let beat = match medium {
            Medium::Audio if has_video => Beat::Beside,
            Medium::Video if !key => Beat::Life,
            Medium::Video | Medium::Audio => Beat::Start,
        };
        self.turns.hear(role, beat, now.us);
        beat
    }

    /// What the admin API shows of its encoders.
    pub(super) fn status(
        &mut self,
        stalled: bool,
        learnt_frames_per_second: Option<f64>,
        now: Now,
    ) -> Vec<PublisherStatus> {
        let (on_air, rendition) = (self.turns.on_air(), self.rendition.clone());
        let sources = [
            (Role::Primary, &mut self.primary),
            (Role::Backup, &mut self.backup),
        ];
        let status = |(seat, source): (Role, &mut Option<Source>)| {
            let is_on_air = on_air == Some(seat);
            Some(PublisherStatus {
                rendition: rendition.clone(),
                seat,
                on_air: is_on_air,
                stalled: stalled && is_on_air,
                learnt_frames_per_second: learnt_frames_per_second.filter(|_| is_on_air),
                ..source.as_mut()?.status(now)
            })
        };
        sources.into_iter().filter_map(status).collect()
    }

    fn place(&mut self, role: Role) -> &mut Option<Source> {
        match role {
            Role::Primary => &mut self.primary,
            Role::Backup => &mut self.backup,
        }
    }
}

#[cfg(test)]
#[path = "seats_test.rs"]
mod tests;
