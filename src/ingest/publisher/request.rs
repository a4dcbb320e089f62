//! Who wants to publish what, and what encoders say about themselves.

use std::net::SocketAddr;

use crate::ingest::publisher::{Refusal, Role};
use crate::media::RoomName;
use crate::media::track::{TRACK_NAME_BYTES_MAX, VIDEO};

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

impl Request {
    /// Its place in the rendition's seat.
    pub(super) fn role(&self) -> Role {
        match self.backup {
            true => Role::Backup,
            false => Role::Primary,
        }
    }

    /// Refuses a rendition whose name cannot stand in a URL, or has a meaning of its own.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let Some(name) = self.rendition.as_deref() else {
            return Ok(());
        };
        // The plain push's own tracks have these names.
        let reserved = matches!(name, VIDEO | "audio");
        let fits = (1..=TRACK_NAME_BYTES_MAX).contains(&name.len());
        match !reserved && fits && name.chars().all(allowed) {
            true => Ok(()),
            false => Err(Refusal::BadRendition(name.to_owned())),
        }
    }
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
