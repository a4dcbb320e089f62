use std::collections::HashMap;

use tokio::sync::watch;

use super::*;
use crate::ingest::publisher::studio::{Encoder, Read, Studio, check_track, house, read, request};
use crate::ingest::publisher::{Error, Revoked};
use crate::live::track::{Event, GroupProducer, Producer, Reader, Start};
use crate::live::{Config as LiveConfig, Store};
use crate::media::broadcast::Profile;

/// What a relay does: the tracks of one store, in another one.
struct Mirror {
    broadcast: Option<broadcast::Producer>,
    tracks: HashMap<String, (Reader, Producer, Option<GroupProducer>)>,
}

impl Mirror {
    fn pump(&mut self, from: &broadcast::Consumer) {
        let Some(broadcast) = &self.broadcast else {
            return;
        };
        for track in from.tracks() {
            let name = track.info().name.to_string();
            let (reader, producer, group) = self.tracks.entry(name).or_insert_with(|| {
                let producer = broadcast.create_track(track.info().clone()).unwrap();
                (track.read_from(Start::Oldest), producer, None)
            });
            let mut events = Vec::new();
            reader.read(&mut events, usize::MAX);
            for event in events {
                match event {
                    Event::Group(head) => *group = producer.group((*head).clone()),
                    // Nothing is taken once another writer has the broadcast.
                    Event::Frame(frame) => {
                        let _taken = group.as_ref().map(|group| group.append_shared(frame));
                    }
                    Event::GroupEnd => {
                        let _taken = group.take().map(GroupProducer::finish);
                    }
                    Event::Skipped | Event::Ended => panic!("the origin goes on"),
                }
            }
        }
    }

    /// The relay lets go of a room.
    fn drop_all(&mut self) {
        self.tracks.clear();
        self.broadcast = None;
    }
}

/// An origin with its encoder, and one that stands by with another.
struct Pair {
    origin: Studio,
    host: Encoder,
    mirror: Mirror,
    store: Store,
    standby: Room,
    encoder: Encoder,
    is_cut: bool,
}

impl Pair {
    fn new() -> Self {
        let mut origin = Studio::new(30.0, 2.0, 48_000);
        origin.room.leave(origin.place, origin.now);
        let host = Encoder::join(&mut origin.room, &request(None), 0, origin.now);
        let store = Store::new(LiveConfig::default());
        let info = origin.broadcast.info().clone();
        let broadcast = store.publish(info).unwrap();
        let (feed, now) = (broadcast.consumer(), origin.now);
        let config = Config::default();
        let mut standby = Room::following(feed, config, house(&store), now);
        let encoder = Encoder::join(&mut standby, &request(None), 9_000_000, now);
        let mirror = Mirror {
            broadcast: Some(broadcast),
            tracks: HashMap::new(),
        };
        Self {
            origin,
            host,
            mirror,
            store,
            standby,
            encoder,
            is_cut: false,
        }
    }

    /// Both encoders send; the feed comes unless it is cut.
    fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds * 30.0) as u32 {
            let next_us = self.origin.now.us + 33_333;
            self.origin.advance_to(next_us);
            let now = self.origin.now;
            if !self.is_cut {
                self.origin.room.poll(false, now);
                self.host.send(&mut self.origin.room, now);
                self.mirror.pump(&self.origin.broadcast);
            }
            self.standby.poll(true, now);
            self.encoder.send(&mut self.standby, now);
        }
    }

    fn groups(&self, track: &str) -> Vec<Read> {
        read(&self.store.room("r").unwrap(), track)
    }
}

#[test]
fn standby_goes_on_with_a_lost_show() {
    let mut pair = Pair::new();
    pair.run(9.5);
    assert!(!pair.standby.is_live());
    let feed = pair.standby.status(pair.origin.now).unwrap().feed;
    assert!(feed.is_some_and(|feed| feed.age_ms < 300));
    let before = pair.groups("video").last().unwrap().head.id;
    pair.is_cut = true;
    pair.run(1.5);
    assert!(!pair.standby.is_live(), "a short silence is no loss");
    pair.run(3.0);
    assert!(pair.standby.is_live());
    pair.mirror.drop_all();
    pair.run(3.0);

    let show = pair.store.room("r").unwrap();
    assert_eq!((show.term(), show.is_ended()), (1, false));
    let (video, audio) = (pair.groups("video"), pair.groups("audio"));
    check_track(&video, 90_000, &Profile::Low.timing());
    check_track(&audio, 48_000, &Profile::Low.timing());
    for groups in [&video, &audio] {
        let last = &groups.last().unwrap().head;
        assert_eq!((last.discontinuities, last.init_id), (1, 1));
        assert!(last.id > before);
    }
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
}

#[test]
fn silence_of_the_host_is_a_loss_too() {
    let mut pair = Pair::new();
    pair.run(5.0);
    // The origin lives and fills its playlist without media.
    pair.host.muted = true;
    pair.run(6.0);
    assert!(pair.standby.is_live());
    let video = pair.groups("video");
    check_track(&video, 90_000, &Profile::Low.timing());
    assert_eq!(video.last().unwrap().head.discontinuities, 1);
}

#[test]
fn node_that_comes_back_yields_to_its_successor() {
    let mut origin = Studio::new(30.0, 2.0, 48_000);
    origin.run(5.0);
    let (successor, _tracks) = origin.store.succeed(&origin.broadcast, 1).unwrap();
    origin.room.poll(true, origin.now);
    assert!(!origin.room.is_live() && origin.room.is_open());
    let unit = origin.unit(5000, true, bytes::Bytes::from_static(&[1; 10]));
    assert_eq!(origin.room.video(origin.place, unit, origin.now), Ok(()));
    assert_eq!(origin.broadcast.term(), 1);
    drop(successor);
    assert!(origin.room.poll(true, origin.now).is_none());
    let unit = origin.unit(5033, true, bytes::Bytes::from_static(&[1; 10]));
    let refused = origin.room.video(origin.place, unit, origin.now);
    assert_eq!(refused, Err(Error::Revoked(Revoked::Ended)));
}

#[test]
fn nobody_goes_on_with_a_show_that_was_never_seen() {
    let store = Store::new(LiveConfig::default());
    let studio = Studio::new(30.0, 2.0, 48_000);
    let unseen = store.publish(studio.broadcast.info().clone()).unwrap();
    let (feed, mut now) = (unseen.consumer(), studio.now);
    let mut room = Room::following(feed, Config::default(), house(&store), now);
    let place = room
        .join(&request(None), watch::channel(None).0, now)
        .unwrap();
    for _ in 0..20 {
        now.us += 1_000_000;
        let unit = studio.unit(0, true, bytes::Bytes::from_static(&[1; 10]));
        room.video(place, unit, now).unwrap();
    }
    assert!(!room.is_live() && !unseen.is_superseded());
}
