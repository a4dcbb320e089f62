//! The live store: the last minute of every broadcast, stored once, read by all.
//!
//! Writers ([`broadcast::Producer`], [`track::Producer`]) are ingest and relay-pull; readers
//! ([`track::Reader`]) are packaging, relay-serve, fan-out and recording. Deliberately knows no
//! protocol, no codec, no playlist and no viewer: it does not grow with viewers.
//!
//! Invariants:
//! - A frame is stored once as `Arc<Frame>`; every reader shares it.
//! - One writer a track; when another takes over ([`Store::succeed`]), the former one has no effect
//!   and readers go on as if nothing had happened.
//! - Groups may arrive in any order (relay streams race); readers see them in order.
//! - Each track is bounded by media time ([`Config::window_seconds`], counted from a group's end)
//!   and by bytes ([`Config::window_bytes`]), whichever is less; the newest group always stays. A
//!   reader that falls out of the window is told ([`track::Event::Skipped`]) and goes on at the
//!   newest key frame.
//! - A change wakes each waiting reader once, however many frames it brought.

pub mod broadcast;
mod exchange;
mod reader;
mod ring;
mod store;
pub mod track;

use serde::{Deserialize, Serialize};

pub use exchange::{Answer, AskError, Authority, Exchange, QUESTION_BYTES_MAX, Question};
pub use store::{FetchError, Store, Upstream};

/// Bounds of the live window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much of each track is kept, in whole groups, in seconds of media. 60: what a late
    /// player, a cold edge and a short stall need.
    pub window_seconds: u32,
    /// The most payload bytes a track may hold. 96 MiB: 60 s at 12 Mbit/s.
    pub window_bytes: usize,
    /// The most rooms a node carries at once; further ones are refused.
    pub rooms_max: usize,
    /// The most tracks in a broadcast; further ones are refused.
    pub tracks_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_seconds: 60,
            window_bytes: 96 << 20,
            rooms_max: 10_000,
            tracks_max: 16,
        }
    }
}

/// Why the store refuses a writer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The room has a broadcast already.
    #[error("room {0} is live already")]
    RoomBusy(crate::media::RoomName),
    /// [`Config::rooms_max`] rooms are live.
    #[error("this node carries its limit of {0} rooms")]
    TooManyRooms(usize),
    /// [`Config::tracks_max`] tracks exist.
    #[error("the broadcast has its limit of {0} tracks")]
    TooManyTracks(usize),
    /// The broadcast has a track of that name.
    #[error("track {0} exists already")]
    TrackExists(std::sync::Arc<str>),
    /// The broadcast is over, or somebody else writes it now.
    #[error("the broadcast of room {0} is over or has another writer")]
    Superseded(crate::media::RoomName),
}
