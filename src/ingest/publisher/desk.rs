//! The desk: who publishes to which room.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::ingest::publisher::access::Unit;
use crate::ingest::publisher::metrics::Instruments;
use crate::ingest::publisher::room::{Place, Room};
use crate::ingest::publisher::{Config, Now, RoomStatus};
use crate::live;
use crate::media::RoomName;
use crate::media::broadcast::{Info, Kind, epoch_at};
use crate::media::codec::{AudioCodec, AudioConfig, ParseError, VideoCodec, VideoConfig};
use crate::media::frame::FRAME_BYTES_MAX;
use crate::media::track::TRACK_NAME_BYTES_MAX;
use crate::runtime::{TaskScope, clock};
use crate::telemetry::Metrics;

/// Hands out publishers, one for each rendition of a room. One per origin; clones share it.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: live::Store,
    config: Config,
    instruments: Instruments,
    started: clock::Instant,
    rooms: Mutex<HashMap<RoomName, Arc<Open>>>,
    scope: TaskScope,
}

/// A room and the bell that wakes its task.
#[derive(Debug)]
struct Open {
    room: Mutex<Room>,
    changed: Notify,
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
    /// The broadcast is over.
    #[error("the broadcast is over")]
    Ended,
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
    /// Above [`FRAME_BYTES_MAX`].
    #[error("a frame of {bytes} bytes is above the limit of {FRAME_BYTES_MAX}")]
    FrameTooLarge {
        /// Its bytes.
        bytes: usize,
    },
}

impl Desk {
    /// A desk that publishes into `store`; its tasks run in `scope`.
    #[must_use]
    pub fn new(store: live::Store, config: Config, metrics: &Metrics, scope: TaskScope) -> Self {
        Self(Arc::new(Shared {
            store,
            config,
            instruments: Instruments::register(metrics),
            started: clock::now(),
            rooms: Mutex::default(),
            scope,
        }))
    }

    /// Opens a room, continues it within the resume window, or joins it with a further rendition.
    pub async fn publish(&self, request: Request) -> Result<Publisher, Refusal> {
        if self.0.scope.shutdown().is_requested() {
            return Err(Refusal::Stopping);
        }
        check_rendition(request.rendition.as_deref())?;
        let now = self.now();
        let (revoke, revoked) = watch::channel(None);
        let mut rooms = self.0.rooms.lock();
        let open = rooms.get(&request.room).cloned();
        let open = match open.filter(|open| open.room.lock().is_live()) {
            Some(open) => open,
            None => {
                let before = rooms.remove(&request.room);
                let open = self.open(&request, before, now)?;
                rooms.insert(request.room.clone(), open.clone());
                open
            }
        };
        let place = open.room.lock().join(&request, revoke, now)?;
        drop(rooms);
        tracing::info!(
            room = %request.room,
            rendition = request.rendition.as_deref().unwrap_or(""),
            peer = %request.peer,
            "publishing",
        );
        Ok(Publisher {
            desk: self.clone(),
            open,
            place,
            revoked,
        })
    }

    /// Ends a room's broadcast by an operator's wish. False when there is none.
    pub fn cut(&self, room: &RoomName) -> bool {
        let Some(open) = self.0.rooms.lock().get(room).cloned() else {
            return false;
        };
        let mut state = open.room.lock();
        let was_live = state.is_live();
        state.end(Revoked::Cut, self.now());
        open.changed.notify_one();
        was_live
    }

    /// What the encoders of a room do; `None` when nothing is live there.
    #[must_use]
    pub fn status(&self, room: &RoomName) -> Option<RoomStatus> {
        let open = self.0.rooms.lock().get(room).cloned()?;
        open.room.lock().status(self.now())
    }

    /// Opens a new show, in place of one that is over.
    fn open(
        &self,
        request: &Request,
        before: Option<Arc<Open>>,
        now: Now,
    ) -> Result<Arc<Open>, Refusal> {
        let mut started_us = now.unix_us;
        if let Some(before) = before {
            let mut before_room = before.room.lock();
            // Another show has another epoch, even when the clock is set back (D8).
            let ended_us = before_room.started_us().unwrap_or(0);
            started_us = started_us.max(ended_us + 1000);
            before_room.dispose(now);
            before.changed.notify_one();
        }
        let broadcast = self.0.store.publish(Info {
            room: request.room.clone(),
            kind: Kind::Show,
            epoch: epoch_at(started_us),
            started_us,
            timing: self.0.config.profile.timing(),
        })?;
        let (config, instruments) = (self.0.config.clone(), self.0.instruments.clone());
        let open = Arc::new(Open {
            room: Mutex::new(Room::new(broadcast, config, instruments, now)),
            changed: Notify::new(),
        });
        let task = self.clone().watch(request.room.clone(), open.clone());
        self.0.scope.spawn("ingest.room", task);
        Ok(open)
    }

    /// Does what time asks of a room until it is gone.
    async fn watch(self, name: RoomName, open: Arc<Open>) {
        let shutdown = self.0.scope.shutdown().clone();
        loop {
            let look_us = open.room.lock().poll(self.now());
            let Some(look_us) = look_us else { break };
            let wait = Duration::from_micros(look_us.unsigned_abs());
            tokio::select! {
                () = tokio::time::sleep_until(self.0.started + wait) => {}
                () = open.changed.notified() => {}
                () = shutdown.requested() => {
                    open.room.lock().dispose(self.now());
                }
            }
        }
        let mut rooms = self.0.rooms.lock();
        if rooms
            .get(&name)
            .is_some_and(|found| Arc::ptr_eq(found, &open))
        {
            rooms.remove(&name);
        }
    }

    fn now(&self) -> Now {
        let elapsed = clock::now().saturating_duration_since(self.0.started);
        Now {
            us: i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX),
            unix_us: clock::unix_us(),
        }
    }
}

fn check_rendition(name: Option<&str>) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match name {
        // The plain push's own tracks have these names.
        Some(name @ ("video" | "audio")) => Err(Refusal::BadRendition(name.to_owned())),
        Some(name)
            if name.is_empty()
                || name.len() > TRACK_NAME_BYTES_MAX
                || !name.chars().all(allowed) =>
        {
            Err(Refusal::BadRendition(name.to_owned()))
        }
        _ => Ok(()),
    }
}

/// One connected encoder: takes its access units in the order of arrival.
///
/// [`Self::close`] says that the show is over; dropping it says that the connection was lost, and
/// the broadcast waits [`Config::resume_seconds`] for another.
#[derive(Debug)]
pub struct Publisher {
    desk: Desk,
    open: Arc<Open>,
    place: Place,
    revoked: watch::Receiver<Option<Revoked>>,
}

impl Publisher {
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

#[cfg(test)]
#[path = "desk_test.rs"]
mod tests;
