use bytes::Bytes;
use proptest::prelude::*;

use crate::ingest::publisher::access::Unit;
use crate::ingest::publisher::studio::{Read, Studio, check_track, video_config};
use crate::media::broadcast::Profile;
use crate::media::rescale;

#[test]
fn parts_and_groups_keep_their_lengths_at_every_rate() {
    let film = 24_000.0 / 1001.0;
    let ntsc = 30_000.0 / 1001.0;
    for rate in [film, 24.0, 25.0, ntsc, 30.0, 50.0, 2.0 * ntsc, 60.0] {
        for gop_seconds in [1.0, 2.0, 4.0, 10.0] {
            for sample_rate in [44_100, 48_000] {
                check_rules(rate, gop_seconds, sample_rate);
            }
        }
    }
}

fn check_rules(rate: f64, gop_seconds: f64, sample_rate: u32) {
    let mut studio = Studio::new(rate, gop_seconds, sample_rate);
    studio.run(31.0);
    let case = format!("{rate} fps, GOP {gop_seconds} s, {sample_rate} Hz");
    let (video, audio) = studio.check();
    let timing = Profile::Low.timing();
    assert_eq!(video.len(), audio.len(), "{case}");
    for (group, timescale) in video
        .iter()
        .map(|group| (group, 90_000))
        .chain(audio.iter().map(|group| (group, sample_rate)))
    {
        assert_eq!(group.head.discontinuities, 0);
        assert_eq!(group.head.init_id, 0);
        let parts = group.parts();
        for part in &parts[..parts.len() - 1] {
            let ticks = part.last().unwrap().end_dts() - part[0].dts;
            let floor = i64::from(timing.part_ms) * i64::from(timescale) * 85 / 100_000;
            assert!(
                ticks >= floor,
                "{case}: part of {ticks} in group {}",
                group.head.id
            );
        }
        for pair in group.frames.windows(2) {
            assert_eq!(pair[1].dts, pair[0].end_dts(), "{case}");
        }
    }
    for (video, audio) in video.iter().zip(&audio) {
        assert_eq!(video.head.id, audio.head.id);
        let apart_us = (video.head.wall_us - audio.head.wall_us).abs();
        assert!(apart_us < 45_000, "{case}: groups {apart_us} us apart");
    }
    let keyed = video.iter().filter(|group| group.head.independent).count();
    let keys = (31.0 / gop_seconds).ceil() as usize;
    assert_eq!(keyed, keys.min(video.len()), "{case}");
    if gop_seconds <= 2.0 {
        assert_eq!(
            keyed,
            video.len(),
            "{case}: every group begins with a key frame"
        );
    }
    let total: i64 = video[..video.len() - 1].iter().map(Read::ticks).sum();
    assert_eq!(
        total,
        video.last().unwrap().head.dts,
        "{case}: no time is lost"
    );
}

#[test]
fn decode_times_lie_on_the_exact_grid() {
    let mut studio = Studio::new(30_000.0 / 1001.0, 2.0, 48_000);
    studio.run(20.0);
    let (video, audio) = studio.check();
    for (n, frame) in video.iter().flat_map(|group| &group.frames).enumerate() {
        assert_eq!(frame.dts, n as i64 * 3003);
        assert_eq!(frame.duration, 3003);
    }
    for (n, frame) in audio.iter().flat_map(|group| &group.frames).enumerate() {
        assert_eq!(frame.dts, n as i64 * 1024);
    }
}

#[test]
fn pictures_out_of_order_are_shown_on_the_grid() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    // I P B B P B B …: shown two frames after the decoder begins.
    for (n, shown) in [2, 5, 3, 4, 8, 6, 7].into_iter().enumerate() {
        let stamp = (n as f64 * 1000.0 / 30.0) as u32;
        let unit = Unit {
            composition_ms: (f64::from(shown) * 1000.0 / 30.0) as i32 - stamp as i32,
            ..studio.unit(stamp, n == 0, Bytes::from_static(&[1; 10]))
        };
        studio.room.video(studio.place, unit, studio.now).unwrap();
    }
    let shown: Vec<i64> = studio.read("video")[0]
        .frames
        .iter()
        .map(|frame| frame.dts + i64::from(frame.composition))
        .collect();
    assert_eq!(shown, [2, 5, 3, 4, 8, 6, 7].map(|n| n * 3000));
}

