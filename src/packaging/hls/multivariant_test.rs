use super::*;
use crate::packaging::clip::{Clip, audio_config, timing, video_config};

fn terms() -> Terms {
    Terms::new(timing(), 30)
}

fn rendition<'a>(name: &'a str, config: &'a Config) -> Rendition<'a> {
    Rendition {
        name,
        config,
        independent: true,
        measured: None,
        declared_bps: None,
    }
}

fn text(renditions: &[Rendition<'_>]) -> String {
    String::from_utf8(multivariant(&terms(), "e7", renditions, Offer::default()).to_vec()).unwrap()
}

fn at_size(width: u32, height: u32) -> Config {
    let Config::Video(video) = video_config() else {
        unreachable!("a video configuration");
    };
    Config::Video(VideoConfig {
        width,
        height,
        ..video
    })
}

#[test]
fn picture_and_sound_are_one_variant_with_an_audio_group() {
    let (video, audio) = (video_config(), audio_config());
    let renditions = [
        Rendition {
            measured: Some(Bandwidth {
                peak_bps: 2_000_000,
                average_bps: 1_500_001,
            }),
            ..rendition("video", &video)
        },
        Rendition {
            declared_bps: Some(128_000),
            ..rendition("audio", &audio)
        },
    ];
    insta::assert_snapshot!(text(&renditions));
}

#[test]
fn renditions_are_sorted_best_first() {
    let (small, large, audio) = (at_size(640, 360), at_size(1920, 1080), audio_config());
    let text = text(&[
        rendition("360p", &small),
        rendition("audio", &audio),
        rendition("1080p", &large),
    ]);
    let order = [
        text.find("e7/1080p/").unwrap(),
        text.find("e7/360p/").unwrap(),
    ];
    assert!(order[0] < order[1], "{text}");
    assert_eq!(text.matches("AUDIO=\"audio\"").count(), 2);
}

#[test]
fn new_sessions_can_be_offered_less() {
    let (large, small, audio) = (at_size(1920, 1080), at_size(640, 360), audio_config());
    let renditions = [
        rendition("360p", &small),
        rendition("audio", &audio),
        rendition("1080p", &large),
    ];
    let offered = |renditions: &[Rendition<'_>], plain, without_top| {
        let offer = Offer { plain, without_top };
        String::from_utf8(multivariant(&terms(), "e7", renditions, offer).to_vec()).unwrap()
    };
    let text = offered(&renditions, true, true);
    assert!(
        !text.contains("1080p") && !text.contains("media.m3u8"),
        "{text}"
    );
    assert!(text.contains("\ne7/360p/plain.m3u8\n"), "{text}");
    assert!(text.contains("URI=\"e7/audio/plain.m3u8\""), "{text}");
    let only = offered(&renditions[..2], false, true);
    assert!(
        only.contains("\ne7/360p/media.m3u8\n"),
        "the only rung stays: {only}"
    );
}

#[test]
fn sound_alone_is_a_variant() {
    let audio = audio_config();
    insta::assert_snapshot!(text(&[rendition("audio", &audio)]));
}

#[test]
fn picture_alone_has_no_audio_group() {
    let video = video_config();
    let text = text(&[rendition("video", &video)]);
    assert!(!text.contains("AUDIO"), "{text}");
    assert!(text.contains("CODECS=\"avc1.64000d\""), "{text}");
}

#[test]
fn bandwidth_has_head_room_over_the_largest_segment() {
    let segment = |bytes: usize, ticks| Segment {
        bytes: crate::coding::Chunks::from(Bytes::from(vec![0; bytes])),
        duration_ticks: ticks,
        ..Segment::missing(Clip::default().group(0).head, ticks)
    };
    let segments = [
        segment(250_000, 180_000),
        segment(500_000, 180_000),
        segment(90_000, 1000),
    ];
    let measured = Bandwidth::measure(segments.iter(), 90_000, 180_000).unwrap();
    assert_eq!(measured.peak_bps, 2_000_000, "stubs do not count as peaks");
    assert!(measured.average_bps < measured.peak_bps);
    assert_eq!(Bandwidth::measure([].iter(), 90_000, 180_000), None);
}
