use proptest::prelude::*;

use super::*;
use crate::media::track::Info;
use crate::packaging::clip::{Clip, audio_config, audio_info, gap, video_config, video_info};
use crate::packaging::flv::{config_tag, tag};

/// Timestamp, composition time and kind of a tag, read from its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    kind: u8,
    dts: i64,
    pts: i64,
    key: bool,
}

fn seen(tag: &Tag) -> Seen {
    let head = &tag.head;
    let dts = i64::from(u32::from_be_bytes([head[7], head[4], head[5], head[6]]));
    let composition = match head.get(13..16) {
        Some(&[a, b, c]) => i64::from(i32::from_be_bytes([a, b, c, 0]) >> 8),
        _ => 0,
    };
    Seen {
        kind: head[0],
        dts,
        pts: dts + composition,
        key: head.get(11).is_some_and(|byte| byte >> 4 == 1),
    }
}

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const SCRIPT: u8 = 18;

fn frames(clip: &Clip, group: u64, count: u64) -> Vec<Arc<Frame>> {
    (0..count).map(|index| clip.frame(group, index)).collect()
}

fn video<'a>(info: &'a Info, config: &'a Config, frames: &'a [Arc<Frame>]) -> Source<'a> {
    Source {
        info,
        config,
        frames,
    }
}

/// The media tags of a burst of `count` frames of `clip`'s group 1.
fn burst(clip: &Clip, count: u64) -> Vec<Seen> {
    let (info, config) = (video_info(), video_config());
    let frames = frames(clip, 1, count);
    let tags = opening(Some(video(&info, &config, &frames)), None);
    tags.iter().skip(2).map(seen).collect()
}

#[test]
fn the_burst_ends_at_the_live_edge_and_starts_just_before_it() {
    let clip = Clip::default();
    let seen = burst(&clip, 50);
    assert_eq!(seen.len(), 50);
    let edge = 2000 + 49 * 1000 / 30;
    assert_eq!(seen[49].dts, edge, "the newest frame keeps its time");
    assert_eq!(seen[0].dts, edge - BURST_SPAN_MS);
    assert!(seen[0].key && seen[1..].iter().all(|frame| !frame.key));
    assert!(seen.windows(2).all(|pair| pair[0].dts < pair[1].dts));
}

#[test]
fn a_short_group_keeps_its_true_times() {
    let clip = Clip::default();
    let (info, config) = (video_info(), video_config());
    let seen_burst = burst(&clip, 5);
    let own: Vec<Seen> = frames(&clip, 1, 5)
        .iter()
        .map(|frame| seen(&tag(&info, &config, frame).unwrap()))
        .collect();
    assert_eq!(seen_burst, own);
}

#[test]
fn long_groups_step_by_a_millisecond() {
    let clip = Clip {
        frames_per_group: 300,
        ..Clip::default()
    };
    let seen = burst(&clip, 300);
    assert!(seen.windows(2).all(|pair| pair[1].dts - pair[0].dts == 1));
    assert_eq!(seen[299].dts - seen[0].dts, 299);
}

#[test]
fn b_frames_keep_their_order_and_stay_decodable() {
    let clip = Clip {
        reordered: true,
        ..Clip::default()
    };
    let all = frames(&clip, 1, 60);
    for count in [2, 3, 10, 41, 60] {
        let mut pictures = burst(&clip, count);
        // What follows is sent as it is.
        let (info, config) = (video_info(), video_config());
        let rest = all[count as usize..].iter();
        pictures.extend(rest.map(|frame| seen(&tag(&info, &config, frame).unwrap())));
        assert!(pictures.iter().all(|picture| picture.pts >= picture.dts));
        let mut order: Vec<usize> = (0..pictures.len()).collect();
        order.sort_by_key(|&index| pictures[index].pts);
        let mut truth: Vec<usize> = (0..pictures.len()).collect();
        truth.sort_by_key(|&index| all[index].dts + i64::from(all[index].composition));
        assert_eq!(order, truth, "{count} frames");
        let shown: Vec<i64> = order.iter().map(|&index| pictures[index].pts).collect();
        assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "{shown:?}");
    }
}

