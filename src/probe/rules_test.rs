//! Golden playlists: a good one that keeps every rule, and for each rule a change that breaks it.

use super::multivariant::Multivariant;
use super::playlist::Playlist;
use super::report::{Outcome, Report};
use super::{playlist_rules, series_rules};

const MULTIVARIANT: &str = "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"main\",DEFAULT=YES,URI=\"e/audio/media.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=2500000,AVERAGE-BANDWIDTH=2100000,\
CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO=\"a\"
e/video/media.m3u8
";

/// Seven segments of 2 s, the newest two in parts, and one part of the next.
fn good() -> String {
    let mut text = String::from(
        "#EXTM3U\n\
         #EXT-X-VERSION:9\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=6,\
         CAN-SKIP-UNTIL=12\n\
         #EXT-X-PART-INF:PART-TARGET=0.5\n\
         #EXT-X-MEDIA-SEQUENCE:10\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:3\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MAP:URI=\"init-0.mp4\"\n",
    );
    for msn in 10..17 {
        let second = (msn - 10) * 2;
        text += &format!("#EXT-X-PROGRAM-DATE-TIME:2026-11-11T12:00:{second:02}.000Z\n");
        if msn >= 15 {
            for part in 0..4 {
                text += &part_line(msn, part);
            }
        }
        text += &format!("#EXTINF:2.000,\n{msn}.m4s\n");
    }
    text += "#EXT-X-PROGRAM-DATE-TIME:2026-11-11T12:00:14.000Z\n";
    text += &part_line(17, 0);
    text += "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"17.1.m4s\"\n\
             #EXT-X-RENDITION-REPORT:URI=\"../audio/media.m3u8\",LAST-MSN=17,LAST-PART=0\n";
    text
}

fn part_line(msn: u32, part: u32) -> String {
    let independent = if part == 0 { ",INDEPENDENT=YES" } else { "" };
    format!("#EXT-X-PART:DURATION=0.500,URI=\"{msn}.{part}.m4s\"{independent}\n")
}

fn judge(text: &str) -> Report {
    let mut report = Report::default();
    playlist_rules::check(&mut report, "video", &Playlist::parse(text));
    report
}

fn broken(report: &Report) -> Vec<&'static str> {
    let rules = report.rules().iter();
    let failed = rules.filter(|rule| rule.outcome == Outcome::Fail);
    failed.map(|rule| rule.id).collect()
}

#[test]
fn numbers_too_large_to_count_with_are_faults() {
    let huge = u64::MAX;
    for (name, from, to) in [
        (
            "EXT-X-MEDIA-SEQUENCE",
            "MEDIA-SEQUENCE:10",
            format!("MEDIA-SEQUENCE:{huge}"),
        ),
        (
            "EXT-X-TARGETDURATION",
            "DURATION:2",
            format!("DURATION:{huge}"),
        ),
        (
            "EXT-X-DISCONTINUITY-SEQUENCE",
            "DISCONTINUITY-SEQUENCE:3",
            format!("DISCONTINUITY-SEQUENCE:{huge}"),
        ),
        ("LAST-MSN", "LAST-MSN=17", format!("LAST-MSN={huge}")),
    ] {
        let faults = Playlist::parse(&good().replacen(from, &to, 1)).line_faults;
        assert!(
            faults.iter().any(|fault| fault.starts_with(name)),
            "{faults:?}"
        );
    }
    let endless = good().replace("#EXTINF:2.000", "#EXTINF:1e300");
    assert!(Playlist::parse(&endless).end_us().is_some());
}

#[test]
fn good_playlist_keeps_every_rule() {
    let report = judge(&good());
    assert_eq!(broken(&report), Vec::<&str>::new(), "{report}");
    let playlist = Playlist::parse(&good());
    assert_eq!(playlist.position(), Some((17, 0)));
    assert_eq!(playlist.next_position(), (17, 1));
    assert!(playlist.reaches(16, None) && !playlist.reaches(17, None));
    assert!(playlist.reaches(17, Some(0)) && !playlist.reaches(17, Some(1)));
}

