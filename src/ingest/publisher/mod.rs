//! The publisher: an encoder's timed access units become a broadcast in `live`.
//!
//! Here the origin decides everything that later nodes only read (D1): broadcast time, cut marks,
//! initializations, discontinuities, stamps and the stretches without media. Knows nothing of RTMP,
//! FLV, sockets, playlists or viewers: a driver such as `ingest::rtmp` hands in access units.
//!
//! Invariants:
//! - A frame is in `live` when [`Publisher::video`] or [`Publisher::audio`] returns: none is held
//!   back for its successor.
//! - Decode times grow strictly in each track; no part is longer than the profile's part target.
//! - Group numbers are the same in all tracks and never go back while the broadcast lives, over
//!   reconnects, take-overs, backups and other nodes too (D8, R1.1).
//! - At most one encoder feeds a rendition, and at most one node a show: the one with the higher
//!   term ([`crate::live::broadcast::State`]).

mod access;
mod closed;
mod continuing;
mod cutter;
mod desk;
mod error;
mod feed;
mod groups;
mod handle;
mod meter;
mod metrics;
mod pace;
mod rate;
mod request;
mod room;
mod seats;
mod show;
mod source;
mod status;
#[cfg(test)]
mod studio;
mod succession;
mod timeline;
mod track;
mod turns;
mod waits;

use serde::{Deserialize, Serialize};

use crate::media::broadcast::Profile;

pub use desk::{Desk, Parts};
pub use error::{Error, Refusal, Revoked};
pub use handle::Publisher;
pub use request::{Metadata, Request};
pub use status::{FeedStatus, PublisherStatus, RoomStatus};
pub use timeline::Repairs;
pub use turns::{ReturnToPrimary, Role};
pub use waits::Heard;

/// How broadcasts are cut, and how long they outlive their encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Part and segment lengths of new broadcasts (D5).
    pub profile: Profile,
    /// What happens when somebody publishes to a room that is being published to.
    pub on_busy: OnBusy,
    /// When the primary encoder gets the air back from its backup (`?backup=1`).
    pub return_to_primary: ReturnToPrimary,
    /// How long a lost connection may be away and still continue its broadcast, in seconds. 30: a
    /// phone that changes from Wi-Fi to cellular, or an encoder that is started again.
    pub resume_seconds: u32,
    /// How long a connected encoder may be silent before its broadcast ends, in seconds (R1.14).
    pub end_after_silence_seconds: u32,
    /// How long an ended broadcast stays readable, in seconds, so that players read its ENDLIST.
    pub linger_seconds: u32,
    /// The most video renditions in one room, as each one costs every edge a subscription.
    pub renditions_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            on_busy: OnBusy::default(),
            return_to_primary: ReturnToPrimary::default(),
            resume_seconds: 30,
            end_after_silence_seconds: 60,
            linger_seconds: 60,
            renditions_max: 8,
        }
    }
}

/// What happens to a second publisher of one place: of a rendition, or of its backup (R3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBusy {
    /// It is turned away with a reason that the encoder shows.
    #[default]
    Refuse,
    /// It continues the broadcast and the first one is closed: a host whose old connection hangs
    /// gets back in at once.
    Takeover,
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy)]
struct Now {
    /// Monotonic, in microseconds since the desk was opened.
    us: i64,
    /// Wall clock, in microseconds since 1970.
    unix_us: i64,
}
