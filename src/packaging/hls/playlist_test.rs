use std::sync::Arc;

use super::*;
use crate::media::Class;
use crate::media::broadcast::Profile;
use crate::packaging::clip::{Clip, gap, timing, video_info};
use crate::packaging::hls::reading::{self, Playlist};
use crate::packaging::hls::{Decision, Terms};
use crate::protocol::interact::event::{Event, Kind as About};

fn timeline() -> Timeline {
    Timeline::new(&video_info(), &Terms::new(timing(), 30))
}

/// Feeds a group whose head was changed by `change`.
fn feed(timeline: &mut Timeline, id: u64, change: impl Fn(&mut crate::media::group::Head)) {
    let clip = Clip::default();
    let mut head = clip.head(id);
    change(&mut head);
    timeline.open_group(&Arc::new(head)).unwrap();
    for index in 0..60 {
        timeline.push(&clip.frame(id, index));
    }
    timeline.close_group();
}

fn read(timeline: &Timeline) -> Playlist {
    reading::read(&timeline.render(Skip::No, &[], &[]))
}

fn text(timeline: &Timeline, skip: Skip) -> String {
    String::from_utf8(timeline.render(skip, &[], &[]).to_vec()).unwrap()
}

#[test]
fn a_live_playlist_has_every_tag_in_its_place() {
    let clip = Clip::default();
    let mut timeline = timeline();
    for id in 7..11 {
        feed(&mut timeline, id, |_| {});
    }
    timeline.open_group(&Arc::new(clip.head(11))).unwrap();
    for index in 0..25 {
        timeline.push(&clip.frame(11, index));
    }
    let report = Report {
        uri: "../audio/media.m3u8",
        position: Position { msn: 11, part: 1 },
    };
    let playlist = timeline.render(Skip::No, &[report], &[]);
    insta::assert_snapshot!(std::str::from_utf8(&playlist).unwrap());
}

#[test]
fn discontinuity_map_and_gap_stand_where_players_expect_them() {
    let clip = Clip::default();
    let mut timeline = timeline();
    feed(&mut timeline, 0, |_| {});
    // The host stalls for two parts in the middle of a segment, and comes back as another encoder.
    timeline.open_group(&Arc::new(clip.head(1))).unwrap();
    for index in 0..15 {
        timeline.push(&clip.frame(1, index));
    }
    timeline.push(&gap(180_000 + 45_000, 30_060));
    timeline.push(&gap(180_000 + 75_060, 30_060));
    timeline.close_group();
    feed(&mut timeline, 2, |head| {
        head.discontinuities = 1;
        head.init_id = 1;
    });
    insta::assert_snapshot!(text(&timeline, Skip::No));
}

#[test]
fn terms_never_change() {
    let mut timeline = timeline();
    let header = |timeline: &Timeline| -> Vec<String> {
        let text = text(timeline, Skip::No);
        text.lines().take(5).map(str::to_owned).collect()
    };
    feed(&mut timeline, 0, |_| {});
    let first = header(&timeline);
    for id in 1..30 {
        feed(&mut timeline, id, |head| {
            head.discontinuities = u32::from(id > 9);
        });
        assert_eq!(header(&timeline), first);
    }
    timeline.end();
    assert_eq!(header(&timeline), first);
}

#[test]
fn every_profile_keeps_the_rules_of_the_text() {
    for profile in [
        Profile::Ultra,
        Profile::Low,
        Profile::Balanced,
        Profile::Economy,
    ] {
        let terms = Terms::new(profile.timing(), 30);
        let header = terms.header();
        assert!(terms.window_ms() >= 6 * profile.timing().segment_ms);
        let skip = terms.skip_until_seconds();
        assert!(skip.is_none_or(|seconds| seconds >= 6 * terms.target_seconds()));
        assert_eq!(terms.version(), if skip.is_some() { 9 } else { 6 });
        assert!(header.contains("CAN-BLOCK-RELOAD=YES"), "{header}");
    }
}

#[test]
fn the_window_slides_by_media_time() {
    let mut timeline = timeline();
    let mut sequence = 0;
    for id in 5..60 {
        feed(&mut timeline, id, |head| {
            head.discontinuities = u32::from(id > 20);
        });
        let playlist = read(&timeline);
        assert!(playlist.media_sequence >= sequence, "it never goes back");
        sequence = playlist.media_sequence;
        let seconds: f64 = playlist.segments.iter().map(|s| s.duration).sum();
        assert!(seconds <= 30.0 + 1e-6);
        assert!(playlist.segments.len() <= 15);
    }
    assert_eq!(sequence, 45);
    let playlist = read(&timeline);
    assert_eq!(playlist.discontinuity_sequence, 1);
    assert!(timeline.segment(43).is_some(), "kept for late requests");
    assert!(timeline.segment(40).is_none(), "memory is bounded");
}

