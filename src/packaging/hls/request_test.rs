//! One test a row of DOMAIN table 1.4, as far as it is about playlists and parts.

use std::sync::Arc;

use super::*;
use crate::packaging::clip::{Clip, gap, timing, video_info};
use crate::packaging::hls::{Answer, Lifetime, Malformed, Skip, Terms};

/// Segments 7 to 10 complete, parts 0 and 1 of segment 11 there.
fn live() -> Timeline {
    let clip = Clip::default();
    let mut timeline = Timeline::new(&video_info(), &Terms::new(timing(), 30));
    for id in 7..11 {
        feed(&mut timeline, id, 60);
        timeline.close_group();
    }
    timeline.open_group(&Arc::new(clip.head(11))).unwrap();
    for index in 0..20 {
        timeline.push(&clip.frame(11, index));
    }
    timeline
}

fn feed(timeline: &mut Timeline, id: u64, frames: u64) {
    let clip = Clip::default();
    timeline.open_group(&Arc::new(clip.head(id))).unwrap();
    for index in 0..frames {
        timeline.push(&clip.frame(id, index));
    }
}

fn ask(timeline: &Timeline, query: &str) -> Decision {
    timeline.request(&Directives::parse(query).unwrap())
}

fn wait(msn: u64, part: u32) -> Decision {
    Decision::Wait(Position { msn, part })
}

#[test]
fn without_directives_the_playlist_comes_at_once() {
    assert_eq!(ask(&live(), ""), Decision::Now);
    assert_eq!(ask(&live(), "token=x&CMCD=y"), Decision::Now);
    let empty = Timeline::new(&video_info(), &Terms::new(timing(), 30));
    assert_eq!(ask(&empty, ""), wait(0, 0), "there is no empty playlist");
}

#[test]
fn a_past_segment_comes_at_once() {
    assert_eq!(ask(&live(), "_HLS_msn=10"), Decision::Now);
    assert_eq!(ask(&live(), "_HLS_msn=0"), Decision::Now);
    assert_eq!(ask(&live(), "_HLS_msn=9&_HLS_part=3"), Decision::Now);
    assert_eq!(ask(&live(), "_HLS_msn=11&_HLS_part=1"), Decision::Now);
}

#[test]
fn a_segment_is_awaited_whole() {
    let mut timeline = live();
    let awaited = Position {
        msn: 11,
        part: u32::MAX,
    };
    assert_eq!(ask(&timeline, "_HLS_msn=11"), Decision::Wait(awaited));
    assert_eq!(ask(&timeline, "_HLS_msn=12"), wait(12, u32::MAX));
    for index in 20..60 {
        timeline.push(&Clip::default().frame(11, index));
        assert!(timeline.progress().unwrap() < awaited);
    }
    timeline.close_group();
    assert!(timeline.progress().unwrap() > awaited);
    assert_eq!(ask(&timeline, "_HLS_msn=11"), Decision::Now);
}

#[test]
fn a_part_is_awaited() {
    let mut timeline = live();
    assert_eq!(ask(&timeline, "_HLS_msn=11&_HLS_part=2"), wait(11, 2));
    assert_eq!(ask(&timeline, "_HLS_part=4&_HLS_msn=12"), wait(12, 4));
    for index in 20..30 {
        timeline.push(&Clip::default().frame(11, index));
    }
    assert_eq!(timeline.progress(), Some(Position { msn: 11, part: 3 }));
    assert_eq!(ask(&timeline, "_HLS_msn=11&_HLS_part=2"), Decision::Now);
}

#[test]
fn a_part_past_the_end_is_the_first_of_the_next_segment() {
    let mut timeline = live();
    assert_eq!(ask(&timeline, "_HLS_msn=10&_HLS_part=6"), Decision::Now);
    assert_eq!(ask(&timeline, "_HLS_msn=11&_HLS_part=7"), wait(11, 7));
    for index in 20..60 {
        timeline.push(&Clip::default().frame(11, index));
    }
    timeline.close_group();
    // Six parts: the seventh will not come, and the playlist has not changed for the asker.
    assert_eq!(ask(&timeline, "_HLS_msn=11&_HLS_part=7"), wait(12, 0));
    feed(&mut timeline, 12, 10);
    assert_eq!(ask(&timeline, "_HLS_msn=11&_HLS_part=7"), Decision::Now);
}