#[test]
fn sound_starts_with_the_picture_at_its_true_time() {
    let clip = Clip::default();
    let (info, config) = (video_info(), video_config());
    let (sound_info, sound_config) = (audio_info(), audio_config());
    let pictures = frames(&clip, 1, 50);
    let sound: Vec<Arc<Frame>> = (0..180)
        .map(|index| {
            Arc::new(Frame {
                dts: index * 1024,
                composition: 0,
                duration: 1024,
                ..(*clip.frame(0, 0)).clone()
            })
        })
        .collect();
    let tags = opening(
        Some(video(&info, &config, &pictures)),
        Some(video(&sound_info, &sound_config, &sound)),
    );
    let tags: Vec<Seen> = tags.iter().map(seen).collect();
    assert_eq!(tags[0].kind, SCRIPT);
    assert_eq!(
        (tags[1].kind, tags[2].kind),
        (VIDEO, AUDIO),
        "configurations"
    );
    let start = tags[3].dts;
    assert!(tags[1..3].iter().all(|config| config.dts == start));
    let heard: Vec<Seen> = tags[3..]
        .iter()
        .copied()
        .filter(|tag| tag.kind == AUDIO)
        .collect();
    assert!(heard[0].dts >= start && heard[0].dts < start + 22);
    assert!(
        heard
            .windows(2)
            .all(|pair| (21..=22).contains(&(pair[1].dts - pair[0].dts)))
    );
    assert!(tags[3..].windows(2).all(|pair| pair[0].dts <= pair[1].dts));
}

#[test]
fn without_frames_there_are_only_configurations() {
    let (info, config) = (audio_info(), audio_config());
    let tags = opening(None, Some(video(&info, &config, &[])));
    let kinds: Vec<u8> = tags.iter().map(|tag| seen(tag).kind).collect();
    assert_eq!(kinds, [SCRIPT, AUDIO]);
}

#[test]
fn gaps_are_left_out() {
    let (info, config) = (video_info(), video_config());
    assert!(tag(&info, &config, &gap(0, 3000)).is_none());
    let mut with_gap = frames(&Clip::default(), 0, 3);
    with_gap.push(gap(9000, 30_000));
    assert_eq!(
        opening(Some(video(&info, &config, &with_gap)), None).len(),
        2 + 3
    );
}

#[test]
fn timestamps_wrap_after_49_days() {
    let (info, config) = (video_info(), video_config());
    let mut frame = (*Clip::default().frame(0, 0)).clone();
    frame.dts = (i64::from(u32::MAX) + 11) * 90;
    assert_eq!(seen(&tag(&info, &config, &frame).unwrap()).dts, 10);
    assert_eq!(seen(&config_tag(&info, &config, frame.dts)).dts, 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_map_of_time_never_goes_back(
        steps in proptest::collection::vec((1..9000_i64, 0..20_000_i32), 1..400),
    ) {
        let base = (*Clip::default().frame(0, 0)).clone();
        let mut dts = 0;
        let frames: Vec<Arc<Frame>> = steps
            .iter()
            .map(|&(ticks, composition)| {
                dts += ticks;
                Arc::new(Frame { dts, composition, ..base.clone() })
            })
            .collect();
        let (info, config) = (video_info(), video_config());
        let squeeze = Squeeze::new(&video(&info, &config, &frames));
        let mut points: Vec<i64> = frames
            .iter()
            .flat_map(|frame| [frame.dts, frame.dts + i64::from(frame.composition)])
            .collect();
        points.sort_unstable();
        let mapped: Vec<i64> = points.iter().map(|&ticks| squeeze.map(ticks)).collect();
        prop_assert!(mapped.is_sorted());
        let edge = ticks_to_ms(dts, info.timescale);
        prop_assert_eq!(squeeze.map(dts), edge);
        let span = edge - squeeze.start_ms().unwrap();
        prop_assert!(span <= BURST_SPAN_MS.max(frames.len() as i64));
    }
}

#[test]
fn absurd_times_do_no_harm() {
    let base = (*Clip::default().frame(0, 0)).clone();
    let times = [i64::MAX, 0, i64::MIN, 5, 5, i64::MAX - 1, -7];
    let frames = times.map(|dts| {
        Arc::new(Frame {
            dts,
            composition: i32::MIN,
            ..base.clone()
        })
    });
    let (info, config) = (video_info(), video_config());
    assert_eq!(opening(Some(video(&info, &config, &frames)), None).len(), 9);
}