#[test]
fn discontinuity_numbers_of_segments_do_not_change() {
    let mut timeline = timeline();
    let number_of = |playlist: &Playlist, msn: u64| -> Option<u64> {
        let index = usize::try_from(msn.checked_sub(playlist.media_sequence)?).unwrap();
        let before = playlist.segments.get(..=index)?;
        let tags: u32 = before.iter().map(|segment| segment.discontinuities).sum();
        Some(playlist.discontinuity_sequence + u64::from(tags))
    };
    for id in 0..40 {
        feed(&mut timeline, id, |head| {
            head.discontinuities = (id / 7) as u32;
            head.init_id = (id / 7) as u32;
        });
        let playlist = read(&timeline);
        for msn in 0..=id {
            assert!(number_of(&playlist, msn).is_none_or(|number| number == msn / 7));
        }
    }
}

#[test]
fn a_node_that_came_late_says_the_same() {
    let (mut early, mut late) = (timeline(), timeline());
    for id in 0..40 {
        let change = |head: &mut crate::media::group::Head| {
            head.discontinuities = u32::from(id > 25);
            head.init_id = u32::from(id > 25);
        };
        feed(&mut early, id, change);
        if id >= 20 {
            feed(&mut late, id, change);
        }
    }
    assert_eq!(text(&early, Skip::No), text(&late, Skip::No));
    assert_eq!(text(&early, Skip::Yes), text(&late, Skip::Yes));
    assert_eq!(early.segment(39), late.segment(39));
    assert_eq!(early.part(39, 3), late.part(39, 3));
}

#[test]
fn delta_updates_leave_out_what_is_older_than_the_boundary() {
    let mut timeline = timeline();
    for id in 0..20 {
        feed(&mut timeline, id, |head| {
            head.discontinuities = u32::from(id > 13);
            head.init_id = u32::from(id > 13);
        });
    }
    let whole = read(&timeline);
    let delta = reading::read(&timeline.render(Skip::Yes, &[], &[]));
    assert_eq!(delta.media_sequence, whole.media_sequence);
    assert_eq!(delta.skipped, 9, "30 s listed, the last 12 s stay");
    assert_eq!(delta.version, 9);
    let rest = &whole.segments[9..];
    assert_eq!(delta.segments.len(), rest.len());
    for (left, right) in delta.segments.iter().zip(rest) {
        assert_eq!(left.uri, right.uri);
        assert_eq!(left.parts, right.parts);
        assert_eq!(left.discontinuities, right.discontinuities);
    }
    // The first one left carries the map in force, so that the update reads alone.
    assert_eq!(delta.segments[0].map.as_deref(), Some("init-1.mp4"));
    assert_eq!(text(&timeline, Skip::V2), text(&timeline, Skip::Yes));
}

#[test]
fn delta_updates_are_whole_when_short_or_ended() {
    let mut timeline = timeline();
    for id in 0..6 {
        feed(&mut timeline, id, |_| {});
    }
    assert_eq!(text(&timeline, Skip::Yes), text(&timeline, Skip::No));
    for id in 6..20 {
        feed(&mut timeline, id, |_| {});
    }
    assert_ne!(text(&timeline, Skip::Yes), text(&timeline, Skip::No));
    timeline.end();
    assert_eq!(text(&timeline, Skip::Yes), text(&timeline, Skip::No));
    let short = Terms::new(timing(), 12);
    assert_eq!(short.skip_until_seconds(), None);
    assert_eq!(short.version(), 6);
}

#[test]
fn independent_segments_are_promised_only_while_true() {
    let mut timeline = timeline();
    feed(&mut timeline, 0, |_| {});
    assert!(read(&timeline).independent);
    feed(&mut timeline, 1, |head| head.independent = false);
    assert!(!read(&timeline).independent);
    for id in 2..17 {
        feed(&mut timeline, id, |_| {});
    }
    assert!(read(&timeline).independent, "it has left the window");
}

#[test]
fn reports_name_siblings_and_stand_last() {
    let mut timeline = timeline();
    feed(&mut timeline, 0, |_| {});
    let at = |msn, part| Position { msn, part };
    let reports = [
        Report {
            uri: "../audio/media.m3u8",
            position: at(1, 0),
        },
        Report {
            uri: "../480p/media.m3u8",
            position: at(0, 5),
        },
    ];
    let playlist = reading::read(&timeline.render(Skip::No, &reports, &[]));
    assert_eq!(
        playlist.reports,
        [
            ("../audio/media.m3u8".to_owned(), 1, 0),
            ("../480p/media.m3u8".to_owned(), 0, 5)
        ]
    );
}