#[test]
fn waits_are_shorter_than_three_targets_and_than_players_timeouts() {
    assert_eq!(Terms::new(timing(), 30).hold_ms_max(), 6000);
    let mut economy = timing();
    economy.segment_ms = 4000;
    assert_eq!(Terms::new(economy, 30).hold_ms_max(), 9000);
}

#[test]
fn malformed_directives_are_refused() {
    let check = |query, fault| assert_eq!(Directives::parse(query), Err(fault), "{query}");
    check("_HLS_part=1", Malformed::PartWithoutMsn);
    check("_HLS_msn=x", Malformed::NotANumber("_HLS_msn"));
    check("_HLS_msn=", Malformed::NotANumber("_HLS_msn"));
    check("_HLS_msn=+1", Malformed::NotANumber("_HLS_msn"));
    check("_HLS_msn=-1", Malformed::NotANumber("_HLS_msn"));
    check(
        "_HLS_msn=99999999999999999999",
        Malformed::NotANumber("_HLS_msn"),
    );
    check(
        "_HLS_msn=1&_HLS_part=1.0",
        Malformed::NotANumber("_HLS_part"),
    );
    check("_HLS_msn=1&_HLS_msn=1", Malformed::Duplicate("_HLS_msn"));
    check(
        "_HLS_msn=1&_HLS_part=1&_HLS_part=2",
        Malformed::Duplicate("_HLS_part"),
    );
    check(
        "_HLS_skip=YES&_HLS_skip=YES",
        Malformed::Duplicate("_HLS_skip"),
    );
    check("_HLS_skip=yes", Malformed::UnknownSkip);
}

#[test]
fn directives_do_not_depend_on_order_or_company() {
    let expected = Directives {
        msn: Some(3),
        part: Some(1),
        skip: Skip::V2,
    };
    for query in [
        "_HLS_msn=3&_HLS_part=1&_HLS_skip=v2",
        "token=a&_HLS_skip=v2&_HLS_part=1&&_HLS_report=x&_HLS_msn=3",
    ] {
        assert_eq!(Directives::parse(query), Ok(expected));
    }
}

#[test]
fn a_far_future_is_refused() {
    let timeline = live();
    assert_eq!(
        ask(&timeline, "_HLS_msn=13"),
        Decision::Bad(Refusal::SegmentTooFar { msn: 13, last: 10 })
    );
    assert!(matches!(
        ask(&timeline, "_HLS_msn=18446744073709551615&_HLS_part=0"),
        Decision::Bad(Refusal::SegmentTooFar { .. })
    ));
    // 3 s are nine parts of 0.334 s: part 1 is the newest, part 10 the last that may be asked for.
    assert_eq!(timeline.terms().advance_part_limit(), 9);
    assert_eq!(ask(&timeline, "_HLS_msn=11&_HLS_part=10"), wait(11, 10));
    assert_eq!(
        ask(&timeline, "_HLS_msn=11&_HLS_part=11"),
        Decision::Bad(Refusal::PartTooFar {
            part: 11,
            ahead: 10,
            limit: 9
        })
    );
    assert_eq!(ask(&timeline, "_HLS_msn=12&_HLS_part=8"), wait(12, 8));
    assert!(matches!(
        ask(&timeline, "_HLS_msn=12&_HLS_part=9"),
        Decision::Bad(Refusal::PartTooFar { .. })
    ));
}

#[test]
fn after_the_end_directives_are_ignored() {
    let mut timeline = live();
    timeline.end();
    for query in [
        "",
        "_HLS_msn=11",
        "_HLS_msn=99",
        "_HLS_msn=11&_HLS_part=99",
        "_HLS_skip=YES",
    ] {
        assert_eq!(ask(&timeline, query), Decision::Now, "{query}");
    }
    assert_eq!(timeline.hint(), None);
    assert_eq!(timeline.part_request(12, 0), Availability::Missing);
}

#[test]
fn the_hinted_part_is_held_then_whole() {
    let mut timeline = live();
    assert_eq!(timeline.hint(), Some(Position { msn: 11, part: 2 }));
    assert_eq!(timeline.part_request(11, 2), Availability::Held);
    for index in 20..29 {
        timeline.push(&Clip::default().frame(11, index));
        assert_eq!(timeline.part_request(11, 2), Availability::Held);
    }
    timeline.push(&Clip::default().frame(11, 29));
    let Availability::Ready(part) = timeline.part_request(11, 2) else {
        panic!("the part is there");
    };
    assert_eq!((part.msn.0, part.index), (11, 2));
}

