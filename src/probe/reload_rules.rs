//! Rules of the delivery directives: what is refused, what is held, what rolls over, what a delta
//! update leaves out (section 6.2.5, DOMAIN table 1.4).

use std::time::Duration;

use super::Error;
use super::client::{Answer, Client, with_directives};
use super::http_rules::{self, Kind};
use super::playlist::Playlist;
use super::report::Report;
use super::series_rules;
use super::visit::Rendition;

/// What needs no waiting must be there within this time, whatever the network.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A playlist and the answer that brought it.
pub(super) async fn fetch(
    client: &Client,
    rendition: &Rendition,
    directives: &str,
) -> Result<(Answer, Playlist), Error> {
    let url = if directives.is_empty() {
        rendition.url.clone()
    } else {
        with_directives(&rendition.url, directives)
    };
    let answer = client.get(&url).await?;
    let playlist = Playlist::parse(&answer.text());
    Ok((answer, playlist))
}

/// Directives that can never be right get 400 at once.
pub(super) async fn check_refusals(
    client: &Client,
    report: &mut Report,
    rendition: &Rendition,
) -> Result<(), Error> {
    let (_, now) = fetch(client, rendition, "").await?;
    let (msn, _) = now.next_position();
    let wrong = [
        ("R1.3-part-without-msn", "_HLS_part=0".to_owned()),
        ("R1.3-not-a-number", "_HLS_msn=abc".to_owned()),
        ("R1.3-not-a-number", "_HLS_msn=-1".to_owned()),
        ("R1.3-not-a-number", format!("_HLS_msn={msn}&_HLS_part=x")),
        ("R1.3-duplicate", format!("_HLS_msn={msn}&_HLS_msn={msn}")),
        ("R1.3-msn-too-far", format!("_HLS_msn={}", msn + 10)),
    ];
    for (id, directives) in wrong {
        let (answer, _) = fetch(client, rendition, &directives).await?;
        refused(report, id, &answer, &directives, now.target_duration);
    }
    check_part_too_far(client, report, rendition).await
}

fn refused(report: &mut Report, id: &'static str, answer: &Answer, asked: &str, target: u64) {
    let slow = answer.done_after > AT_ONCE;
    let status = http_rules::status(answer, 400, asked);
    let seconds = answer.done_after.as_secs_f64();
    report.record(
        id,
        match status {
            Ok(_) if slow => Err(format!("{asked}: 400 only after {seconds:.1} s")),
            other => other,
        },
    );
    let lifetime = http_rules::lifetime(Kind::Malformed, answer, target);
    report.record("R1.7-cache-refusal", lifetime);
}

/// A part index above the Advance Part Limit. The segment may end between looking and asking, and
/// then the index rolls over with every right, so it is tried again.
async fn check_part_too_far(
    client: &Client,
    report: &mut Report,
    rendition: &Rendition,
) -> Result<(), Error> {
    let mut attempts = 0;
    loop {
        let (_, now) = fetch(client, rendition, "").await?;
        let (msn, part) = now.next_position();
        let asked = format!("_HLS_msn={msn}&_HLS_part={}", part + 60);
        let (answer, after) = fetch(client, rendition, &asked).await?;
        attempts += 1;
        let rolled_over = answer.status == 200 && after.reaches(msn, None);
        if !rolled_over || attempts == 3 {
            refused(
                report,
                "R1.3-part-too-far",
                &answer,
                &asked,
                now.target_duration,
            );
            return Ok(());
        }
    }
}

/// Rows that are answered at once: the past, and a part index past the end of a complete segment.
pub(super) async fn check_present(
    client: &Client,
    report: &mut Report,
    rendition: &Rendition,
) -> Result<(), Error> {
    let (_, now) = fetch(client, rendition, "").await?;
    let Some(last) = now.last_complete() else {
        report.skip("R1.3-past", "no segment is complete yet");
        return Ok(());
    };
    let asked = format!("_HLS_msn={}", last.msn);
    let (answer, after) = fetch(client, rendition, &asked).await?;
    let whole = after.skipped == 0 && after.position() >= now.position();
    report.record(
        "R1.3-past",
        match http_rules::status(&answer, 200, "a segment that is there") {
            Err(fault) => Err(fault),
            Ok(_) if answer.done_after > AT_ONCE => Err("a segment that is there was held".into()),
            Ok(_) if !whole => Err("the answer is not the full current playlist".into()),
            Ok(detail) => Ok(detail),
        },
    );
    if last.parts.is_empty() {
        report.skip("R1.3-rollover", "the newest segment lists no parts");
        return Ok(());
    }
    let asked = format!("_HLS_msn={}&_HLS_part={}", last.msn, last.parts.len());
    let (answer, after) = fetch(client, rendition, &asked).await?;
    report.record(
        "R1.3-rollover",
        match http_rules::status(&answer, 200, &asked) {
            Ok(_) if !after.reaches(last.msn + 1, Some(0)) => Err(format!(
                "{asked} means part 0 of the next segment, which the answer lacks"
            )),
            other => other,
        },
    );
    Ok(())
}

