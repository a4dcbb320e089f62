//! `/rooms`: the live rooms, for the front page and for whoever wants a list.

use serde::Serialize;

use crate::delivery::hls::Shelves;
use crate::delivery::viewers::Audiences;
use crate::live::{Store, broadcast, track};
use crate::media::codec::Config;
use crate::media::track::Kind;

/// The answer of `/rooms`.
#[derive(Debug, Serialize)]
pub(super) struct List {
    /// The node that answers.
    node: String,
    rooms: Vec<Room>,
}

#[derive(Debug, Serialize)]
struct Room {
    room: String,
    epoch: String,
    /// When the show began, in milliseconds since 1970.
    since_ms: i64,
    viewers: u64,
    tracks: Vec<Track>,
}

/// A track; what only its media tells is absent until this node has seen some.
#[derive(Debug, Serialize)]
struct Track {
    name: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    codec: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_rate: Option<f64>,
}

impl List {
    pub(super) fn of(store: &Store, audiences: &Audiences, known: &Shelves, node: &str) -> Self {
        let broadcasts = store.shows();
        let live = broadcasts.iter().filter(|broadcast| !broadcast.is_ended());
        Self {
            node: node.to_owned(),
            rooms: live
                .map(|broadcast| Room::of(broadcast, audiences, known))
                .collect(),
        }
    }
}

impl Room {
    fn of(broadcast: &broadcast::Consumer, audiences: &Audiences, known: &Shelves) -> Self {
        let info = broadcast.info();
        let tracks = broadcast.tracks();
        let tracks = tracks.iter().map(|track| {
            let config = newest_config(track).or_else(|| known.config(broadcast, track));
            Track::of(track, config)
        });
        let viewers = audiences.viewers(info.room.as_str());
        Self {
            room: info.room.to_string(),
            epoch: info.epoch.to_string(),
            since_ms: info.started_us / 1000,
            viewers: viewers.hls + viewers.flv,
            tracks: tracks.collect(),
        }
    }
}

/// The configuration in force, while the node holds some of the track.
fn newest_config(track: &track::Consumer) -> Option<Config> {
    Config::decode(track.newest_head()?.init.clone()).ok()
}

impl Track {
    fn of(track: &track::Consumer, config: Option<Config>) -> Self {
        let video = match &config {
            Some(Config::Video(video)) => Some(video),
            _ => None,
        };
        let rate = video
            .map(|video| video.frame_rate_milli)
            .filter(|&rate| rate > 0);
        Self {
            name: track.info().name.to_string(),
            kind: track.info().kind,
            codec: config.as_ref().map(|config| config.name().to_owned()),
            width: video.map(|video| video.width),
            height: video.map(|video| video.height),
            frame_rate: rate.map(|rate| f64::from(rate) / 1000.0),
        }
    }
}
