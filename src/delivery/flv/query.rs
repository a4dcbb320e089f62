//! What a viewer asks for: the parameters of `/live/ROOM.flv`.

use std::time::Duration;

use crate::live::{broadcast, track};
use crate::media::track::{Kind, VIDEO};

/// How a viewer wants to watch, from the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::delivery) struct Query<'a> {
    rendition: Option<&'a str>,
    audio_only: bool,
    /// Wait for the next key frame instead of a fast start.
    pub(super) wait: bool,
    /// For how long pictures wait for others, in place of what the node is set to.
    pub(super) merge: Option<Duration>,
}

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::delivery) enum Refusal {
    /// A parameter has a value that means nothing.
    #[error("the parameter {name} may be {allowed}, or absent")]
    Parameter {
        name: &'static str,
        allowed: &'static str,
    },
    /// The room has no such rendition.
    #[error("the room has no such rendition: GET /rooms lists what there is")]
    Rendition,
    /// The room has nothing to watch in that way (yet).
    #[error("the room has no such track yet: ask again in a moment")]
    NoTrack,
}

/// What a hall shows.
pub(super) struct Selection {
    pub(super) video: Option<track::Consumer>,
    pub(super) audio: bool,
    /// For how long pictures wait for others.
    pub(super) merge: Duration,
}

/// True for times of which there are few, so that strangers open few halls.
pub(super) fn is_merge_ms(ms: u64) -> bool {
    ms <= 1000 && ms.is_multiple_of(50)
}

impl<'a> Query<'a> {
    pub(in crate::delivery) fn parse(query: &'a str) -> Result<Self, Refusal> {
        let mut parsed = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("rendition", name) => parsed.rendition = Some(name),
                ("audio", "only") => parsed.audio_only = true,
                ("audio", _) => {
                    let (name, allowed) = ("audio", "`only`");
                    return Err(Refusal::Parameter { name, allowed });
                }
                ("start", "live") => parsed.wait = true,
                ("merge", text) => {
                    let (name, allowed) = ("merge", "0, 50, 100 and so on to 1000 (ms)");
                    let ms = text.parse().ok().filter(|ms| is_merge_ms(*ms));
                    let ms = ms.ok_or(Refusal::Parameter { name, allowed })?;
                    parsed.merge = Some(Duration::from_millis(ms));
                }
                ("start", _) => {
                    let (name, allowed) = ("start", "`live`");
                    return Err(Refusal::Parameter { name, allowed });
                }
                // Tokens and players' own marks are none of our business.
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// What of `broadcast` is meant, where pictures wait for `merge` unless it says otherwise.
    pub(super) fn select(
        &self,
        broadcast: &broadcast::Consumer,
        merge: Duration,
    ) -> Result<Selection, Refusal> {
        let tracks = broadcast.tracks();
        let mut videos = tracks
            .iter()
            .filter(|track| track.info().kind == Kind::Video);
        let video = match self.rendition {
            Some(name) => {
                let named = videos.find(|track| &*track.info().name == name);
                Some(named.ok_or(Refusal::Rendition)?)
            }
            // Every node must choose alike, whatever it knows of them and in which order they came.
            None => {
                let plain = videos.clone().find(|track| &*track.info().name == VIDEO);
                plain.or_else(|| videos.next())
            }
        };
        let audio = tracks.iter().any(|track| track.info().kind == Kind::Audio);
        let video = video.filter(|_| !self.audio_only).cloned();
        if video.is_none() && !audio {
            return Err(Refusal::NoTrack);
        }
        Ok(Selection {
            video,
            audio: true,
            merge: self.merge.unwrap_or(merge),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{Config, Store};
    use crate::media::broadcast::{self, Info, Profile};
    use crate::media::track::Info as TrackInfo;
    use crate::media::{RoomName, VIDEO_TIMESCALE};

    #[test]
    fn plain_push_is_what_comes_unasked_in_whatever_order_renditions_begin() {
        for (names, expected) in [
            (&["360p", VIDEO, "720p"][..], VIDEO),
            (&[VIDEO, "360p"], VIDEO),
            (&["720p", "360p"], "720p"),
        ] {
            let store = Store::new(Config::default());
            let producer = store.publish(Info {
                room: RoomName::parse("r").unwrap(),
                kind: broadcast::Kind::Show,
                epoch: "e".into(),
                started_us: 0,
                timing: Profile::default().timing(),
            });
            let producer = producer.unwrap();
            let tracks: Vec<_> = names
                .iter()
                .map(|name| {
                    producer.create_track(TrackInfo {
                        name: (*name).into(),
                        kind: Kind::Video,
                        timescale: VIDEO_TIMESCALE,
                    })
                })
                .collect();
            let select = |query: &str| {
                let query = Query::parse(query).unwrap();
                let selection = query.select(&producer.consumer(), Duration::ZERO);
                selection.map(|selection| selection.video.unwrap().info().name.clone())
            };
            assert_eq!(select("").as_deref(), Ok(expected));
            assert_eq!(select("rendition=360p").as_deref(), Ok("360p"));
            assert_eq!(select("rendition=no"), Err(Refusal::Rendition));
            drop(tracks);
        }
    }
}
