//! Rules that only several playlists show: one rendition over time, and renditions side by side.

use super::playlist::{Playlist, Segment, microseconds};
use super::playlist_rules::{ROUNDING_SECONDS, date_tolerance_us};
use super::report::Report;

/// What must stay as it is for the life of a stream and be the same in all renditions (R1.1).
fn frozen(playlist: &Playlist) -> String {
    let control = &playlist.control;
    let number = |value: Option<f64>| value.map_or_else(|| "none".into(), |v| v.to_string());
    format!(
        "VERSION {}, TARGETDURATION {}, PART-TARGET {}, PART-HOLD-BACK {}, HOLD-BACK {}, \
         CAN-SKIP-UNTIL {}",
        playlist.version,
        playlist.target_duration,
        number(playlist.part_target),
        number(control.part_hold_back),
        number(control.hold_back),
        number(control.can_skip_until),
    )
}

/// Looks at two playlists of one rendition, `before` fetched earlier than `after`.
pub(super) fn check_step(report: &mut Report, name: &str, before: &Playlist, after: &Playlist) {
    let mut record = |id, result: Result<String, String>| {
        report.record(id, result.map_err(|fault| format!("{name}: {fault}")));
    };
    let (was, is) = (frozen(before), frozen(after));
    record(
        "R1.1-frozen",
        if was == is {
            Ok(format!("{is}, all the time"))
        } else {
            Err(format!("was {was}; is {is}"))
        },
    );
    record("R1.1-sequence", sequence(before, after));
    record("R1.1-discontinuity-seq", discontinuities(before, after));
}

/// Numbers never go back; what was listed is listed unchanged or has left at the front.
fn sequence(before: &Playlist, after: &Playlist) -> Result<String, String> {
    if after.media_sequence < before.media_sequence {
        return Err(format!(
            "MEDIA-SEQUENCE went back from {} to {}",
            before.media_sequence, after.media_sequence
        ));
    }
    if after.position() < before.position() {
        return Err(format!(
            "the newest part went back from {:?} to {:?}",
            before.position(),
            after.position()
        ));
    }
    for old in &before.segments {
        let Some(new) = after.segments.iter().find(|new| new.msn == old.msn) else {
            continue;
        };
        same_segment(old, new)?;
    }
    Ok(format!("numbers only grow, last {}", after.media_sequence))
}

pub(super) fn same_segment(old: &Segment, new: &Segment) -> Result<(), String> {
    let msn = old.msn;
    if old.uri.is_some() {
        if new.uri != old.uri {
            return Err(format!(
                "segment {msn} was {:?} and is {:?}",
                old.uri, new.uri
            ));
        }
        if (new.duration - old.duration).abs() > ROUNDING_SECONDS {
            return Err(format!(
                "segment {msn} lasted {} s and lasts {} s",
                old.duration, new.duration
            ));
        }
    }
    // Parts may leave all at once, when they are older than three TARGETDURATIONs.
    for (index, (was, is)) in old.parts.iter().zip(&new.parts).enumerate() {
        if was != is {
            return Err(format!(
                "part {msn}.{index} was {} of {} s and is {} of {} s",
                was.uri, was.duration, is.uri, is.duration
            ));
        }
    }
    if !new.parts.is_empty() && new.parts.len() < old.parts.len() {
        return Err(format!("segment {msn} lost some of its parts"));
    }
    if old.date_us != new.date_us {
        return Err(format!("segment {msn} changed its date"));
    }
    Ok(())
}

/// Grows by one for each EXT-X-DISCONTINUITY that left with its segment (section 6.2.2).
fn discontinuities(before: &Playlist, after: &Playlist) -> Result<String, String> {
    let (Some(was), Some(is)) = (before.discontinuity_sequence, after.discontinuity_sequence)
    else {
        return Err("no EXT-X-DISCONTINUITY-SEQUENCE".into());
    };
    // Only complete knowledge of what left allows the exact check.
    let known = before.skipped == 0 && after.media_sequence <= last_msn(before);
    let left = before
        .segments
        .iter()
        .filter(|s| s.msn < after.media_sequence && s.discontinuity)
        .count();
    let expected = was + u64::try_from(left).unwrap_or(0);
    if is < was || (known && is != expected) {
        return Err(format!(
            "EXT-X-DISCONTINUITY-SEQUENCE went from {was} to {is}, {expected} is right"
        ));
    }
    Ok(format!("EXT-X-DISCONTINUITY-SEQUENCE {is}"))
}