#[test]
fn unknown_parts_are_missing() {
    let timeline = live();
    for (msn, part) in [(11, 3), (12, 0), (10, 6), (6, 0), (99, 0), (u64::MAX, 0)] {
        assert_eq!(timeline.part_request(msn, part), Availability::Missing);
    }
    assert!(timeline.segment(11).is_none(), "it is not complete");
    assert!(timeline.segment(6).is_none());
    assert!(timeline.init(1).is_none());
}

#[test]
fn the_hint_turns_to_the_next_segment_when_this_one_is_full() {
    let mut timeline = live();
    for index in 20..60 {
        timeline.push(&Clip::default().frame(11, index));
    }
    // The group is not closed yet, but it is as long as the others were.
    assert_eq!(timeline.hint(), Some(Position { msn: 12, part: 0 }));
    assert_eq!(timeline.part_request(12, 0), Availability::Held);
    assert_eq!(
        timeline.part_request(11, 6),
        Availability::Held,
        "a wrong guess"
    );
    timeline.close_group();
    assert_eq!(timeline.hint(), Some(Position { msn: 12, part: 0 }));
    assert_eq!(timeline.part_request(11, 6), Availability::Missing);
}

#[test]
fn an_abandoned_hint_is_missing_at_the_discontinuity() {
    let mut timeline = live();
    assert_eq!(timeline.part_request(11, 2), Availability::Held);
    timeline.close_group();
    let mut head = Clip::default().head(12);
    head.discontinuities = 1;
    timeline.open_group(&Arc::new(head)).unwrap();
    assert_eq!(timeline.part_request(11, 2), Availability::Missing);
}

#[test]
fn gaps_are_missing_and_move_the_playlist() {
    let mut timeline = live();
    let before = timeline.revision();
    timeline.push(&gap(11 * 180_000 + 60_000, 30_060));
    assert!(timeline.revision() > before);
    assert_eq!(timeline.position(), Some(Position { msn: 11, part: 2 }));
    assert_eq!(timeline.part_request(11, 2), Availability::Missing);
    assert_eq!(ask(&timeline, "_HLS_msn=11&_HLS_part=2"), Decision::Now);
}

#[test]
fn parts_stay_for_three_targets_after_they_left_the_playlist() {
    let mut timeline = Timeline::new(&video_info(), &Terms::new(timing(), 30));
    for id in 0..20 {
        feed(&mut timeline, id, 60);
        timeline.close_group();
    }
    // The end is at 40 s: parts are listed from 34 s on, so those of 28 s on must be there.
    for msn in 14..20 {
        assert!(timeline.part(msn, 0).is_some(), "{msn}");
    }
    assert!(timeline.part(12, 0).is_none());
    assert!(timeline.segment(12).is_some());
}

#[test]
fn cache_lifetimes_follow_the_table() {
    let terms = Terms::new(timing(), 30);
    let check = |answer, expect: &str| assert_eq!(Lifetime::of(answer, &terms).to_string(), expect);
    check(Answer::Multivariant, "max-age=1");
    check(Answer::Playlist, "max-age=1");
    check(Answer::BlockingPlaylist, "max-age=12");
    check(Answer::EndedPlaylist, "max-age=60");
    check(Answer::Media, "max-age=86400, immutable");
    check(Answer::Missing, "max-age=2");
    check(Answer::Gone, "max-age=12");
    check(Answer::Refused, "no-store");
}

#[test]
fn a_request_that_waited_never_gets_the_playlist_that_was_there() {
    let clip = Clip::default();
    for (msn, part) in (11..13).flat_map(|msn| (0..9).map(move |part| (msn, part))) {
        let directives = Directives {
            msn: Some(msn),
            part: Some(part),
            skip: Skip::No,
        };
        let mut timeline = live();
        if timeline.request(&directives) == Decision::Now {
            continue;
        }
        let before = timeline.render(Skip::No, &[], &[]);
        let mut feed = (11..14).flat_map(|id| (0..60).map(move |index| (id, index)));
        while timeline.request(&directives) != Decision::Now {
            let (id, index) = feed.find(|&at| at > (11, 19)).unwrap();
            if index == 0 {
                timeline.close_group();
                timeline.open_group(&Arc::new(clip.head(id))).unwrap();
            }
            timeline.push(&clip.frame(id, index));
        }
        assert_ne!(timeline.render(Skip::No, &[], &[]), before, "{msn}.{part}");
        let wanted = Position { msn, part };
        assert!(timeline.position().unwrap() >= wanted, "{msn}.{part}");
    }
}
