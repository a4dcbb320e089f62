//! The room's events as a broadcast: a data track for each class, one event a frame.

use bytes::Bytes;

use crate::live::broadcast;
use crate::live::track::{GroupProducer, Producer};
use crate::live::{Error, Store};
use crate::media::broadcast::{Info, Profile};
use crate::media::frame::{Flags, Stamps};
use crate::media::group::{Head, Id};
use crate::media::track::{Info as TrackInfo, Kind};
use crate::media::{Class, Frame, RoomName, broadcast as model};
use crate::protocol::interact::Event;
use crate::rooms::authority::clock::Now;

/// Times are milliseconds since the epoch began.
const TIMESCALE: u32 = 1000;

/// A group is closed when it is this old: what a reader that was interrupted has to fetch again.
const GROUP_MS: i64 = 2000;

/// Tracks, and the classes they carry besides their own.
const CLASSES: [Class; 4] = [Class::Order, Class::Program, Class::Comment, Class::Total];

/// The writers of one room's events. Dropping it ends the broadcast.
#[derive(Debug)]
pub(super) struct Tracks {
    broadcast: broadcast::Producer,
    tracks: Vec<Track>,
    began: Now,
}

#[derive(Debug)]
struct Track {
    producer: Producer,
    next: Id,
    group: Option<(GroupProducer, i64)>,
    last_dts: i64,
}

impl Tracks {
    /// Publishes the events of `room`. `epoch_ms` names the epoch, in milliseconds since 1970.
    pub(super) fn publish(
        store: &Store,
        room: &RoomName,
        epoch_ms: i64,
        now: Now,
    ) -> Result<Self, Error> {
        let started_us = epoch_ms.saturating_mul(1000);
        let broadcast = store.publish(Info {
            room: room.clone(),
            kind: model::Kind::Events,
            epoch: model::epoch_at(started_us),
            started_us,
            timing: Profile::Low.timing(),
        })?;
        let track = |class: Class| {
            let producer = broadcast.create_track(TrackInfo {
                name: format!("c{}", u8::from(class)).into(),
                kind: Kind::Data(class),
                timescale: TIMESCALE,
            })?;
            Ok(Track {
                producer,
                next: Id(0),
                group: None,
                last_dts: -1,
            })
        };
        let tracks = CLASSES.into_iter().map(track).collect::<Result<_, Error>>();
        Ok(Self {
            tracks: tracks?,
            broadcast,
            began: now,
        })
    }

    /// What the broadcast is.
    pub(super) fn info(&self) -> &Info {
        self.broadcast.info()
    }

    /// Appends an event to the track of its class; what is meant for all in class 2 goes with the
    /// comments.
    pub(super) fn append(&mut self, event: &Event, now: Now) {
        let class = match event.class {
            Class::Personal => Class::Comment,
            class => class,
        };
        let since_ms = now.ms - self.began.ms;
        let started_us = self.broadcast.info().started_us;
        let track = self
            .tracks
            .iter_mut()
            .find(|track| track.producer.info().kind == Kind::Data(class))
            .expect("each class has a track");
        track.append(event.to_json().into(), since_ms, started_us);
    }

    /// Closes groups that are old enough. Returns when the next one will be.
    pub(super) fn poll(&mut self, now: Now) -> Option<i64> {
        let since_ms = now.ms - self.began.ms;
        let due = self
            .tracks
            .iter_mut()
            .filter_map(|track| track.poll(since_ms));
        due.min().map(|due_ms| due_ms + self.began.ms)
    }
}

impl Track {
    fn append(&mut self, payload: Bytes, since_ms: i64, started_us: i64) {
        let dts = since_ms.max(self.last_dts + 1);
        self.last_dts = dts;
        self.poll(dts);
        if self.group.is_none() {
            self.open(dts, started_us);
        }
        let Some((group, _)) = &self.group else {
            return;
        };
        // Edges tell news from what they were told before by it, and measure the way.
        let stamps = Stamps {
            ingest_us: started_us.saturating_add(since_ms.saturating_mul(1000)),
            ..Stamps::default()
        };
        group.append(Frame {
            dts,
            composition: 0,
            duration: 0,
            flags: Flags::KEY,
            stamps,
            payload,
        });
    }

    fn open(&mut self, dts: i64, started_us: i64) {
        let head = Head {
            id: self.next,
            discontinuities: 0,
            init_id: 0,
            init: Bytes::new(),
            wall_us: started_us.saturating_add(dts.saturating_mul(1000)),
            dts,
            independent: true,
        };
        self.next = self.next.next();
        self.group = self.producer.group(head).map(|group| (group, dts));
    }

    fn poll(&mut self, since_ms: i64) -> Option<i64> {
        let (group, began) = self.group.take()?;
        let due = began + GROUP_MS;
        if due <= since_ms {
            group.finish();
            return None;
        }
        self.group = Some((group, began));
        Some(due)
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        // An unfinished group would count as missing.
        if let Some((group, _)) = self.group.take() {
            group.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::live::Config;
    use crate::live::track::{Event as Read, Start};
    use crate::protocol::interact::event::Kind as About;

    fn at(ms: i64) -> Now {
        let unix_ms = 1_000_000 + ms;
        Now { ms, unix_ms }
    }

    #[test]
    fn events_are_frames_in_groups_of_two_seconds() {
        let store = Store::new(Config::default());
        let room = RoomName::parse("r").unwrap();
        let mut tracks = Tracks::publish(&store, &room, 1_000_010, at(10)).unwrap();
        let mut append = |ms, id: &str, class| {
            let event = Event::new(About::Notice, class, id, ms, json!({}));
            tracks.append(&event, at(ms));
        };
        append(10, "a", Class::Program);
        append(10, "b", Class::Program);
        append(500, "c", Class::Program);
        append(4000, "d", Class::Program);
        append(4000, "x", Class::Personal);
        assert_eq!(tracks.poll(at(5000)), Some(5990 + 10));
        assert_eq!(tracks.poll(at(6000)), None);
        drop(tracks);
        assert!(store.events("r").is_none());

        let mut tracks = Tracks::publish(&store, &room, 1_000_010, at(10)).unwrap();
        for (ms, id) in [(10, "a"), (10, "b"), (2020, "c")] {
            let event = Event::new(About::Notice, Class::Program, id, ms, json!({}));
            tracks.append(&event, at(ms));
        }
        let events = store.events("r").unwrap();
        assert_eq!(events.tracks().len(), 4);
        let mut reader = events.track("c1").unwrap().read_from(Start::Oldest);
        let mut read = Vec::new();
        reader.read(&mut read, 100);
        let told: Vec<String> = read
            .iter()
            .map(|event| match event {
                Read::Group(head) => format!("group {} at {}", head.id, head.dts),
                Read::Frame(frame) => {
                    let event: Event = serde_json::from_slice(&frame.payload).unwrap();
                    format!("{} at {}", event.id, frame.dts)
                }
                other => format!("{other:?}"),
            })
            .collect();
        let expect = [
            "group 0 at 0",
            "a at 0",
            "b at 1",
            "GroupEnd",
            "group 1 at 2010",
            "c at 2010",
        ];
        assert_eq!(told, expect);
    }
}
