use std::net::SocketAddr;

use bytes::Bytes;

use super::*;
use crate::media::codec::{AudioCodec, Config as CodecConfig, VideoCodec, VideoConfig as Parsed};
use crate::media::frame::Flags;
use crate::runtime::Shutdown;

/// Records that x264 and ffmpeg's AAC encoder wrote: 1280x720 at 30 and 640x360 at 25 frames per
/// second, AAC-LC stereo at 48 kHz.
const AVC_720: &[u8] = &[
    1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec,
    0x04, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0f, 0x03, 0xc6, 0x0c, 0xa8, 1, 0, 4, 0x68, 0xce, 0x0f,
    0xc8,
];
const AAC: &[u8] = &[0x11, 0x90];

fn desk(config: Config) -> (Desk, live::Store) {
    let store = live::Store::new(live::Config::default());
    let scope = TaskScope::under(&Shutdown::new());
    let parts = Parts {
        store: store.clone(),
        registry: Registry::default(),
        metrics: &Metrics::default(),
        scope,
    };
    let desk = Desk::new(&config, parts);
    (desk, store)
}

fn request(room: &str) -> Request {
    Request {
        room: RoomName::parse(room).unwrap(),
        rendition: None,
        backup: false,
        peer: SocketAddr::from(([127, 0, 0, 1], 9)),
    }
}

