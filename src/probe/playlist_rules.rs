//! Rules that one media playlist shows by itself.

use super::playlist::{Playlist, Segment};
use super::report::Report;

/// How far two ways of counting the same seconds may differ: playlists round to milliseconds, once
/// per part.
pub(super) const ROUNDING_SECONDS: f64 = 0.0015;

/// Looks at one playlist; `name` says which in the details.
pub(super) fn check(report: &mut Report, name: &str, playlist: &Playlist) {
    let mut record = |id, result: Result<String, String>| {
        report.record(id, result.map_err(|fault| format!("{name}: {fault}")));
    };
    record("R1.6-lines", lines(playlist));
    record("R1.1-version", version(playlist));
    record("R1.1-server-control", server_control(playlist));
    record("R1.2-part-durations", part_durations(playlist));
    record("R1.2-segment-durations", segment_durations(playlist));
    record("R1.15-window", window(playlist));
    record("R1.6-date-time", dates(playlist));
    record("R1.1-discontinuity-seq", discontinuity_sequence(playlist));
    record("R1.1-map", maps(playlist));
    record("R1.5-hint-listed", hint(playlist));
}

fn lines(playlist: &Playlist) -> Result<String, String> {
    match playlist.line_faults.first() {
        None => Ok("every line can be read, in an order players accept".into()),
        Some(fault) => Err(fault.clone()),
    }
}

/// Section 7: EXT-X-SKIP needs 9, EXT-X-MAP outside I-frame playlists 6.
fn version(playlist: &Playlist) -> Result<String, String> {
    let needed = if playlist.skipped > 0 || playlist.control.can_skip_until.is_some() {
        9
    } else {
        6
    };
    let version = playlist.version;
    if version < needed {
        return Err(format!("VERSION {version}, but its tags need {needed}"));
    }
    Ok(format!("VERSION {version}"))
}

/// Section 4.4.3.8 and AAS 14.3.
fn server_control(playlist: &Playlist) -> Result<String, String> {
    let control = &playlist.control;
    if !control.can_block_reload {
        return Err("no CAN-BLOCK-RELOAD=YES: this is no low-latency stream".into());
    }
    let Some(part_target) = playlist.part_target else {
        return Err("no EXT-X-PART-INF: this is no low-latency stream".into());
    };
    let target = seconds(playlist.target_duration);
    let at_least = |name: &str, value: Option<f64>, least: f64| match value {
        Some(value) if value + 1e-6 < least => Err(format!("{name}={value} is below {least:.3}")),
        _ => Ok(()),
    };
    if control.part_hold_back.is_none() {
        return Err("no PART-HOLD-BACK, though there are parts".into());
    }
    at_least("PART-HOLD-BACK", control.part_hold_back, 3.0 * part_target)?;
    at_least("HOLD-BACK", control.hold_back, 3.0 * target)?;
    at_least("CAN-SKIP-UNTIL", control.can_skip_until, 6.0 * target)?;
    Ok(format!(
        "TARGETDURATION {target}, PART-TARGET {part_target}, PART-HOLD-BACK {}",
        control.part_hold_back.unwrap_or_default(),
    ))
}

/// No part above PART-TARGET; none below 85 % of it but before an independent part, before a
/// discontinuity and at the end of a segment (section 4.4.4.9).
fn part_durations(playlist: &Playlist) -> Result<String, String> {
    let Some(target) = playlist.part_target else {
        return Err("no PART-TARGET to compare with".into());
    };
    let mut count = 0;
    for segment in &playlist.segments {
        let complete = segment.uri.is_some();
        for (index, part) in segment.parts.iter().enumerate() {
            count += 1;
            let name = format!("part {}.{index} lasts {}", segment.msn, part.duration);
            if part.duration > target + 1e-6 {
                return Err(format!("{name} s, above PART-TARGET {target}"));
            }
            let last = complete && index + 1 == segment.parts.len();
            let before_key = segment.parts.get(index + 1).is_some_and(|p| p.independent);
            let newest = !complete && index + 1 == segment.parts.len();
            let exempt = last || before_key || newest || part.independent || part.gap;
            if part.duration < 0.85 * target - 1e-6 && !exempt {
                return Err(format!("{name} s, below 85 % of PART-TARGET {target}"));
            }
        }
    }
    Ok(format!("{count} parts between 85 % and 100 % of {target}"))
}

/// EXTINF, rounded, within TARGETDURATION (section 4.4.3.1), and equal to the sum of its parts.
fn segment_durations(playlist: &Playlist) -> Result<String, String> {
    let limit = seconds(playlist.target_duration) + 0.5;
    let complete = || playlist.segments.iter().filter(|s| s.uri.is_some());
    for segment in complete() {
        let Segment { msn, duration, .. } = segment;
        if *duration >= limit {
            return Err(format!(
                "segment {msn} lasts {duration} s, above TARGETDURATION + 0.5 = {limit}"
            ));
        }
        let parts: f64 = segment.parts.iter().map(|part| part.duration).sum();
        let slack = segment.parts.iter().map(|_| ROUNDING_SECONDS).sum::<f64>() + ROUNDING_SECONDS;
        if !segment.parts.is_empty() && (parts - duration).abs() > slack {
            return Err(format!(
                "segment {msn} lasts {duration} s, its parts {parts:.3} s"
            ));
        }
    }
    Ok(format!("{} segments below {limit} s", complete().count()))
}

