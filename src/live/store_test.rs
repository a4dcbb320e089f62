use bytes::Bytes;

use super::*;
use crate::live::track::{Event, Reader, Start};
use crate::media::broadcast::Profile;
use crate::media::frame::{Flags, Frame, Stamps};
use crate::media::group::Head;
use crate::media::track::{Info as TrackInfo, Kind as TrackKind};

fn info(room: &str) -> Info {
    Info {
        room: RoomName::parse(room).unwrap(),
        kind: Kind::Show,
        epoch: "e".into(),
        started_us: 0,
        timing: Profile::Low.timing(),
    }
}

fn video() -> TrackInfo {
    TrackInfo {
        name: "video".into(),
        kind: TrackKind::Video,
        timescale: 1000,
    }
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

fn frame(dts: i64) -> Frame {
    Frame {
        dts,
        composition: 0,
        duration: 40,
        flags: Flags::KEY,
        stamps: Stamps::default(),
        payload: Bytes::from_static(&[0; 100]),
    }
}

/// Times of the frames, with `.` where a group ends and `$` where the track does.
fn read(reader: &mut Reader) -> String {
    let mut events = Vec::new();
    reader.read(&mut events, 1000);
    let text = |event: &Event| match event {
        Event::Group(_) => None,
        Event::Frame(frame) => Some(frame.dts.to_string()),
        Event::GroupEnd => Some(".".into()),
        Event::Skipped => Some("!".into()),
        Event::Ended => Some("$".into()),
    };
    events.iter().filter_map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn readers_stay_when_the_writing_changes_hands() {
    let store = Store::new(Config::default());
    let first = store.publish(info("r")).unwrap();
    let first_video = first.create_track(video()).unwrap();
    let group = first_video.group(head(0)).unwrap();
    group.append(frame(0));
    let broadcast = store.room("r").unwrap();
    let mut reader = first_video.consumer().read_from(Start::Oldest);
    assert_eq!(read(&mut reader), "0");

    let (second, mut tracks) = store.succeed(&broadcast, 1).unwrap();
    assert!(store.room("r").unwrap().is(&broadcast));
    assert_eq!((broadcast.term(), tracks.len()), (1, 1));
    let second_video = tracks.remove(0);
    assert!(second_video.group(head(0)).is_none(), "it is here already");
    let group = second_video.group(head(1)).unwrap();
    group.append(frame(2000));
    assert_eq!(read(&mut reader), ". 2000");
    assert!(!second.is_superseded());
}

#[test]
fn former_writer_has_no_effect() {
    let store = Store::new(Config::default());
    let first = store.publish(info("r")).unwrap();
    let first_video = first.create_track(video()).unwrap();
    let group = first_video.group(head(0)).unwrap();
    let broadcast = store.room("r").unwrap();
    let (second, tracks) = store.succeed(&broadcast, 1).unwrap();
    let second_group = tracks[0].group(head(1)).unwrap();

    assert!(first.is_superseded());
    assert!(!group.append(frame(0)));
    assert!(first_video.group(head(2)).is_none());
    first_video.clear();
    first_video.set_start(Id(7));
    let audio = TrackInfo {
        name: "audio".into(),
        ..video()
    };
    let room = RoomName::parse("r").unwrap();
    let refused = first.create_track(audio.clone()).unwrap_err();
    assert_eq!(refused, Error::Superseded(room));
    first.set_term(9);
    first.set_followed(true);
    drop((group, first_video, first));
    assert!(second_group.append(frame(2000)));
    assert!(!broadcast.is_ended() && !broadcast.is_followed());
    assert_eq!(broadcast.term(), 1);
    assert!(second.create_track(audio).is_ok());
    drop(second);
    assert!(broadcast.is_ended() && store.room("r").is_none());
}

#[test]
fn only_a_higher_term_takes_over() {
    let store = Store::new(Config::default());
    let first = store.publish(info("r")).unwrap();
    let broadcast = store.room("r").unwrap();
    first.set_term(3);
    assert!(store.succeed(&broadcast, 3).is_err());
    let second = store.succeed(&broadcast, 4).unwrap();
    assert!(store.succeed(&broadcast, 4).is_err());
    drop(second);
    assert!(store.succeed(&broadcast, 5).is_err(), "it is over");
    let _other = store.publish(info("r")).unwrap();
    assert!(
        store.succeed(&broadcast, 6).is_err(),
        "the room has another"
    );
}

#[test]
fn ended_broadcast_makes_room_for_the_next() {
    let store = Store::new(Config::default());
    let first = store.publish(info("r")).unwrap();
    let next = Info {
        epoch: "f".into(),
        ..info("r")
    };
    assert!(store.publish(next.clone()).is_err());
    first.end();
    let _second = store.publish(next).unwrap();
    drop(first);
    assert!(store.has_ended("r", "e"));
    assert_eq!(&*store.room("r").unwrap().info().epoch, "f");
}
