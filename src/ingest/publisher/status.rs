//! What the admin API shows of a room's encoders.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::ingest::publisher::feed::Pulse;
use crate::ingest::publisher::room::{Room, Stage};
use crate::ingest::publisher::{Now, Repairs, Role};
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
    /// Where the show comes from another node and the encoders here stand by.
    pub feed: Option<FeedStatus>,
    /// The encoders that are connected, the first rendition first.
    pub publishers: Vec<PublisherStatus>,
}

/// A show that another node feeds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FeedStatus {
    /// How long ago its newest media came, in milliseconds.
    pub age_ms: i64,
}

/// One connected encoder, over the last seconds.
#[derive(Debug, Clone, Serialize)]
pub struct PublisherStatus {
    /// Its rendition; `None` for a plain push.
    pub rendition: Option<String>,
    /// Its place: the primary encoder of the rendition, or its backup.
    pub seat: Role,
    /// It feeds the show; else it stands by.
    pub on_air: bool,
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

impl Room {
    /// What the admin API shows; `None` once the show is over.
    pub(super) fn status(&mut self, now: Now) -> Option<RoomStatus> {
        let mut publishers = Vec::new();
        let (stalled, feed) = match &mut self.stage {
            Stage::Live(live) => {
                let stalled = live.show.is_stalled();
                for seat in &mut live.seats {
                    let learnt = seat.video.map(|index| live.show.frames_per_second(index));
                    publishers.extend(seat.status(stalled, learnt, now));
                }
                (stalled, None)
            }
            Stage::Following(feed, seats) => {
                publishers.extend(
                    seats
                        .iter_mut()
                        .flat_map(|seat| seat.status(false, None, now)),
                );
                let age_ms = (now.us - feed.heard_us()) / 1000;
                (feed.pulse(now) == Pulse::Lost, Some(FeedStatus { age_ms }))
            }
            Stage::Lingering { .. } | Stage::Gone => return None,
        };
        Some(RoomStatus {
            room: self.name.clone(),
            epoch: self.epoch.clone(),
            stalled,
            feed,
            publishers,
        })
    }
}
