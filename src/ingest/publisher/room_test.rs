use bytes::Bytes;

use super::*;
use crate::ingest::publisher::studio::{Studio, check_track, request, video_config};
use crate::media::broadcast::Profile;

#[test]
fn lost_connection_resumes_with_the_next_group() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(5.0);
    studio.room.leave(studio.place, studio.now);
    studio.wait(8000);
    studio.join();
    studio.run(5.0);
    let (video, audio) = studio.check();
    for groups in [&video, &audio] {
        let last = &groups.last().unwrap().head;
        assert_eq!((last.discontinuities, last.init_id), (1, 1));
    }
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
    assert!(!studio.broadcast.is_ended());
}

#[test]
fn quick_reconnect_does_not_go_back() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.reconnect();
    studio.run(3.0);
    let (video, audio) = studio.check();
    assert_eq!(video.last().unwrap().head.discontinuities, 1);
    assert_eq!(audio.last().unwrap().head.init_id, 1);
}

#[test]
fn room_ends_when_nobody_comes_back() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.room.leave(studio.place, studio.now);
    studio.wait(29_000);
    assert!(!studio.broadcast.is_ended());
    studio.wait(1500);
    assert!(studio.broadcast.is_ended());
    assert!(
        studio
            .broadcast
            .tracks()
            .iter()
            .all(|track| track.is_ended())
    );
    studio.check();
    assert!(studio.store.room("r").is_some(), "players read the end");
    studio.wait(61_000);
    assert!(studio.store.room("r").is_none());
}

#[test]
fn silent_encoder_is_sent_away_in_the_end() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.wait(59_000);
    assert!(!studio.broadcast.is_ended());
    studio.wait(2000);
    assert!(studio.broadcast.is_ended());
    let unit = studio.unit(0, true, Bytes::from_static(&[1; 10]));
    let refused = studio.room.video(studio.place, unit, studio.now);
    assert_eq!(refused, Err(Error::Revoked(Revoked::Ended)));
}

#[test]
fn show_ends_when_nobody_resumes_it() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.room.leave(studio.place, studio.now);
    studio.wait(29_000);
    assert!(!studio.broadcast.is_ended());
    studio.wait(2000);
    assert!(studio.broadcast.is_ended());
}

#[test]
fn second_publisher_is_refused_or_takes_over() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    let refused = studio
        .room
        .join(&request(None), watch::channel(None).0, studio.now);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("room r is being published to")
    );
    let config = Config {
        on_busy: OnBusy::Takeover,
        ..Config::default()
    };
    let mut studio = Studio::with(config, 30.0, 2.0, 48_000);
    studio.run(3.0);
    let old = studio.place;
    studio.join();
    let unit = studio.unit(0, true, Bytes::from_static(&[1; 10]));
    assert_eq!(
        studio.room.video(old, unit, studio.now),
        Err(Error::Revoked(Revoked::TakenOver))
    );
    studio.room.leave(old, studio.now);
    studio.run(3.0);
    let (video, _) = studio.check();
    let last = &video.last().unwrap().head;
    assert_eq!((last.discontinuities, last.init_id), (1, 1));
    assert!(!studio.broadcast.is_ended());
}

#[test]
fn renditions_share_group_numbers() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    let request = request(Some("720p"));
    let second = studio
        .room
        .join(&request, watch::channel(None).0, studio.now);
    let second = second.unwrap();
    studio
        .room
        .video_config(second, video_config(30.0, 3))
        .unwrap();
    for n in 90..330_u32 {
        let key = n % 60 == 0;
        let stamp = n * 1000 / 30;
        studio.video(stamp, key);
        let unit = studio.unit(stamp, key, Bytes::from_static(&[1; 10]));
        studio.room.video(second, unit, studio.now).unwrap();
        studio.advance_to(studio.now.us + 33_333);
    }
    let (lead, further) = (studio.read("video"), studio.read("720p"));
    check_track(&further, 90_000, &Profile::Low.timing());
    for group in &further {
        let twin = lead
            .iter()
            .find(|twin| twin.head.id == group.head.id)
            .unwrap();
        assert_eq!(twin.head.dts, group.head.dts);
        assert!(group.head.independent);
    }
    assert_eq!(
        lead.last().unwrap().head.id,
        further.last().unwrap().head.id
    );
    for name in ["1", "2", "3", "4", "5", "6"] {
        let join = studio.room.join(
            &self::request(Some(name)),
            watch::channel(None).0,
            studio.now,
        );
        assert!(join.is_ok());
    }
    let join = studio.room.join(
        &self::request(Some("7")),
        watch::channel(None).0,
        studio.now,
    );
    assert!(matches!(join, Err(Refusal::TooManyRenditions { .. })));
}
