use proptest::prelude::*;

use super::*;
use crate::media::frame::{Flags, Stamps};
use crate::packaging::clip::{Clip, WALL_US, timing, video_config, video_info};
use crate::packaging::hls::reading::{self, Playlist};
use crate::packaging::hls::{Directives, Skip};

fn timeline() -> Timeline {
    Timeline::new(&video_info(), &Terms::new(timing(), 30))
}

fn feed(timeline: &mut Timeline, id: u64) {
    let group = Clip::default().group(id);
    timeline.open_group(&group.head).unwrap();
    for frame in &group.frames {
        timeline.push(frame);
    }
    timeline.close_group();
}

fn read(timeline: &Timeline) -> Playlist {
    reading::read(&timeline.render(Skip::No, &[], &[]))
}

#[test]
fn a_lost_group_is_listed_as_a_gap() {
    let mut timeline = timeline();
    feed(&mut timeline, 0);
    timeline.skipped();
    feed(&mut timeline, 3);
    let playlist = read(&timeline);
    let gaps: Vec<bool> = playlist.segments.iter().map(|s| s.gap).collect();
    assert_eq!(gaps, [false, true, true, false]);
    assert_eq!(playlist.segments[1].duration, 2.0);
    assert!(timeline.segment(1).is_none(), "a gap is not served");
    assert_eq!(timeline.position(), Some(Position { msn: 3, part: 5 }));
}

#[test]
fn a_group_entered_in_its_middle_gets_no_parts() {
    let clip = Clip::default();
    let mut timeline = timeline();
    feed(&mut timeline, 0);
    timeline.open_group(&Arc::new(clip.head(1))).unwrap();
    for index in 0..20 {
        timeline.push(&clip.frame(1, index));
    }
    timeline.skipped();
    assert!(timeline.segment(1).is_none(), "its end is lost");
    assert!(timeline.part(1, 1).is_some(), "its beginning is there");
    timeline.open_group(&Arc::new(clip.head(2))).unwrap();
    for index in 30..60 {
        timeline.push(&clip.frame(2, index));
    }
    timeline.close_group();
    assert!(timeline.part(2, 0).is_none());
    feed(&mut timeline, 3);
    let playlist = read(&timeline);
    let gaps: Vec<bool> = playlist.segments.iter().map(|s| s.gap).collect();
    assert_eq!(gaps, [false, true, true, false]);
}

#[test]
fn another_numbering_starts_the_playlist_anew() {
    let mut timeline = timeline();
    feed(&mut timeline, 5);
    feed(&mut timeline, 5_000_000);
    assert_eq!(read(&timeline).media_sequence, 5_000_000);
    feed(&mut timeline, 3);
    assert_eq!(read(&timeline).media_sequence, 3);
}

#[test]
fn an_unknown_codec_is_an_error_and_a_gap() {
    let mut timeline = timeline();
    feed(&mut timeline, 0);
    let clip = Clip::default();
    let mut head = clip.head(1);
    head.init_id = 1;
    head.init = Bytes::from_static(&[99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let fault = timeline.open_group(&Arc::new(head)).unwrap_err();
    assert!(fault.to_string().contains("codec number 99"), "{fault}");
    timeline.push(&clip.frame(1, 0));
    timeline.close_group();
    feed(&mut timeline, 2);
    assert!(read(&timeline).segments[1].gap);
}

#[test]
fn initializations_live_as_long_as_their_segments() {
    let mut timeline = timeline();
    for id in 0..60 {
        let group = Clip::default().group(id);
        let mut head = (*group.head).clone();
        head.init_id = id as u32;
        timeline.open_group(&Arc::new(head)).unwrap();
        for frame in &group.frames {
            timeline.push(frame);
        }
        timeline.close_group();
    }
    assert!(timeline.init(59).is_some() && timeline.init(45).is_some());
    assert!(timeline.init(30).is_none());
    assert_eq!(timeline.config(), Some(&video_config()));
}

#[test]
fn bandwidth_is_measured_over_segments() {
    let mut timeline = timeline();
    assert_eq!(timeline.bandwidth(), None);
    for id in 0..3 {
        feed(&mut timeline, id);
    }
    let measured = timeline.bandwidth().unwrap();
    let bytes = timeline.segment(0).unwrap().bytes.len() as u64;
    assert_eq!(measured.average_bps, bytes * 8 / 2);
    assert_eq!(measured.peak_bps, measured.average_bps);
}

/// One thing that may happen to a timeline.
#[derive(Debug, Clone)]
enum Step {
    Open {
        jump: u64,
        breaks: u32,
        independent: bool,
    },
    Frame {
        ticks: u32,
        duration: u32,
        flags: u8,
    },
    Close,
    Skipped,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1..3_u64, 0..2_u32, any::<bool>())
            .prop_map(|(jump, breaks, independent)| Step::Open { jump, breaks, independent }),
        12 => (1..20_000_u32, 0..40_000_u32, 0..8_u8)
            .prop_map(|(ticks, duration, flags)| Step::Frame { ticks, duration, flags }),
        2 => Just(Step::Close),
        1 => Just(Step::Skipped),
    ];
    proptest::collection::vec(step, 1..300)
}