/// Section 6.2.2: never below three TARGETDURATIONs; AAS 8.11: at least six segments.
fn window(playlist: &Playlist) -> Result<String, String> {
    let complete = || playlist.segments.iter().filter(|s| s.uri.is_some());
    let length: f64 = complete().map(|segment| segment.duration).sum();
    let count = u64::try_from(complete().count()).unwrap_or(u64::MAX);
    // A stream that has just begun has no window yet.
    let young = playlist.media_sequence == 0 && playlist.skipped == 0;
    if playlist.skipped == 0 && !young {
        let least = 3.0 * seconds(playlist.target_duration);
        if length < least {
            return Err(format!("the window of {length:.1} s is below {least} s"));
        }
        if count < 6 {
            return Err(format!("the window has {count} segments, 6 are asked"));
        }
    }
    Ok(format!("{length:.1} s in {count} segments"))
}

/// PROGRAM-DATE-TIME in each playlist (AAS 8.4), and each date where the one before leads to.
fn dates(playlist: &Playlist) -> Result<String, String> {
    if playlist.segments.iter().all(|s| s.date_us.is_none()) {
        return Err("there is no EXT-X-PROGRAM-DATE-TIME".into());
    }
    let tolerance_us = date_tolerance_us(playlist);
    let mut expected: Option<i64> = None;
    let mut worst_us = 0;
    for segment in &playlist.segments {
        if segment.discontinuity {
            expected = None;
        }
        if let (Some(date), Some(expected)) = (segment.date_us, expected) {
            let error_us = (date - expected).abs();
            worst_us = worst_us.max(error_us);
            if error_us > tolerance_us {
                return Err(format!(
                    "segment {} is dated {} ms from where the one before ends",
                    segment.msn,
                    (date - expected) / 1000
                ));
            }
        }
        expected = segment
            .date_us
            .or(expected)
            .map(|start| start + super::playlist::microseconds(segment.duration));
    }
    Ok(format!("dates agree within {} ms", worst_us / 1000))
}

/// One part, and never less than 100 ms: capture clocks drift and are read once per segment.
pub(super) fn date_tolerance_us(playlist: &Playlist) -> i64 {
    super::playlist::microseconds(playlist.part_target.unwrap_or(0.5)).max(100_000)
}

/// AAS 8.17: always there when a discontinuity may ever occur; a live stream cannot rule it out.
fn discontinuity_sequence(playlist: &Playlist) -> Result<String, String> {
    match playlist.discontinuity_sequence {
        Some(sequence) => Ok(format!(
            "EXT-X-DISCONTINUITY-SEQUENCE is there ({sequence})"
        )),
        None if playlist.segments.iter().any(|s| s.discontinuity) => {
            Err("a discontinuity, but no EXT-X-DISCONTINUITY-SEQUENCE".into())
        }
        None => Err("no EXT-X-DISCONTINUITY-SEQUENCE, so no discontinuity may ever occur".into()),
    }
}

fn maps(playlist: &Playlist) -> Result<String, String> {
    let fragmented = |uri: &String| {
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        path.ends_with(".m4s") || path.ends_with(".mp4")
    };
    for segment in &playlist.segments {
        let unmapped = segment.map.is_none() && playlist.skipped == 0;
        if unmapped && segment.uri.as_ref().is_some_and(fragmented) {
            return Err(format!("segment {} has no EXT-X-MAP", segment.msn));
        }
    }
    Ok("each fragmented segment has its EXT-X-MAP".into())
}

/// Section 4.4.5.3: at most one hint per type, and it names what is not there yet.
fn hint(playlist: &Playlist) -> Result<String, String> {
    match playlist.hints.as_slice() {
        [] if playlist.ended => Ok("the stream has ended".into()),
        [] => Err("no EXT-X-PRELOAD-HINT of TYPE=PART".into()),
        [hint] => {
            let mut parts = playlist.segments.iter().flat_map(|s| &s.parts);
            let listed = parts.any(|part| part.uri == hint.uri && part.range.is_none());
            if listed {
                return Err(format!(
                    "the hint names {}, a part already listed",
                    hint.uri
                ));
            }
            Ok("one hint of a part to come".into())
        }
        several => Err(format!("{} hints of TYPE=PART", several.len())),
    }
}

/// A whole number of seconds as playlists count them.
pub(super) fn seconds(whole: u64) -> f64 {
    f64::from(u32::try_from(whole).unwrap_or(u32::MAX))
}
