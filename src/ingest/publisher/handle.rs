//! A publisher: one connected encoder, as its driver holds it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::ingest::publisher::access::Unit;
use crate::ingest::publisher::desk::{Desk, Open};
use crate::ingest::publisher::feed::{LOOK_US, Pulse};
use crate::ingest::publisher::room::{Place, Room};
use crate::ingest::publisher::waits::Waits;
use crate::ingest::publisher::{Error, Metadata, Refusal, Revoked};
use crate::media::RoomName;
use crate::media::codec::{AudioCodec, AudioConfig, VideoCodec, VideoConfig};

/// One connected encoder: takes its access units in the order of arrival.
///
/// It feeds the show, or stands by while another encoder or another node does. When it goes, by
/// [`Self::close`] or by a lost connection, the broadcast waits
/// [`super::Config::resume_seconds`] for another.
#[derive(Debug)]
pub struct Publisher {
    pub(super) desk: Desk,
    pub(super) open: Arc<Open>,
    pub(super) place: Place,
    pub(super) waits: Arc<Waits>,
    pub(super) revoked: watch::Receiver<Option<Revoked>>,
}

impl Publisher {
    /// Waits until it is known that no other node feeds the room, two or three seconds at most.
    ///
    /// Errors: one does.
    pub(super) async fn find_room_free(&self, room: &RoomName) -> Result<(), Refusal> {
        loop {
            let pulse = self.room().pulse(self.desk.now());
            match pulse {
                None | Some(Pulse::Lost) => return Ok(()),
                Some(Pulse::Alive) => return Err(Refusal::Busy { room: room.clone() }),
                Some(Pulse::Unsure) => {}
            }
            tokio::time::sleep(Duration::from_micros(LOOK_US.unsigned_abs())).await;
        }
    }

    /// What the encoder says about itself. May come before, between or after configurations.
    pub fn metadata(&mut self, metadata: Metadata) {
        // A publisher that has to go hears of it with its next access unit.
        let _gone = self.room().metadata(self.place, metadata).is_err();
    }

    /// The video configuration (sequence header). Repeating the same one changes nothing; another
    /// one opens a new initialization at the next key frame.
    pub fn video_config(&mut self, codec: VideoCodec, record: Bytes) -> Result<(), Error> {
        let config = VideoConfig::parse(codec, record)?;
        self.room().video_config(self.place, config)
    }

    /// The audio configuration, likewise.
    pub fn audio_config(&mut self, codec: AudioCodec, record: Bytes) -> Result<(), Error> {
        let config = AudioConfig::parse(codec, record)?;
        self.room().audio_config(self.place, config)
    }

    /// One access unit of video. `timestamp_ms` is its decode time on the encoder's 32-bit clock,
    /// `composition_ms` its presentation time minus that; `key` marks an IDR or its like.
    pub fn video(
        &mut self,
        timestamp_ms: u32,
        composition_ms: i32,
        key: bool,
        payload: Bytes,
    ) -> Result<(), Error> {
        let unit = Unit {
            stamp: timestamp_ms,
            composition_ms,
            key,
            payload,
        };
        let now = self.desk.now();
        self.room().video(self.place, unit, now)
    }

    /// One access unit of audio, likewise.
    pub fn audio(&mut self, timestamp_ms: u32, payload: Bytes) -> Result<(), Error> {
        let unit = Unit {
            stamp: timestamp_ms,
            composition_ms: 0,
            key: true,
            payload,
        };
        let now = self.desk.now();
        self.room().audio(self.place, unit, now)
    }

    /// Waits until this publisher has to go. Cancel-safe.
    pub async fn revoked(&self) -> Revoked {
        let mut revoked = self.revoked.clone();
        match revoked.wait_for(Option::is_some).await {
            Ok(reason) => reason.expect("waited for a reason"),
            Err(_) => Revoked::Ended,
        }
    }

    /// The encoder has said that it stops; as when it is lost, the resume window opens.
    pub fn close(self) {}

    fn room(&self) -> parking_lot::MutexGuard<'_, Room> {
        self.open.room.lock()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.room().leave(self.place, self.desk.now());
        self.open.changed.notify_one();
    }
}
