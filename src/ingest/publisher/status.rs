//! What the admin API shows of a room's encoders.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::ingest::publisher::Repairs;
use crate::media::RoomName;

/// A room as its encoders feed it.
#[derive(Debug, Clone, Serialize)]
pub struct RoomStatus {
    /// The room.
    pub room: RoomName,
    /// Its epoch.
    pub epoch: Arc<str>,
    /// Nothing is heard and the playlists go on without media.
    pub stalled: bool,
    /// The encoders that are connected, the first rendition first.
    pub publishers: Vec<PublisherStatus>,
}

/// One connected encoder, over the last seconds.
#[derive(Debug, Clone, Serialize)]
pub struct PublisherStatus {
    /// Its rendition; `None` for a plain push.
    pub rendition: Option<String>,
    /// Its address.
    pub peer: SocketAddr,
    /// What it calls itself.
    pub encoder: Option<String>,
    /// When it came, in microseconds since 1970.
    pub connected_us: i64,
    /// The room goes on without media.
    pub stalled: bool,
    /// Payload received, in kbit/s.
    pub bitrate_kbps: u64,
    /// Video frames received per second.
    pub frames_per_second: f64,
    /// The video frame rate that its stamps show, in frames per second.
    pub learnt_frames_per_second: Option<f64>,
    /// The distance of the last two key frames, in milliseconds.
    pub gop_ms: Option<i64>,
    /// How much faster its clock runs than ours, in parts per million; `None` in the first half
    /// minute.
    pub drift_ppm: Option<i64>,
    /// Repairs of its timestamps.
    pub repairs: Repairs,
    /// Its frames that were left out.
    pub dropped_frames: u64,
}
