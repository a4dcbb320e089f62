//! The seats of a room: which encoder feeds which track of the show.

use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::source::Source;
use crate::ingest::publisher::timeline::Timeline;
use crate::ingest::publisher::{Error, Now};
use crate::media::codec::VideoConfig;

/// The name of a plain push's video track.
const VIDEO: &str = "video";

/// A show and those who feed it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) show: Show,
    pub(super) seats: Vec<Seat>,
    /// The audio track, and the seat that feeds it.
    pub(super) audio: Option<(usize, usize)>,
}

/// The place of one rendition's encoder. It stays when the encoder goes.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) rendition: Option<String>,
    pub(super) video: Option<usize>,
    pub(super) source: Option<(u64, Source)>,
    pub(super) left_us: i64,
}

impl Live {
    pub(super) fn source(&self, seat: usize) -> Option<&Source> {
        self.seats[seat].source.as_ref().map(|(_, source)| source)
    }

    /// The clock for a new encoder in `seat`.
    pub(super) fn timeline(&self, seat: usize, now: Now) -> Timeline {
        if self.show.fed_us().is_none() && self.seats.iter().all(|seat| seat.source.is_none()) {
            return Timeline::new();
        }
        let others = self.seats.iter().enumerate();
        let beside = others
            .filter(|(other, _)| *other != seat)
            .find_map(|(_, other)| other.source.as_ref())
            .map(|(_, source)| &source.timeline);
        Timeline::joining(self.show.position_ms(now), now.us, beside)
    }

    /// Another encoder goes on with the tracks of `seat`.
    pub(super) fn renew(&mut self, seat: usize) {
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
        if let Some((_, source)) = &mut place.source {
            if let Some(rate) = source.frame_rate {
                self.show.announce_rate(index, rate);
            }
            source.video = Some(config.clone());
        }
        self.show.configure_video(index, config);
        Ok(())
    }

    /// Lets `seat` go on with the audio of an encoder that has gone.
    pub(super) fn adopt_audio(&mut self, seat: usize) {
        let Some((index, owner)) = self.audio else {
            return;
        };
        let left = owner != seat && self.seats[owner].source.is_none();
        if let Some(config) = self
            .source(seat)
            .filter(|_| left)
            .and_then(|source| source.audio.clone())
        {
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
            video: None,
            source: None,
            left_us: 0,
        }
    }
}
