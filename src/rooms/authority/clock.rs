//! The times of a room: the origin's clocks, and where its show stands.

use crate::live::Store;
use crate::live::track::{Event, Start};
use crate::media::track::Kind;
use crate::media::{RoomName, ticks_to_ms};
use crate::runtime::clock;

/// A moment, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Now {
    /// Milliseconds of a clock that never goes back: for rhythms.
    pub(super) ms: i64,
    /// Milliseconds since 1970: for what others are told.
    pub(super) unix_ms: i64,
}

/// Reads both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: clock::Instant,
}

impl Clock {
    /// A clock whose zero is now.
    pub(super) fn start() -> Self {
        let started = clock::now();
        Self { started }
    }

    pub(super) fn now(&self) -> Now {
        let since = clock::now().saturating_duration_since(self.started);
        Now {
            ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            unix_ms: clock::unix_us() / 1000,
        }
    }

    /// When the monotonic clock shows `ms`.
    pub(super) fn instant(&self, ms: i64) -> clock::Instant {
        self.started + std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// Where a show stands, in milliseconds of its timeline, and how that timeline lies on the capture
/// clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MediaClock {
    /// The newest picture, or sound where there are no pictures.
    pub(super) newest_ms: i64,
    /// Capture time minus media time.
    pub(super) offset_ms: i64,
}

impl MediaClock {
    /// Of the show of `room`; `None` while there is none.
    pub(super) fn read(store: &Store, room: &RoomName) -> Option<Self> {
        let tracks = store.room(room.as_str())?.tracks();
        let of = |kind| tracks.iter().find(|track| track.info().kind == kind);
        let track = of(Kind::Video).or_else(|| of(Kind::Audio))?;
        let timescale = track.info().timescale;
        let newest = track.newest_frame()?;
        let newest_pts = newest.dts.saturating_add(newest.composition.into());
        let head = track.newest_head()?;
        // PROGRAM-DATE-TIME is that of the group's first picture.
        let mut first = Vec::new();
        track.read_from(Start::At(head.id, 0)).read(&mut first, 2);
        let first_pts = first.iter().find_map(|event| match event {
            Event::Frame(frame) => Some(frame.dts.saturating_add(frame.composition.into())),
            _ => None,
        });
        let first_ms = ticks_to_ms(first_pts.unwrap_or(head.dts), timescale);
        Some(Self {
            newest_ms: ticks_to_ms(newest_pts, timescale),
            offset_ms: (head.wall_us / 1000).saturating_sub(first_ms),
        })
    }

    /// When that moment of the show was captured, in milliseconds since 1970.
    pub(super) fn wall_ms(&self, media_ms: i64) -> i64 {
        media_ms.saturating_add(self.offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::live::Config;
    use crate::media::Frame;
    use crate::media::broadcast::{Info, Profile};
    use crate::media::frame::{Flags, Stamps};
    use crate::media::group::{Head, Id};
    use crate::media::track::Info as TrackInfo;

    #[test]
    fn media_time_is_that_of_the_newest_picture() {
        let store = Store::new(Config::default());
        let room = RoomName::parse("r").unwrap();
        assert_eq!(MediaClock::read(&store, &room), None);
        let show = store.publish(Info {
            room: room.clone(),
            kind: crate::media::broadcast::Kind::Show,
            epoch: "e".into(),
            started_us: 0,
            timing: Profile::Low.timing(),
        });
        let show = show.unwrap();
        let video = show.create_track(TrackInfo {
            name: "video".into(),
            kind: Kind::Video,
            timescale: 90_000,
        });
        let video = video.unwrap();
        let group = video.group(Head {
            id: Id(4),
            discontinuities: 0,
            init_id: 0,
            init: Bytes::new(),
            wall_us: 1_000_000_000,
            dts: 900_000,
            independent: true,
        });
        let group = group.unwrap();
        for (dts, composition) in [(900_000, 6000), (903_000, 12_000)] {
            group.append(Frame {
                dts,
                composition,
                duration: 3000,
                flags: Flags::KEY,
                stamps: Stamps::default(),
                payload: Bytes::new(),
            });
        }
        let clock = MediaClock::read(&store, &room).unwrap();
        assert_eq!(clock.newest_ms, 10_167);
        assert_eq!(clock.wall_ms(10_067), 1_000_000);
    }
}
