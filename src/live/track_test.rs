use bytes::Bytes;

use super::*;
use crate::live::Store;
use crate::media::broadcast::{Info as BroadcastInfo, Kind as Holds, Profile, RoomName};
use crate::media::frame::Flags;
use crate::media::track::Kind;

fn track(config: Config) -> (crate::live::broadcast::Producer, Producer) {
    let store = Store::new(config);
    let broadcast = store
        .publish(BroadcastInfo {
            room: RoomName::parse("r").unwrap(),
            kind: Holds::Show,
            epoch: "e".into(),
            started_us: 0,
            timing: Profile::Low.timing(),
        })
        .unwrap();
    let info = Info {
        name: "video".into(),
        kind: Kind::Video,
        timescale: 1000,
    };
    let track = broadcast.create_track(info).unwrap();
    (broadcast, track)
}

fn head(id: u64) -> Head {
    Head {
        id: Id(id),
        discontinuities: 0,
        init_id: 0,
        init: Bytes::new(),
        wall_us: 0,
        dts: i64::try_from(id).unwrap() * 2000,
        independent: true,
    }
}

fn frame(dts: i64, key: bool) -> Frame {
    Frame {
        dts,
        composition: 0,
        duration: 40,
        flags: if key { Flags::KEY } else { Flags::default() },
        stamps: crate::media::frame::Stamps::default(),
        payload: Bytes::from_static(&[0; 100]),
    }
}