#[test]
fn an_ended_playlist_says_so_and_hints_nothing() {
    let clip = Clip::default();
    let mut timeline = timeline();
    feed(&mut timeline, 0, |_| {});
    timeline.open_group(&Arc::new(clip.head(1))).unwrap();
    for index in 0..13 {
        timeline.push(&clip.frame(1, index));
    }
    timeline.end();
    let playlist = read(&timeline);
    assert!(playlist.ended && playlist.hints.is_empty());
    let last = playlist.segments.last().unwrap();
    assert_eq!(last.uri.as_deref(), Some("1.m4s"));
    assert_eq!(last.parts.len(), 2, "the part that was being made is there");
    let revision = timeline.revision();
    timeline.end();
    assert_eq!(timeline.revision(), revision);
}

#[test]
fn a_host_below_three_pictures_a_second_does_not_exceed_the_part_target() {
    let clip = Clip {
        frame_ticks: 45_000,
        frames_per_group: 4,
        frames_per_part: 1,
        ..Clip::default()
    };
    let mut timeline = timeline();
    timeline.open_group(&Arc::new(clip.head(0))).unwrap();
    for index in 0..4 {
        timeline.push(&clip.frame(0, index));
    }
    let playlist = read(&timeline);
    for part in &playlist.segments[0].parts {
        assert!(part.duration <= playlist.part_target);
    }
}

#[test]
fn a_date_range_is_listed_while_its_picture_is() {
    let clip = Clip::default();
    let mut timeline = timeline();
    for id in 0..20 {
        feed(&mut timeline, id, |_| {});
    }
    timeline.open_group(&Arc::new(clip.head(20))).unwrap();
    for index in 0..20 {
        timeline.push(&clip.frame(20, index));
    }
    let card = |id: &str, start_us: i64| {
        let body = serde_json::json!({ "wall_ms": start_us / 1000 });
        let event = Event::new(About::Card, Class::Program, id, 0, body);
        DateRange::of(&event).unwrap()
    };
    let first = timeline.listed_heads().next().unwrap().wall_us;
    let open = clip.head(20).wall_us;
    let dates = [
        card("left", first - 1000),
        card("oldest", first),
        card("newest", open + 600_000),
        card("ahead", open + 700_000),
    ];
    let playlist = timeline.render(Skip::No, &[], &dates);
    let listed = reading::read(&playlist).dates;
    assert_eq!(listed, ["oldest", "newest"]);
    let delta = timeline.render(Skip::Yes, &[], &dates);
    assert_eq!(
        reading::read(&delta).dates,
        listed,
        "no delta leaves one out"
    );
}

#[test]
fn a_plain_playlist_has_whole_segments_and_nothing_of_low_latency() {
    let clip = Clip::default();
    let mut timeline = timeline();
    timeline.open_group(&Arc::new(clip.head(0))).unwrap();
    for index in 0..20 {
        timeline.push(&clip.frame(0, index));
    }
    let first = Position {
        msn: 0,
        part: u32::MAX,
    };
    assert_eq!(timeline.request_plain(), Decision::Wait(first));
    for index in 20..60 {
        timeline.push(&clip.frame(0, index));
    }
    timeline.close_group();
    for id in 1..20 {
        feed(&mut timeline, id, |_| {});
    }
    let whole = |timeline: &Timeline, skip| {
        String::from_utf8(timeline.render_plain(skip, &[]).to_vec()).unwrap()
    };
    let text = whole(&timeline, Skip::No);
    for word in ["PART", "BLOCK-RELOAD", "PRELOAD", "REPORT"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    assert!(text.contains("#EXT-X-SERVER-CONTROL:HOLD-BACK=6.0,CAN-SKIP-UNTIL=12.0\n"));
    assert!(text.ends_with("\n19.m4s\n"), "{text}");
    assert!(whole(&timeline, Skip::Yes).contains("#EXT-X-SKIP:"));
    // Parts of the open segment change nothing.
    timeline.open_group(&Arc::new(clip.head(20))).unwrap();
    for index in 0..25 {
        timeline.push(&clip.frame(20, index));
    }
    assert_eq!(whole(&timeline, Skip::No), text);
    assert_eq!(timeline.request_plain(), Decision::Now);
}