#[test]
fn each_rule_has_a_playlist_that_breaks_it() {
    let table = [
        ("R1.6-lines", "#EXTM3U\n", ""),
        ("R1.6-lines", "LAST-MSN=17", "LAST-MSN=x"),
        ("R1.6-lines", "2026-11-11T12:00:00.000Z", "11 November"),
        ("R1.1-version", "VERSION:9", "VERSION:6"),
        (
            "R1.1-server-control",
            "CAN-BLOCK-RELOAD=YES,",
            "CAN-BLOCK-RELOAD=NO,",
        ),
        (
            "R1.1-server-control",
            "PART-HOLD-BACK=1.5",
            "PART-HOLD-BACK=1.4",
        ),
        ("R1.1-server-control", ",HOLD-BACK=6", ",HOLD-BACK=5"),
        (
            "R1.1-server-control",
            "CAN-SKIP-UNTIL=12",
            "CAN-SKIP-UNTIL=11",
        ),
        (
            "R1.2-part-durations",
            "DURATION=0.500,URI=\"16.1",
            "DURATION=0.501,URI=\"16.1",
        ),
        (
            "R1.2-part-durations",
            "DURATION=0.500,URI=\"16.1",
            "DURATION=0.400,URI=\"16.1",
        ),
        (
            "R1.2-segment-durations",
            "#EXTINF:2.000,\n12.m4s",
            "#EXTINF:2.600,\n12.m4s",
        ),
        (
            "R1.2-segment-durations",
            "#EXTINF:2.000,\n16.m4s",
            "#EXTINF:1.900,\n16.m4s",
        ),
        ("R1.15-window", "TARGETDURATION:2", "TARGETDURATION:5"),
        ("R1.6-date-time", "12:00:06.000Z", "12:00:06.700Z"),
        (
            "R1.1-discontinuity-seq",
            "#EXT-X-DISCONTINUITY-SEQUENCE:3\n",
            "",
        ),
        ("R1.1-map", "#EXT-X-MAP:URI=\"init-0.mp4\"\n", ""),
        ("R1.5-hint-listed", "URI=\"17.1.m4s\"", "URI=\"17.0.m4s\""),
        (
            "R1.5-hint-listed",
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"17.1.m4s\"\n",
            "",
        ),
    ];
    for (rule, from, to) in table {
        let text = good().replacen(from, to, 1);
        assert_ne!(text, good(), "{from:?} is in the good playlist");
        let report = judge(&text);
        assert!(broken(&report).contains(&rule), "{rule}: {report}");
    }
}

#[test]
fn order_that_trips_players_is_a_fault() {
    let map = "#EXT-X-MAP:URI=\"init-0.mp4\"\n";
    let report = good()
        .lines()
        .find(|line| line.contains("REPORT"))
        .map(|line| format!("{line}\n"))
        .expect("the good playlist has a report");
    let table = [
        good().replacen(map, &format!("{map}#EXT-X-DISCONTINUITY\n"), 1),
        good().replacen(
            "#EXTINF:2.000,\n10.m4s",
            &format!("{report}#EXTINF:2.000,\n10.m4s"),
            1,
        ),
        good().replacen("#EXT-X-MEDIA-SEQUENCE:10\n", "", 1) + "#EXT-X-MEDIA-SEQUENCE:10\n",
        good().replacen(
            "#EXT-X-MEDIA-SEQUENCE:10\n",
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXT-X-MEDIA-SEQUENCE:10\n",
            1,
        ),
        good() + "#EXT-X-PROGRAM-DATE-TIME:2026-11-11T12:00:16.000Z\n" + &part_line(17, 1),
    ];
    for text in table {
        assert!(broken(&judge(&text)).contains(&"R1.6-lines"), "{text}");
    }
}

#[test]
fn short_parts_are_right_before_a_key_frame_and_at_the_end() {
    let text = good()
        .replacen("DURATION=0.500,URI=\"16.3", "DURATION=0.300,URI=\"16.3", 1)
        .replacen("#EXTINF:2.000,\n16.m4s", "#EXTINF:1.800,\n16.m4s", 1)
        .replacen("12:00:14.000Z", "12:00:13.800Z", 1);
    let report = judge(&text);
    assert_eq!(broken(&report), Vec::<&str>::new(), "{report}");
}

fn step(before: &str, after: &str) -> Report {
    let mut report = Report::default();
    let (before, after) = (Playlist::parse(before), Playlist::parse(after));
    series_rules::check_step(&mut report, "video", &before, &after);
    report
}

/// The good playlist one part later.
fn later() -> String {
    let next = format!("{}#EXT-X-PRELOAD-HINT", part_line(17, 1));
    good().replacen("#EXT-X-PRELOAD-HINT", &next, 1).replacen(
        "PART,URI=\"17.1.m4s\"",
        "PART,URI=\"17.2.m4s\"",
        1,
    )
}

