use bytes::Bytes;

use super::*;
use crate::media::frame::{Flags, Stamps};
use crate::media::group::Id;
use crate::packaging::clip::{Clip, gap, video_info};
use crate::packaging::cmaf;

fn segmenter(head: Head) -> Segmenter {
    let mut segmenter = Segmenter::new(&video_info());
    segmenter.open_group(&Arc::new(head));
    segmenter
}

#[test]
fn a_segment_is_its_parts_one_after_the_other() {
    let segment = cmaf::segment(&video_info(), &Clip::default().group(3)).unwrap();
    assert_eq!(segment.msn(), Id(3));
    assert_eq!(segment.duration_ticks, 180_000);
    assert!(segment.complete && !segment.gap);
    assert_eq!(segment.parts.len(), 6);
    let parts = Chunks::concat(segment.parts.iter().map(|part| &part.bytes));
    assert_eq!(parts.to_bytes(), segment.bytes.to_bytes());
    for (index, part) in segment.parts.iter().enumerate() {
        assert_eq!(part.index as usize, index);
        assert_eq!(part.duration_ticks, 30_000);
        assert_eq!(part.independent, index == 0);
        assert_eq!(part.dts, 3 * 180_000 + index as i64 * 30_000);
    }
}

#[test]
fn payloads_are_shared_not_copied() {
    let group = Clip::default().group(0);
    let segment = cmaf::segment(&video_info(), &group).unwrap();
    let payload = &group.frames[1].payload;
    let found = segment.bytes.as_slice();
    assert!(found.iter().any(|chunk| chunk.as_ptr() == payload.as_ptr()));
    // One buffer of boxes a part, and the frames.
    assert_eq!(found.len(), 6 + group.frames.len());
}

#[test]
fn parts_end_where_the_marks_are() {
    let clip = Clip::default();
    let mut segmenter = segmenter(clip.head(0));
    for index in 0..60 {
        let completed = segmenter.push(&clip.frame(0, index));
        assert_eq!(completed, usize::from(index % 10 == 9), "{index}");
    }
    let segment = segmenter.close_group().unwrap();
    assert_eq!(segment.parts.len(), 6, "nothing was pending");
}

#[test]
fn the_end_of_a_group_ends_its_part() {
    let clip = Clip::default();
    let mut segmenter = segmenter(clip.head(0));
    for index in 0..13 {
        segmenter.push(&clip.frame(0, index));
    }
    assert_eq!(segmenter.open().unwrap().parts.len(), 1);
    let segment = segmenter.close_group().unwrap();
    assert_eq!(segment.parts[1].duration_ticks, 9000);
    assert!(segmenter.open().is_none());
}

#[test]
fn a_gap_ends_the_part_before_it_and_stands_alone() {
    let clip = Clip::default();
    let mut segmenter = segmenter(clip.head(0));
    for index in 0..3 {
        segmenter.push(&clip.frame(0, index));
    }
    assert_eq!(segmenter.push(&gap(9000, 30_060)), 2);
    let segment = segmenter.close_group().unwrap();
    assert!(segment.gap && segment.parts[1].gap && !segment.parts[0].gap);
    assert!(segment.parts[1].bytes.is_empty());
    assert_eq!(segment.parts[1].duration_ticks, 30_060);
    assert_eq!(segment.bytes, segment.parts[0].bytes);
}

#[test]
fn stamps_are_those_of_the_first_frame() {
    let clip = Clip::default();
    let segment = cmaf::segment(&video_info(), &clip.group(0)).unwrap();
    let first = clip.frame(0, 10);
    assert_eq!(segment.parts[1].capture_us, first.stamps.capture_us);
    assert_eq!(segment.parts[1].ingest_us, first.stamps.ingest_us);
}

#[test]
fn a_group_without_frames_is_no_segment() {
    let mut segmenter = segmenter(Clip::default().head(0));
    assert!(segmenter.close_group().is_none());
    assert_eq!(segmenter.push(&Clip::default().frame(0, 0)), 0);
}

#[test]
fn bounds_cut_parts_that_the_origin_never_ends() {
    let mut segmenter = segmenter(Clip::default().head(0));
    let frame = |dts: i64| {
        Arc::new(Frame {
            dts,
            composition: 0,
            duration: 1,
            flags: Flags::default(),
            stamps: Stamps::default(),
            payload: Bytes::from_static(b"x"),
        })
    };
    let all = (PART_FRAMES_MAX * (PARTS_MAX + 3)) as i64;
    for dts in 0..all {
        segmenter.push(&frame(dts));
    }
    let segment = segmenter.close_group().unwrap();
    assert_eq!(segment.parts.len(), PARTS_MAX);
    assert_eq!(segment.parts[0].duration_ticks, PART_FRAMES_MAX as u64);
}