/// Events as a short text: `g3` group, `f6000` frame, `.` group end, `!` skipped, `$` ended.
fn read(reader: &mut Reader) -> String {
    let mut events = Vec::new();
    reader.read(&mut events, 1000);
    let text = |event: &Event| match event {
        Event::Group(head) => format!("g{}", head.id),
        Event::Frame(frame) => format!("f{}", frame.dts),
        Event::GroupEnd => ".".into(),
        Event::Skipped => "!".into(),
        Event::Ended => "$".into(),
    };
    events.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn readers_start_where_they_ask() {
    let (_broadcast, track) = track(Config::default());
    let first = track.group(head(0)).unwrap();
    first.append(frame(0, true));
    first.append(frame(40, false));
    first.finish();
    let second = track.group(head(1)).unwrap();
    second.append(frame(2000, true));
    second.append(frame(2040, false));
    let consumer = track.consumer();
    let mut oldest = consumer.read_from(Start::Oldest);
    let mut newest = consumer.read_from(Start::NewestKey);
    let mut next = consumer.read_from(Start::NextKey);
    let mut live = consumer.read_from(Start::Live);
    let mut at = consumer.read_from(Start::At(Id(0), 1));
    assert_eq!(read(&mut oldest), "g0 f0 f40 . g1 f2000 f2040");
    assert_eq!(read(&mut newest), "g1 f2000 f2040");
    assert_eq!(read(&mut at), "g0 f40 . g1 f2000 f2040");
    assert_eq!(read(&mut next), "");
    assert_eq!(read(&mut live), "");
    second.append(frame(2080, false));
    second.finish();
    let third = track.group(head(2)).unwrap();
    third.append(frame(4000, true));
    assert_eq!(read(&mut next), "g2 f4000");
    assert_eq!(read(&mut live), "g1 f2080 . g2 f4000");
    assert_eq!(*track.demand().borrow(), 5);
    drop((oldest, newest, next, live, at));
    assert_eq!(*track.demand().borrow(), 0);
}

#[test]
fn groups_before_the_window_are_refused() {
    let (_broadcast, track) = track(Config::default());
    track.set_start(Id(3));
    assert!(track.group(head(2)).is_none());
    assert!(
        track
            .group(head(3))
            .is_some_and(|group| group.append(frame(6000, true)))
    );
    assert!(track.group(head(3)).is_none(), "the group is here already");
}

#[test]
fn backfill_comes_before_the_live_group() {
    let (_broadcast, track) = track(Config::default());
    track.set_start(Id(3));
    let mut reader = track.consumer().read_from(Start::Oldest);
    let fifth = track.group(head(5)).unwrap();
    fifth.append(frame(10_000, true));
    assert_eq!(read(&mut reader), "");
    let third = track.group(head(3)).unwrap();
    third.append(frame(6000, true));
    third.finish();
    assert_eq!(read(&mut reader), "g3 f6000 .");
    track.miss(Id(4));
    assert_eq!(read(&mut reader), "! g5 f10000");
}

#[test]
fn window_is_bounded_by_time_and_bytes() {
    let (_broadcast, producer) = track(Config {
        window_seconds: 10,
        ..Config::default()
    });
    for id in 0..100 {
        let group = producer.group(head(id)).unwrap();
        group.append(frame(head(id).dts, true));
        group.finish();
    }
    assert_eq!(producer.consumer().range(), Some((Id(94), Id(99))));
    let (_broadcast, producer) = track(Config {
        window_bytes: 1000,
        ..Config::default()
    });
    for id in 0..100 {
        let group = producer.group(head(id)).unwrap();
        group.append(frame(head(id).dts, true));
        group.finish();
    }
    assert!(producer.consumer().status().bytes <= 1000 + 100 + size_of::<Frame>());
}

#[test]
fn group_that_stood_open_is_as_young_as_its_last_frame() {
    let (_broadcast, producer) = track(Config {
        window_seconds: 60,
        ..Config::default()
    });
    let at = |id: u64, dts: i64| {
        let group = producer.group(Head { dts, ..head(id) }).unwrap();
        group.append(frame(dts, true));
        group
    };
    let first = at(0, 0);
    first.append(frame(55_000, true));
    first.finish();
    at(1, 61_000).finish();
    assert_eq!(producer.consumer().range(), Some((Id(0), Id(1))));
    at(2, 600_000).finish();
    assert_eq!(producer.consumer().range(), Some((Id(2), Id(2))));
}

#[test]
fn groups_that_never_came_do_not_stop_the_window() {
    let (_broadcast, producer) = track(Config {
        window_seconds: 10,
        ..Config::default()
    });
    producer.set_start(Id(0));
    producer.miss(Id(0));
    for id in 1..100 {
        let group = producer.group(head(id)).unwrap();
        group.append(frame(head(id).dts, true));
        group.finish();
    }
    assert_eq!(producer.consumer().range(), Some((Id(94), Id(99))));
}

#[test]
fn slow_reader_goes_on_at_the_newest_key() {
    let (_broadcast, track) = track(Config {
        window_seconds: 4,
        ..Config::default()
    });
    let mut reader = track.consumer().read_from(Start::Oldest);
    for id in 0..10 {
        let group = track.group(head(id)).unwrap();
        group.append(frame(head(id).dts, true));
        group.finish();
        if id == 0 {
            assert_eq!(read(&mut reader), "g0 f0 .");
        }
    }
    assert_eq!(read(&mut reader), "! g9 f18000 .");
}

#[test]
fn end_is_told_after_the_last_frame() {
    let (_broadcast, track) = track(Config::default());
    let consumer = track.consumer();
    let group = track.group(head(0)).unwrap();
    group.append(frame(0, true));
    let mut reader = consumer.read_from(Start::Oldest);
    group.finish();
    drop(track);
    assert_eq!(read(&mut reader), "g0 f0 . $");
}

#[test]
fn cleared_track_ignores_writers_of_its_old_life() {
    let (_broadcast, track) = track(Config::default());
    let old = track.group(head(0)).unwrap();
    track.clear();
    assert!(!old.append(frame(0, true)));
    let mut reader = track.consumer().read_from(Start::Oldest);
    let new = track.group(head(0)).unwrap();
    drop(old);
    new.append(frame(0, true));
    assert_eq!(read(&mut reader), "g0 f0");
}

#[tokio::test]
async fn reader_is_woken_once_for_many_frames() {
    let (_broadcast, track) = track(Config::default());
    let mut reader = track.consumer().read_from(Start::Oldest);
    let group = track.group(head(0)).unwrap();
    group.append(frame(0, true));
    group.append(frame(40, false));
    reader.changed().await;
    assert_eq!(read(&mut reader), "g0 f0 f40");
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(5), reader.changed()).await;
    assert!(quiet.is_err());
}