#[test]
fn irregular_frames_keep_parts_whole_and_pictures_on_time() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    let mut random = 7_u64;
    let mut stamp = 0;
    let mut stamps = Vec::new();
    for n in 0..600 {
        studio.video(stamp, n % 30 == 0);
        stamps.push(i64::from(stamp) * 90);
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let step = [16, 33, 34, 50, 66, 120, 400][(random >> 33) as usize % 7];
        studio.advance_to(studio.now.us + i64::from(step) * 1000);
        stamp += step;
    }
    let groups = studio.read("video");
    check_track(&groups, 90_000, &Profile::Low.timing());
    let frames: Vec<_> = groups.iter().flat_map(|group| &group.frames).collect();
    assert_eq!(frames.len(), stamps.len());
    for (frame, stamp) in frames.iter().zip(stamps) {
        let shown = frame.dts + i64::from(frame.composition);
        assert!(
            (shown - stamp).abs() <= 180,
            "shown at {shown}, stamped {stamp}"
        );
    }
}

#[test]
fn audio_waits_for_the_first_picture() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    for n in 0..20 {
        studio.audio(n * 21);
    }
    assert!(studio.read("audio").is_empty());
    studio.video(430, false);
    assert!(studio.read("video").is_empty(), "nothing decodes it");
    studio.video(460, true);
    studio.audio(450);
    studio.audio(471);
    let (video, audio) = studio.check();
    assert_eq!(video[0].head.id.0, 0);
    assert_eq!(audio[0].head.id.0, 0);
    assert_eq!(
        audio[0].frames.len(),
        1,
        "audio before the picture is left out"
    );
}

#[test]
fn room_without_video_is_led_by_audio() {
    for sample_rate in [44_100, 48_000] {
        let mut studio = Studio::audio_only(sample_rate);
        studio.run(30.0);
        let audio = studio.read("audio");
        check_track(&audio, sample_rate, &Profile::Low.timing());
        assert!(audio.len() > 10);
        for group in &audio[..audio.len() - 1] {
            let ms = group.ticks() * 1000 / i64::from(sample_rate);
            assert!((1800..=2100).contains(&ms), "{ms}");
        }
    }
}

#[test]
fn late_video_takes_the_lead_and_begins_with_the_group_of_the_moment() {
    let mut studio = Studio::audio_only(48_000);
    studio.run(13.0);
    let before = studio.read("audio").last().unwrap().head.id;
    studio.with_video = true;
    studio.video_frames = 13 * 30;
    studio.gop_frames = 13 * 30;
    studio.run(1.0);
    studio.gop_frames = 60;
    studio.video_frames = 420;
    studio.run(6.0);
    let (video, audio) = studio.check();
    assert_eq!(video[0].head.id, before.next());
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
}

#[test]
fn late_audio_begins_with_the_group_of_the_moment() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.with_audio = false;
    studio.run(5.0);
    studio.with_audio = true;
    studio.audio_frames = 5 * 48_000 / 1024;
    studio.run(5.0);
    let (video, audio) = studio.check();
    assert_eq!(audio[0].head.id.0, 2);
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
}

#[test]
fn silence_goes_on_without_media_and_ends_with_a_discontinuity() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(4.5);
    studio.wait(2000);
    let (video, audio) = studio.check();
    assert!(video.last().unwrap().is_gap() && audio.last().unwrap().is_gap());
    assert!(studio.room.status(studio.now).unwrap().stalled);
    studio.wait(3500);
    // Both clocks saw the silence; the next key frame is due half a second later.
    studio.video_frames += 165;
    studio.audio_frames += 5500 * 48 / 1024;
    studio.run(6.0);
    let (video, audio) = studio.check();
    assert!(!studio.room.status(studio.now).unwrap().stalled);
    for (groups, timescale) in [(&video, 90_000), (&audio, 48_000)] {
        let last = groups.last().unwrap();
        assert_eq!(last.head.discontinuities, 1);
        assert_eq!(last.head.init_id, 0);
        assert!(groups.iter().filter(|group| group.is_gap()).count() >= 2);
        let end = rescale(last.frames.last().unwrap().end_dts(), timescale, 1000);
        assert!((15_900..16_100).contains(&end), "{end}");
    }
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
}

#[test]
fn clock_that_stood_still_is_moved_behind_the_gap() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(4.0);
    studio.wait(6000);
    studio.run(8.0);
    let (video, _) = studio.check();
    assert_eq!(video.last().unwrap().head.discontinuities, 1);
    let status = studio.room.status(studio.now).unwrap();
    assert_eq!(status.publishers[0].repairs.stall, 1);
    let end_ms = video.last().unwrap().frames.last().unwrap().end_dts() / 90;
    assert!((17_500..18_500).contains(&end_ms), "{end_ms}");
}