/// `_HLS_msn` alone waits for the whole segment.
pub(super) async fn check_msn_hold(
    client: &Client,
    report: &mut Report,
    rendition: &Rendition,
) -> Result<(), Error> {
    let (_, now) = fetch(client, rendition, "").await?;
    let msn = now
        .last_complete()
        .map_or(now.media_sequence, |s| s.msn + 1);
    let asked = format!("_HLS_msn={msn}");
    let (answer, after) = fetch(client, rendition, &asked).await?;
    let held = answer.done_after.as_secs_f64();
    report.record(
        "R1.3-msn-hold",
        match http_rules::status(&answer, 200, &asked) {
            Ok(_) if !after.reaches(msn, None) => Err(format!(
                "answered after {held:.2} s without the whole segment {msn}"
            )),
            Ok(_) => Ok(format!("held {held:.2} s, until the segment was whole")),
            Err(fault) => Err(fault),
        },
    );
    Ok(())
}

/// `_HLS_skip` leaves out old segments and nothing else (section 6.2.5.1).
pub(super) async fn check_delta(
    client: &Client,
    report: &mut Report,
    rendition: &Rendition,
) -> Result<(), Error> {
    let (_, before) = fetch(client, rendition, "").await?;
    let Some(until) = before.control.can_skip_until else {
        let why = "CAN-SKIP-UNTIL is not offered";
        report.skip("R1.8-delta", why);
        return Ok(());
    };
    for skip in ["YES", "v2"] {
        let (answer, delta) = fetch(client, rendition, &format!("_HLS_skip={skip}")).await?;
        let (_, after) = fetch(client, rendition, "").await?;
        let judged = match http_rules::status(&answer, 200, "delta update") {
            Ok(_) => merges(&before, &delta, &after, until),
            Err(fault) => Err(fault),
        };
        report.record("R1.8-delta", judged.map_err(|f| format!("{skip}: {f}")));
    }
    Ok(())
}

fn merges(
    before: &Playlist,
    delta: &Playlist,
    after: &Playlist,
    until: f64,
) -> Result<String, String> {
    if delta.skipped == 0 {
        let length: f64 = before.segments.iter().map(|s| s.duration).sum();
        return Ok(format!(
            "nothing to leave out: {length:.0} s of {until:.0} s that may not be skipped"
        ));
    }
    let kept: f64 = delta.segments.iter().map(|s| s.duration).sum();
    if kept + super::playlist_rules::ROUNDING_SECONDS < until {
        return Err(format!(
            "the update keeps {kept:.1} s, below CAN-SKIP-UNTIL {until}"
        ));
    }
    let merged = delta
        .merged_onto(before)
        .ok_or("it skips segments that the full playlist did not have")?;
    for segment in &merged.segments {
        let twin = after.segments.iter().find(|twin| twin.msn == segment.msn);
        if let Some(twin) = twin {
            series_rules::same_segment(segment, twin)?;
        }
    }
    Ok(format!(
        "{} segments left out, the rest equals the full playlist",
        delta.skipped
    ))
}

/// A report of every sibling, none of them stale (R1.6).
pub(super) async fn check_reports(
    client: &Client,
    report: &mut Report,
    renditions: &[Rendition],
) -> Result<(), Error> {
    const ID: &str = "R1.6-rendition-reports";
    let [first, siblings @ ..] = renditions else {
        return Ok(());
    };
    if siblings.is_empty() {
        report.skip(ID, "there is one rendition only");
        return Ok(());
    }
    for sibling in siblings {
        let (_, before) = fetch(client, sibling, "").await?;
        let (_, plain) = fetch(client, first, "").await?;
        let (msn, part) = plain.next_position();
        let directives = format!("_HLS_msn={msn}&_HLS_part={part}");
        let (_, fresh) = fetch(client, first, &directives).await?;
        let about = |uri: &str| {
            let url = first.url.join(uri).ok();
            url.is_some_and(|url| url.path() == sibling.url.path())
        };
        let Some(found) = fresh.reports.iter().find(|r| about(&r.uri)) else {
            let (one, other) = (&first.name, &sibling.name);
            report.record(ID, Err(format!("{one} has no report of {other}")));
            continue;
        };
        let at = match found.last {
            (msn, Some(part)) => format!("_HLS_msn={msn}&_HLS_part={part}"),
            (msn, None) => format!("_HLS_msn={msn}"),
        };
        let (_, after) = fetch(client, sibling, &at).await?;
        let judged = series_rules::check_report(found.last, &before, &after);
        report.record(ID, judged.map_err(|f| format!("{}: {f}", sibling.name)));
    }
    Ok(())
}

/// Objects that do not exist get 404 at once, and are soon forgotten.
pub(super) async fn check_unknown(
    client: &Client,
    report: &mut Report,
    rendition: &Rendition,
) -> Result<(), Error> {
    let (_, now) = fetch(client, rendition, "").await?;
    let sample = now.last_complete().and_then(|s| s.uri.clone());
    let Some(sample) = sample else { return Ok(()) };
    // The name of a segment with its number replaced: what a guess or an old link looks like.
    let name = sample.rsplit('/').next().unwrap_or_default();
    let extension = name
        .rsplit_once('.')
        .map_or("m4s", |(_, extension)| extension);
    let missing = format!("probe-no-such-part.{extension}");
    let base = rendition.url.join(&sample);
    let Ok(url) = base.and_then(|base| base.join(&missing)) else {
        return Ok(());
    };
    let answer = client.get(&url).await?;
    let judged = match http_rules::status(&answer, 404, &missing) {
        Ok(_) if answer.done_after > AT_ONCE => Err("an unknown part was held".into()),
        other => other,
    };
    report.record("R1.5-unknown-part", judged);
    report.record(
        "R1.7-cache-missing",
        http_rules::lifetime(Kind::Missing, &answer, now.target_duration),
    );
    Ok(())
}
