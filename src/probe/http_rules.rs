//! Rules of single answers: status, headers, cache lifetimes (DOMAIN table 1.4, AAS 10, B.1).

use http::header;

use super::client::Answer;
use super::report::Report;

/// What an answer carries, for its lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A playlist asked for without directives.
    Playlist,
    /// A playlist that a blocking reload brought.
    Blocked,
    /// A part, segment or initialization.
    Media,
    /// A part or segment that does not exist.
    Missing,
    /// A request that can never be right.
    Malformed,
}

/// Looks at the headers of a playlist.
pub(super) fn check_playlist(report: &mut Report, answer: &Answer, secure: bool) {
    report.record("R1.6-mime-playlist", playlist_mime(answer));
    report.record("R1.6-gzip", gzip(answer));
    report.record("R1.6-cors", cors(answer));
    report.record("R1.6-age", age(answer));
    if secure {
        report.record("R1.6-http2", http2(answer));
    } else {
        report.skip("R1.6-http2", "plain HTTP: players need TLS for HTTP/2");
    }
}

/// Looks at the headers of a part, segment or initialization.
pub(super) fn check_media(report: &mut Report, answer: &Answer, target_duration: u64) {
    report.record("R1.6-mime-media", media_mime(answer));
    report.record("R1.6-cors", cors(answer));
    report.record(
        "R1.7-cache-media",
        lifetime(Kind::Media, answer, target_duration),
    );
}

fn playlist_mime(answer: &Answer) -> Result<String, String> {
    let mime = mime(answer);
    match mime.as_str() {
        "application/vnd.apple.mpegurl" | "audio/mpegurl" => Ok(mime),
        _ => Err(format!(
            "a playlist has the type {mime:?}, application/vnd.apple.mpegurl is right"
        )),
    }
}

fn media_mime(answer: &Answer) -> Result<String, String> {
    const RIGHT: [&str; 7] = [
        "video/mp4",
        "audio/mp4",
        "video/iso.segment",
        "audio/iso.segment",
        "video/mp2t",
        "audio/aac",
        "application/mp4",
    ];
    let mime = mime(answer);
    if RIGHT.contains(&mime.as_str()) {
        Ok(mime)
    } else {
        Err(format!("media has the type {mime:?}"))
    }
}

fn mime(answer: &Answer) -> String {
    let value = answer.header(header::CONTENT_TYPE);
    let value = value.split(';').next().unwrap_or_default();
    value.trim().to_ascii_lowercase()
}

fn gzip(answer: &Answer) -> Result<String, String> {
    if answer.header(header::CONTENT_ENCODING) == "gzip" {
        Ok("playlists come in gzip".into())
    } else {
        Err("a playlist came without gzip, though asked for".into())
    }
}

fn cors(answer: &Answer) -> Result<String, String> {
    match answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        "" => Err("no access-control-allow-origin: players in browsers cannot read this".into()),
        origin => Ok(format!("access-control-allow-origin: {origin}")),
    }
}

fn age(answer: &Answer) -> Result<String, String> {
    match answer.header(header::AGE) {
        "" => Ok("no age: nothing was cached".into()),
        age => match age.parse::<u64>() {
            Ok(seconds) => Ok(format!("age {seconds} s")),
            Err(_) => Err(format!("age {age:?} is no whole number of seconds")),
        },
    }
}

fn http2(answer: &Answer) -> Result<String, String> {
    if answer.version >= http::Version::HTTP_2 {
        Ok(format!("{:?}", answer.version))
    } else {
        Err(format!(
            "{:?} over TLS: AVPlayer plays low latency over HTTP/2 only",
            answer.version
        ))
    }
}

/// The cache lifetimes of appendix B.1: blocked playlists and media 6 target durations, playlists
/// without directives half of one, what is missing one; what is malformed is not stored.
pub(super) fn lifetime(kind: Kind, answer: &Answer, target: u64) -> Result<String, String> {
    let max_age = answer.max_age_seconds();
    let told = max_age.map_or_else(|| "none".into(), |seconds| format!("{seconds} s"));
    let judge = |right: bool, rule: &str| {
        if right {
            Ok(format!("{rule}, max-age {told}"))
        } else {
            Err(format!("{rule}, but max-age is {told}"))
        }
    };
    match kind {
        // max-age counts whole seconds, so half a target duration of 1 s may round up.
        Kind::Playlist => judge(
            max_age.unwrap_or(0) <= target.div_ceil(2),
            "a playlist without directives lives half a target duration",
        ),
        Kind::Blocked => judge(
            max_age.is_some_and(|age| age >= target && age <= 6 * target),
            "a blocked playlist lives up to six target durations",
        ),
        Kind::Media => judge(
            max_age.is_some_and(|age| age >= 6 * target),
            "media lives at least six target durations",
        ),
        Kind::Missing => judge(
            max_age.unwrap_or(0) <= 4 * target,
            "what is missing is forgotten soon",
        ),
        Kind::Malformed => judge(
            max_age.unwrap_or(0) == 0,
            "an error of the client is not stored",
        ),
    }
}

/// An error answer with the status it must have.
pub(super) fn status(answer: &Answer, wanted: u16, asked: &str) -> Result<String, String> {
    if answer.status == wanted {
        Ok(format!("{asked}: {wanted}"))
    } else {
        Err(format!("{asked}: {}, {wanted} is right", answer.status))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;
    use crate::runtime::clock;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, http::HeaderValue::from_static(value));
        }
        Answer {
            status,
            version: http::Version::HTTP_11,
            headers: map,
            body: bytes::Bytes::new(),
            sent: clock::now(),
            first_byte_after: Duration::ZERO,
            done_after: Duration::ZERO,
            done_unix_us: 0,
        }
    }

    #[test]
    fn lifetimes_follow_the_table() {
        let table = [
            (Kind::Playlist, "max-age=1", true),
            (Kind::Playlist, "no-cache", true),
            (Kind::Playlist, "max-age=6", false),
            (Kind::Blocked, "public, max-age=12", true),
            (Kind::Blocked, "no-store", false),
            (Kind::Blocked, "max-age=60", false),
            (Kind::Media, "max-age=31536000, immutable", true),
            (Kind::Media, "max-age=2", false),
            (Kind::Missing, "max-age=2", true),
            (Kind::Missing, "max-age=3600", false),
            (Kind::Malformed, "no-store", true),
            (Kind::Malformed, "max-age=1", false),
        ];
        for (kind, control, right) in table {
            let judged = lifetime(kind, &answer(200, &[("cache-control", control)]), 2);
            assert_eq!(judged.is_ok(), right, "{kind:?} {control}: {judged:?}");
        }
    }

    #[test]
    fn bare_answers_break_the_header_rules() {
        let mut report = Report::default();
        check_playlist(&mut report, &answer(200, &[("age", "soon")]), true);
        assert_eq!(report.failed(), 5, "{report}");
        let good = [
            ("content-type", "application/vnd.apple.mpegurl"),
            ("content-encoding", "gzip"),
            ("access-control-allow-origin", "*"),
            ("age", "0"),
        ];
        let mut report = Report::default();
        check_playlist(&mut report, &answer(200, &good), false);
        assert_eq!(report.failed(), 0, "{report}");
    }

    #[test]
    fn status_must_be_the_one_of_the_table() {
        assert!(status(&answer(400, &[]), 400, "x").is_ok());
        assert!(status(&answer(404, &[]), 400, "x").is_err());
    }
}