/// Applies steps as a reader would bring them.
struct Feeder {
    timeline: Timeline,
    head: Head,
    dts: i64,
}

impl Feeder {
    fn new() -> Self {
        let mut head = Clip::default().head(0);
        head.id = Id(100);
        Self {
            timeline: timeline(),
            head,
            dts: 0,
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Open {
                jump,
                breaks,
                independent,
            } => {
                self.head.id = Id(self.head.id.0 + jump);
                self.head.discontinuities += breaks;
                self.head.init_id += breaks;
                self.head.independent = independent;
                self.head.dts = self.dts;
                self.head.wall_us = WALL_US + self.dts * 1000 / 90;
                let head = Arc::new(self.head.clone());
                self.timeline.open_group(&head).unwrap();
            }
            Step::Frame {
                ticks,
                duration,
                flags,
            } => {
                let flags = Flags(flags);
                let gap = flags.contains(Flags::GAP);
                let payload = if gap { Bytes::new() } else { "media".into() };
                self.timeline.push(&Arc::new(Frame {
                    dts: self.dts,
                    composition: 0,
                    duration,
                    flags,
                    stamps: Stamps::default(),
                    payload,
                }));
                self.dts += i64::from(ticks);
            }
            Step::Close => self.timeline.close_group(),
            Step::Skipped => self.timeline.skipped(),
        }
    }
}

/// What must hold of any playlist, given the one before it.
fn check(playlist: &Playlist, before: Option<&Playlist>) {
    assert_eq!(playlist.hints.len(), usize::from(!playlist.ended));
    for (index, segment) in playlist.segments.iter().enumerate() {
        let msn = playlist.media_sequence + index as u64;
        assert!(segment.date.is_some(), "each segment has its date");
        match &segment.uri {
            Some(uri) => assert_eq!(*uri, format!("{msn}.m4s")),
            None => assert_eq!(index + 1, playlist.segments.len()),
        }
        assert!(segment.duration.round() as u64 <= playlist.target);
        for (number, part) in segment.parts.iter().enumerate() {
            assert_eq!(part.uri, format!("{msn}.{number}.m4s"));
            assert!(part.duration <= playlist.part_target);
            assert!(segment.gap || !part.gap, "GAP is told of the parent too");
        }
    }
    let Some(before) = before else { return };
    assert!(playlist.media_sequence >= before.media_sequence);
    assert!(playlist.discontinuity_sequence >= before.discontinuity_sequence);
    for (index, old) in before.segments.iter().enumerate() {
        let msn = before.media_sequence + index as u64;
        let Some(place) = msn.checked_sub(playlist.media_sequence) else {
            continue;
        };
        let new = &playlist.segments[usize::try_from(place).unwrap()];
        assert_eq!(new.date, old.date, "what was said stays said");
        if old.uri.is_some() {
            assert_eq!((new.duration, new.gap), (old.duration, old.gap));
        }
        if !new.parts.is_empty() {
            assert!(new.parts.starts_with(&old.parts));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn playlists_keep_their_rules_whatever_the_frames(steps in steps()) {
        let mut feeder = Feeder::new();
        let mut before: Option<Playlist> = None;
        let mut revision = 0;
        for step in &steps {
            feeder.apply(step);
            let timeline = &feeder.timeline;
            if timeline.revision() == revision {
                continue;
            }
            revision = timeline.revision();
            let playlist = read(timeline);
            check(&playlist, before.as_ref());
            before = Some(playlist);
            reading::read(&timeline.render(Skip::Yes, &[], &[]));
            for listed in &timeline.segments {
                let parts = listed.segment.parts.iter();
                if !listed.segment.bytes.is_empty() && parts.len() > 0 {
                    let bytes: usize = parts.map(|part| part.bytes.len()).sum();
                    prop_assert_eq!(bytes, listed.segment.bytes.len());
                }
            }
        }
        feeder.timeline.end();
        check(&read(&feeder.timeline), before.as_ref());
    }

    #[test]
    fn absurd_times_do_no_harm(
        raw in proptest::collection::vec(
            (any::<i64>(), any::<i32>(), any::<u32>(), 0..8_u8, any::<i64>()), 1..30),
    ) {
        let mut timeline = timeline();
        for (index, &(dts, composition, duration, flags, wall_us)) in raw.iter().enumerate() {
            let mut head = Clip::default().head(0);
            head.id = Id(index as u64 / 2 * 2);
            (head.dts, head.wall_us) = (wall_us / 3, wall_us);
            timeline.open_group(&Arc::new(head)).unwrap();
            timeline.push(&Arc::new(Frame {
                dts,
                composition,
                duration,
                flags: Flags(flags),
                stamps: Stamps::default(),
                payload: "media".into(),
            }));
            timeline.close_group();
            read(&timeline);
        }
    }

    #[test]
    fn directives_never_panic(query in "[_HLSmsnpartki=&0-9YESv2%]{0,60}") {
        if let Ok(directives) = Directives::parse(&query) {
            let mut timeline = timeline();
            let _empty = timeline.request(&directives);
            feed(&mut timeline, 3);
            let _live = timeline.request(&directives);
        }
    }
}