/// Pushes a second of video, in real time.
async fn push(publisher: &mut Publisher, from_frame: u32) {
    let avc = Bytes::from_static(AVC_720);
    publisher.video_config(VideoCodec::H264, avc).unwrap();
    let aac = Bytes::from_static(AAC);
    publisher.audio_config(AudioCodec::Aac, aac).unwrap();
    for n in from_frame..from_frame + 30 {
        let payload = Bytes::from_static(&[0, 0, 0, 2, 0x65, 1]);
        let stamp = n * 1000 / 30;
        publisher.video(stamp, 0, n % 30 == 0, payload).unwrap();
        publisher
            .audio(stamp, Bytes::from_static(&[0x21; 9]))
            .unwrap();
        tokio::time::sleep(Duration::from_millis(33)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn encoder_becomes_a_broadcast() {
    let (desk, store) = desk(Config::default());
    let mut publisher = desk.publish(request("r")).await.unwrap();
    push(&mut publisher, 0).await;
    let broadcast = store.room("r").unwrap();
    let video = broadcast.track("video").unwrap();
    let head = video.newest_head().unwrap();
    let Ok(CodecConfig::Video(config)) = CodecConfig::decode(head.init.clone()) else {
        panic!("no video configuration");
    };
    assert_eq!((config.width, config.height), (1280, 720));
    assert_eq!(config.name, "avc1.42c01f");
    let frame = video.newest_frame().unwrap();
    assert_eq!(frame.dts, 29 * 3000);
    assert!(frame.stamps.ingest_us > 0);
    assert_eq!(broadcast.track("audio").unwrap().info().timescale, 48_000);
    let status = desk.status(&RoomName::parse("r").unwrap()).unwrap();
    assert_eq!(status.publishers[0].learnt_frames_per_second, Some(30.0));
    assert!(
        serde_json::to_string(&status)
            .unwrap()
            .contains("bitrate_kbps")
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_by_the_room_itself() {
    let (desk, store) = desk(Config::default());
    let mut publisher = desk.publish(request("r")).await.unwrap();
    push(&mut publisher, 0).await;
    let video = store.room("r").unwrap().track("video").unwrap();
    tokio::time::sleep(Duration::from_millis(2000)).await;
    let newest = video.newest_frame().unwrap();
    assert!(newest.flags.contains(Flags::GAP.with(Flags::PART_END)));
    drop(publisher);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut publisher = desk.publish(request("r")).await.unwrap();
    push(&mut publisher, 0).await;
    let head = video.newest_head().unwrap();
    assert_eq!((head.discontinuities, head.init_id), (1, 1));
    assert!(!store.room("r").unwrap().is_ended());
}

#[tokio::test(start_paused = true)]
async fn new_show_begins_while_the_old_one_lingers() {
    let (desk, store) = desk(Config::default());
    let mut publisher = desk.publish(request("r")).await.unwrap();
    push(&mut publisher, 0).await;
    publisher.close();
    let old = store.room("r").unwrap();
    assert!(!old.is_ended());
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(old.is_ended());
    let _publisher = desk.publish(request("r")).await.unwrap();
    let new = store.room("r").unwrap();
    assert!(!new.is_ended());
    assert_ne!(old.info().epoch, new.info().epoch);
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert!(store.room("r").is_some_and(|room| room.is(&new)));
}

#[tokio::test(start_paused = true)]
async fn cut_room_is_over_and_its_publisher_hears_why() {
    let (desk, store) = desk(Config::default());
    let mut publisher = desk.publish(request("r")).await.unwrap();
    push(&mut publisher, 0).await;
    let room = RoomName::parse("r").unwrap();
    let show = store.room("r").unwrap();
    assert!(desk.cut(&room, Duration::from_secs(20)));
    assert_eq!(publisher.revoked().await, Revoked::Cut);
    assert!(show.is_ended() && store.room("r").is_none());
    assert!(store.has_ended("r", &show.info().epoch));
    assert!(!desk.cut(&room, Duration::from_secs(20)));
    assert!(desk.status(&room).is_none());
    let refusal = desk.publish(request("r")).await.unwrap_err().to_string();
    assert!(refusal.contains("closed for another 20 s"), "{refusal}");
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(
        desk.0.rooms.lock().is_empty(),
        "nothing is left of the room"
    );
    assert!(desk.publish(request("r")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn take_over_tells_the_first_encoder() {
    let (desk, _store) = desk(Config {
        on_busy: crate::ingest::publisher::OnBusy::Takeover,
        ..Config::default()
    });
    let first = desk.publish(request("r")).await.unwrap();
    let _second = desk.publish(request("r")).await.unwrap();
    assert_eq!(first.revoked().await, Revoked::TakenOver);
}

#[tokio::test(start_paused = true)]
async fn turned_phone_is_seen_in_the_key_frame() {
    let (desk, store) = desk(Config::default());
    let mut publisher = desk.publish(request("r")).await.unwrap();
    push(&mut publisher, 0).await;
    // The same picture with another level, inside the access unit.
    let mut sps = AVC_720[8..31].to_vec();
    sps[3] = 0x28;
    let mut payload = vec![0, 0, 0, 23];
    payload.extend_from_slice(&sps);
    payload.extend_from_slice(&[0, 0, 0, 4, 0x68, 0xce, 0x0f, 0xc8, 0, 0, 0, 2, 0x65, 1]);
    publisher.video(1000, 0, true, payload.into()).unwrap();
    let video = store.room("r").unwrap().track("video").unwrap();
    let head = video.newest_head().unwrap();
    assert_eq!((head.discontinuities, head.init_id), (1, 1));
    let Ok(CodecConfig::Video(Parsed { name, .. })) = CodecConfig::decode(head.init.clone()) else {
        panic!("no video configuration");
    };
    assert_eq!(name, "avc1.42c028");
}

#[tokio::test(start_paused = true)]
async fn bad_names_and_records_are_refused_with_a_reason() {
    let (desk, _store) = desk(Config::default());
    for name in ["video", "audio", "a b", ""] {
        let request = Request {
            rendition: Some(name.to_owned()),
            ..request("r")
        };
        let refusal = desk.publish(request).await.unwrap_err();
        assert_eq!(refusal, Refusal::BadRendition(name.to_owned()));
    }
    let mut publisher = desk.publish(request("r")).await.unwrap();
    let broken = publisher.video_config(VideoCodec::H264, Bytes::from_static(&[1, 2]));
    let text = broken.unwrap_err().to_string();
    assert_eq!(text, "the AVC record ends inside its head");
}