#[test]
fn what_was_kept_during_a_silence_is_left_out_when_its_time_has_passed() {
    let mut studio = Studio::new(30.0, 1.0, 48_000);
    studio.run(4.0);
    studio.wait(5000);
    // Five seconds of frames at once.
    for n in 120..270 {
        studio.video(n * 1000 / 30, n % 30 == 0);
    }
    studio.video_frames = 270;
    studio.audio_frames = 9 * 48_000 / 1024;
    studio.run(3.0);
    let (video, _) = studio.check();
    let status = studio.room.status(studio.now).unwrap();
    assert_eq!(status.publishers[0].repairs.stall, 0);
    let last = video.last().unwrap().frames.last().unwrap();
    assert!(
        (11_900..12_100).contains(&(last.end_dts() / 90)),
        "live again"
    );
}

#[test]
fn other_configuration_opens_a_new_initialization_at_the_next_key_frame() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    let same = video_config(30.0, 1);
    studio.room.video_config(studio.place, same).unwrap();
    studio.run(2.0);
    assert_eq!(studio.read("video").last().unwrap().head.init_id, 0);
    let other = video_config(30.0, 2);
    studio.room.video_config(studio.place, other).unwrap();
    studio.run(3.0);
    let (video, audio) = studio.check();
    let changed = video
        .iter()
        .position(|group| group.head.init_id == 1)
        .unwrap();
    assert_eq!(video[changed].head.discontinuities, 1);
    assert_ne!(video[changed].head.init, video[changed - 1].head.init);
    assert_eq!(audio[changed].head.discontinuities, 1);
    assert_eq!(audio[changed].head.init_id, 0);
}

#[test]
fn jumps_and_wraps_of_the_encoder_do_not_show() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.stamp_offset = u32::MAX - 2500;
    studio.run(6.0);
    studio.stamp_offset = 77_000_000;
    studio.run(6.0);
    studio.stamp_offset = 5;
    studio.run(6.0);
    let (video, audio) = studio.check();
    assert_eq!(video.last().unwrap().head.discontinuities, 0);
    let repairs = studio.room.status(studio.now).unwrap().publishers[0].repairs;
    assert!(
        repairs.wrap >= 1 && repairs.jump >= 1 && repairs.backward >= 1,
        "{repairs:?}"
    );
    let ends = [(&video, 90_000), (&audio, 48_000)].map(|(groups, timescale)| {
        let last = groups.last().unwrap().frames.last().unwrap();
        rescale(last.end_dts(), timescale, 1000)
    });
    assert!((ends[0] - ends[1]).abs() < 80, "{ends:?}");
    assert!((17_900..18_200).contains(&ends[0]), "{ends:?}");
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Video { step_ms: u32, key: bool },
    Audio { step_ms: u32 },
    Stamp(u32),
    Wait(u16),
    Reconnect,
    Configure(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        20 => (0..120_u32, prop::bool::weighted(0.1))
            .prop_map(|(step_ms, key)| Deed::Video { step_ms, key }),
        20 => (0..60_u32).prop_map(|step_ms| Deed::Audio { step_ms }),
        1 => any::<u32>().prop_map(Deed::Stamp),
        1 => (0..4000_u16).prop_map(Deed::Wait),
        1 => Just(Deed::Reconnect),
        1 => (0..3_u8).prop_map(Deed::Configure),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an encoder does, decode times grow, parts and groups keep their bounds and every
    /// group number is in every track.
    #[test]
    fn no_encoder_breaks_a_track(deeds in prop::collection::vec(deed(), 1..400)) {
        let mut studio = Studio::new(30.0, 2.0, 48_000);
        let (mut video_ms, mut audio_ms) = (0_u32, 0_u32);
        for deed in deeds {
            match deed {
                Deed::Video { step_ms, key } => {
                    video_ms = video_ms.wrapping_add(step_ms);
                    studio.wait(i64::from(step_ms) / 2);
                    studio.video(video_ms, key);
                }
                Deed::Audio { step_ms } => {
                    audio_ms = audio_ms.wrapping_add(step_ms);
                    studio.wait(i64::from(step_ms) / 2);
                    studio.audio(audio_ms);
                }
                Deed::Stamp(stamp) => (video_ms, audio_ms) = (stamp, stamp),
                Deed::Wait(ms) => studio.wait(i64::from(ms)),
                Deed::Reconnect => studio.reconnect(),
                Deed::Configure(version) => {
                    let config = video_config(30.0, version);
                    studio.room.video_config(studio.place, config).unwrap();
                }
            }
        }
        let (video, audio) = studio.check();
        if let (Some(video), Some(audio)) = (video.last(), audio.last()) {
            let ahead = video.head.id.0.abs_diff(audio.head.id.0);
            prop_assert!(ahead <= 5, "{ahead} groups apart");
        }
    }
}