#[test]
fn what_was_published_must_not_change() {
    let report = step(&good(), &later());
    assert_eq!(broken(&report), Vec::<&str>::new(), "{report}");
    let table = [
        ("R1.1-frozen", "PART-TARGET=0.5", "PART-TARGET=0.6"),
        ("R1.1-frozen", "PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.6"),
        ("R1.1-frozen", "TARGETDURATION:2", "TARGETDURATION:3"),
        ("R1.1-sequence", "SEQUENCE:10", "SEQUENCE:9"),
        ("R1.1-sequence", "\n16.m4s", "\nother.m4s"),
        ("R1.1-sequence", "URI=\"17.0.m4s\"", "URI=\"x.m4s\""),
        ("R1.1-sequence", "12:00:14.000Z", "12:00:14.001Z"),
        (
            "R1.1-discontinuity-seq",
            "DISCONTINUITY-SEQUENCE:3",
            "DISCONTINUITY-SEQUENCE:4",
        ),
    ];
    for (rule, from, to) in table {
        let text = later().replacen(from, to, 1);
        assert_ne!(text, later(), "{from:?} is in the later playlist");
        let report = step(&good(), &text);
        assert!(broken(&report).contains(&rule), "{rule}: {report}");
    }
    assert!(broken(&step(&later(), &good())).contains(&"R1.1-sequence"));
}

#[test]
fn renditions_must_agree() {
    let judge = |other: &str| {
        let mut report = Report::default();
        let (one, other) = (Playlist::parse(&good()), Playlist::parse(other));
        series_rules::check_siblings(&mut report, ("video", "audio"), &one, &other);
        broken(&report)
    };
    assert_eq!(judge(&good()), Vec::<&str>::new());
    let slower = good().replace("PART-HOLD-BACK=1.5", "PART-HOLD-BACK=2");
    assert_eq!(judge(&slower), ["R1.1-renditions-agree"]);
    let shifted = good().replace("MEDIA-SEQUENCE:10", "MEDIA-SEQUENCE:11");
    assert_eq!(judge(&shifted), ["R1.6-renditions-aligned"]);
}

#[test]
fn rendition_reports_must_be_fresh() {
    let (before, after) = (Playlist::parse(&good()), Playlist::parse(&later()));
    let judge = |last| series_rules::check_report(last, &before, &after);
    assert!(judge((17, Some(1))).is_ok());
    assert!(judge((16, Some(2))).is_ok());
    assert!(judge((16, Some(0))).is_err(), "two seconds old");
    assert!(judge((17, Some(2))).is_err(), "not there yet");
    assert!(judge((17, None)).is_ok());
    assert!(judge((14, None)).is_err());
}

#[test]
fn delta_update_merges_to_the_full_playlist() {
    let full = Playlist::parse(&good());
    let start = good()
        .find("#EXT-X-PROGRAM-DATE-TIME:2026-11-11T12:00:02")
        .expect("there");
    let end = good()
        .find("#EXT-X-PROGRAM-DATE-TIME:2026-11-11T12:00:06")
        .expect("there");
    let mut text = good();
    text.replace_range(start..end, "");
    let head = "#EXTINF:2.000,\n10.m4s\n";
    let delta = text.replacen(head, "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n", 1);
    let delta = delta.replacen("#EXT-X-PROGRAM-DATE-TIME:2026-11-11T12:00:00.000Z\n", "", 1);
    let delta = delta.replacen("#EXT-X-MAP:URI=\"init-0.mp4\"\n", "", 1);
    let merged = Playlist::parse(&delta).merged_onto(&full).expect("it fits");
    assert_eq!(merged.segments, full.segments);
    let newer = Playlist::parse(&delta.replace("SEQUENCE:10", "SEQUENCE:20"));
    assert_eq!(newer.merged_onto(&full), None);
}

#[test]
fn multivariant_attributes_are_checked() {
    let judge = |text: &str| {
        let mut report = Report::default();
        Multivariant::parse(text)
            .expect("a multivariant")
            .check(&mut report);
        broken(&report)
    };
    assert_eq!(judge(MULTIVARIANT), Vec::<&str>::new());
    let table = [
        ("R1.9-bandwidth", "AVERAGE-BANDWIDTH=2100000,", ""),
        (
            "R1.9-bandwidth",
            "AVERAGE-BANDWIDTH=2",
            "AVERAGE-BANDWIDTH=9",
        ),
        ("R1.6-variant-codecs", ",mp4a.40.2", ""),
        ("R1.6-variant-codecs", "avc1", "avc3"),
        ("R1.6-variant-video", "RESOLUTION=1280x720,", ""),
        ("R1.6-variant-video", "FRAME-RATE=30.000,", ""),
        ("R1.6-audio-group", "AUDIO=\"a\"", "AUDIO=\"b\""),
    ];
    for (rule, from, to) in table {
        let text = MULTIVARIANT.replacen(from, to, 1);
        assert_ne!(text, MULTIVARIANT, "{from:?} is in the good playlist");
        assert!(judge(&text).contains(&rule), "{rule}");
    }
    assert_eq!(Multivariant::parse(&good()), None);
}
