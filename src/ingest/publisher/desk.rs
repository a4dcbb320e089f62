//! The desk: who publishes to which room.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::ingest::publisher::Config;
use crate::ingest::publisher::show::Show;
use crate::live;
use crate::media::RoomName;
use crate::media::codec::{
    AudioCodec, AudioConfig, Config as CodecConfig, ParseError, VideoCodec, VideoConfig,
};
use crate::runtime::{TaskScope, clock};
use crate::telemetry::Metrics;

/// Hands out publishers, one for each rendition of a room. One per origin; clones share it.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: live::Store,
    config: Config,
    rooms: Mutex<HashMap<RoomName, ()>>,
    _scope: TaskScope,
}

/// Who wants to publish what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The room.
    pub room: RoomName,
    /// The rendition of `ROOM@720p`; `None` for a plain push.
    pub rendition: Option<String>,
    /// A backup publisher (`?backup=1`).
    pub backup: bool,
    /// The encoder's address.
    pub peer: SocketAddr,
}

/// Why a publisher is turned away; the text is shown to the encoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody publishes it already.
    #[error("room {room} is being published to from another encoder; stop that one first")]
    Busy {
        /// The room.
        room: RoomName,
    },
    /// The rendition's name cannot be used in URLs.
    #[error("the rendition name {0:?} is not 1 to 32 of a-z A-Z 0-9 _ -")]
    BadRendition(String),
    /// [`Config::renditions_max`] renditions exist.
    #[error("room {room} has its limit of {renditions_max} renditions")]
    TooManyRenditions {
        /// The room.
        room: RoomName,
        /// The limit.
        renditions_max: usize,
    },
    /// The store has no place for it.
    #[error("{0}")]
    Live(#[from] live::Error),
    /// The node is stopping.
    #[error("this server is stopping; try again in a few seconds")]
    Stopping,
}

/// Why a publisher has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// Another encoder has taken its place.
    #[error("another encoder has taken over this room")]
    TakenOver,
    /// The broadcast was cut by an operator.
    #[error("the broadcast was cut by an operator")]
    Cut,
    /// It was silent for [`Config::end_after_silence_seconds`].
    #[error("the encoder was silent for too long")]
    Silent,
    /// The node is stopping.
    #[error("this server is stopping")]
    Stopping,
}

/// What an encoder says about itself (onMetaData); every field may be missing or wrong.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata {
    /// Picture width in pixels.
    pub width: Option<u32>,
    /// Picture height in pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Video bit rate in kbit/s.
    pub video_bitrate_kbps: Option<u32>,
    /// Audio bit rate in kbit/s.
    pub audio_bitrate_kbps: Option<u32>,
    /// The encoder's name and version.
    pub encoder: Option<String>,
    /// Whether video will come.
    pub has_video: Option<bool>,
    /// Whether audio will come.
    pub has_audio: Option<bool>,
}

/// Why an access unit or a record is not taken: close the connection with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The codec's record cannot be read.
    #[error(transparent)]
    Record(#[from] ParseError),
    /// This publisher has to go.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// The store refuses a track.
    #[error(transparent)]
    Live(#[from] live::Error),
    /// Above [`crate::media::frame::FRAME_BYTES_MAX`].
    #[error(
        "a frame of {bytes} bytes is above the limit of {}",
        crate::media::frame::FRAME_BYTES_MAX
    )]
    FrameTooLarge {
        /// Its bytes.
        bytes: usize,
    },
}

impl Desk {
    /// A desk that publishes into `store`; its tasks run in `scope`.
    #[must_use]
    pub fn new(store: live::Store, config: Config, metrics: &Metrics, scope: TaskScope) -> Self {
        let _ = metrics;
        Self(Arc::new(Shared {
            store,
            config,
            rooms: Mutex::default(),
            _scope: scope,
        }))
    }

    /// Opens a room, continues it within the resume window, or joins it with a further rendition.
    pub async fn publish(&self, request: Request) -> Result<Publisher, Refusal> {
        let show = Show::open(&self.0.store, &request.room, &self.0.config)?;
        self.0.rooms.lock().insert(request.room.clone(), ());
        let (revoke, revoked) = watch::channel(None);
        Ok(Publisher {
            show,
            revoked,
            _revoke: revoke,
            desk: self.clone(),
            room: request.room,
        })
    }
}

/// One connected encoder: takes its access units in the order of arrival.
///
/// [`Self::close`] says that the show is over; dropping it says that the connection was lost, and
/// the broadcast waits [`Config::resume_seconds`] for another.
#[derive(Debug)]
pub struct Publisher {
    show: Show,
    revoked: watch::Receiver<Option<Revoked>>,
    _revoke: watch::Sender<Option<Revoked>>,
    desk: Desk,
    room: RoomName,
}

impl Publisher {
    /// What the encoder says about itself. May come before, between or after configurations.
    pub fn metadata(&mut self, metadata: Metadata) {
        self.show.metadata(metadata);
    }

    /// The video configuration (sequence header). Repeating the same one changes nothing; another
    /// one opens a new initialization at the next key frame.
    pub fn video_config(&mut self, codec: VideoCodec, record: Bytes) -> Result<(), Error> {
        let config = VideoConfig::parse(codec, record)?;
        self.show.configure(CodecConfig::Video(config))
    }

    /// The audio configuration, likewise.
    pub fn audio_config(&mut self, codec: AudioCodec, record: Bytes) -> Result<(), Error> {
        let config = AudioConfig::parse(codec, record)?;
        self.show.configure(CodecConfig::Audio(config))
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
        self.show
            .video(timestamp_ms, composition_ms, key, payload, clock::unix_us());
        Ok(())
    }

    /// One access unit of audio, likewise.
    pub fn audio(&mut self, timestamp_ms: u32, payload: Bytes) -> Result<(), Error> {
        self.show.audio(timestamp_ms, payload, clock::unix_us());
        Ok(())
    }

    /// Waits until this publisher has to go. Cancel-safe.
    pub async fn revoked(&self) -> Revoked {
        let mut revoked = self.revoked.clone();
        match revoked.wait_for(Option::is_some).await {
            Ok(reason) => reason.expect("waited for a reason"),
            Err(_) => Revoked::Stopping,
        }
    }

    /// The encoder has said that it stops: the broadcast ends.
    pub fn close(self) {
        self.desk.0.rooms.lock().remove(&self.room);
    }
}