fn last_msn(playlist: &Playlist) -> u64 {
    playlist.segments.last().map_or(0, |segment| segment.msn)
}

/// Looks at playlists of different renditions fetched at about the same time.
pub(super) fn check_siblings(
    report: &mut Report,
    names: (&str, &str),
    one: &Playlist,
    other: &Playlist,
) {
    let between = format!("{} and {}", names.0, names.1);
    let mut record = |id, result: Result<String, String>| {
        report.record(id, result.map_err(|fault| format!("{between}: {fault}")));
    };
    let (first, second) = (frozen(one), frozen(other));
    record(
        "R1.1-renditions-agree",
        if first == second {
            Ok("VERSION, TARGETDURATION, PART-INF and SERVER-CONTROL are the same".into())
        } else {
            Err(format!("{first}; against {second}"))
        },
    );
    record("R1.6-renditions-aligned", aligned(one, other));
}

/// The same MSN starts at the same date and after the same discontinuities everywhere.
fn aligned(one: &Playlist, other: &Playlist) -> Result<String, String> {
    let tolerance_us = date_tolerance_us(one).max(date_tolerance_us(other));
    let mut compared = 0;
    let mut worst_us = 0;
    for segment in &one.segments {
        let Some(twin) = other.segments.iter().find(|twin| twin.msn == segment.msn) else {
            continue;
        };
        if twin.discontinuity != segment.discontinuity {
            let msn = segment.msn;
            return Err(format!("only one has the discontinuity before {msn}"));
        }
        if let (Some(date), Some(twin)) = (segment.date_us, twin.date_us) {
            compared += 1;
            worst_us = worst_us.max((date - twin).abs());
        }
    }
    if compared == 0 {
        return Err("no segment number that both have is dated in both".into());
    }
    if worst_us > tolerance_us {
        return Err(format!(
            "the same segment number starts {} ms apart",
            worst_us / 1000
        ));
    }
    Ok(format!(
        "{compared} segments start within {} ms of each other",
        worst_us / 1000
    ))
}

/// Checks a rendition report against the sibling's playlists fetched before and after it (R1.6):
/// neither more than a part ahead of what the sibling has, nor more than two parts behind.
pub(super) fn check_report(
    last: (u64, Option<u64>),
    before: &Playlist,
    after: &Playlist,
) -> Result<String, String> {
    let (msn, Some(part)) = last else {
        let enough = last.0 + 1 >= last_msn(before) && last.0 <= last_msn(after);
        return if enough {
            Ok(format!("LAST-MSN {} is fresh", last.0))
        } else {
            Err(format!(
                "LAST-MSN {}, the sibling is at {}",
                last.0,
                last_msn(after)
            ))
        };
    };
    let end = |playlist: &Playlist, msn: u64, part: u64| {
        let index = playlist.segments.iter().position(|s| s.msn == msn)?;
        let earlier: f64 = playlist.segments[..index].iter().map(|s| s.duration).sum();
        let parts = playlist.segments[index]
            .parts
            .get(..usize::try_from(part).ok()? + 1)?;
        let inside: f64 = parts.iter().map(|part| part.duration).sum();
        Some(microseconds(earlier + inside))
    };
    let Some(reported_us) = end(after, msn, part) else {
        return Err(format!(
            "reports {msn}.{part}, which the sibling does not list (it is at {:?})",
            after.position()
        ));
    };
    let newest = before.position().unwrap_or_default();
    let behind_us = end(after, newest.0, newest.1).unwrap_or(reported_us) - reported_us;
    let limit_us = microseconds(2.0 * after.part_target.unwrap_or(0.5)) + 1_000;
    if behind_us > limit_us {
        return Err(format!(
            "reports {msn}.{part}, {} ms behind what the sibling had before",
            behind_us / 1000
        ));
    }
    Ok(format!("{msn}.{part} is fresh"))
}
