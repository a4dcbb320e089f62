//! Replies: status, the headers of DOMAIN 1.4, ranges, conditions and problems. All viewer-facing
//! headers are named here and nowhere else.

use std::fmt;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response as HttpResponse, StatusCode};
use serde::Serialize;

use crate::coding::Chunks;
use crate::delivery::negotiate;
use crate::net::http::range::{self, Wanted};
use crate::net::http::{Body, Request, Response};
use crate::packaging::hls::Lifetime;

/// Type of playlists (RFC 8216bis section 10.4; `x-mpegURL` is flagged by validators).
pub(super) const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// Type of initialization segments.
pub(super) const MP4: &str = "video/mp4";
/// Type of media segments and parts.
pub(super) const SEGMENT: &str = "video/iso.segment";
/// Type of HTTP-FLV.
pub(super) const FLV: &str = "video/x-flv";
/// Type of JSON answers.
pub(super) const JSON: &str = "application/json";

const PROBLEM: &str = "application/problem+json";
const METHODS: &str = "GET, HEAD, OPTIONS";
/// Headers that a page of another origin may send: ranges, conditions, tokens and the four CMCD
/// groups.
const ALLOWED_HEADERS: &str = "range, if-none-match, if-range, authorization, \
    cmcd-request, cmcd-object, cmcd-status, cmcd-session";
/// Headers that such a page may read; hls.js needs `age` and `date` for the live edge.
const EXPOSED_HEADERS: &str = "age, cmsd-dynamic, cmsd-static, content-length, content-range, \
    date, etag, retry-after";
/// How long a browser remembers a preflight, in seconds: the most that Chromium honours.
const PREFLIGHT_SECONDS: u32 = 7200;

/// What of a request shapes the reply. Owned, so that a reply that waits can hold it.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    /// The client reads gzip.
    pub(super) gzip: bool,
    range: Option<HeaderValue>,
    if_range: Option<HeaderValue>,
    if_none_match: Option<HeaderValue>,
}

impl Conditions {
    pub(super) fn of(request: &Request) -> Self {
        let get = |name: HeaderName| request.headers.get(name).cloned();
        // RFC 9110 section 14.2: Range is defined for GET alone.
        let range = (request.method == Method::GET).then(|| get(header::RANGE));
        Self {
            gzip: negotiate::accepts_gzip(&request.headers),
            range: range.flatten(),
            if_range: get(header::IF_RANGE),
            if_none_match: get(header::IF_NONE_MATCH),
        }
    }

    /// True when a range is wanted.
    pub(super) fn is_partial(&self) -> bool {
        self.range.is_some()
    }

    /// True when the client has the version `etag` (unquoted) already.
    pub(super) fn knows(&self, etag: &str) -> bool {
        let Some(Ok(list)) = self.if_none_match.as_ref().map(HeaderValue::to_str) else {
            return false;
        };
        // Weak comparison, RFC 9110 section 13.1.2.
        let same = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"') == etag;
        list.trim() == "*" || list.split(',').any(same)
    }

    /// What is wanted of `bytes` bytes; all of them when the range is bound to another version.
    fn wanted(&self, etag: &HeaderValue, bytes: usize) -> Wanted {
        if self.if_range.as_ref().is_some_and(|tag| tag != etag) {
            return Wanted::All;
        }
        match self.range.as_ref().map(HeaderValue::to_str) {
            Some(Ok(text)) => range::parse(text, bytes as u64),
            _ => Wanted::All,
        }
    }
}

/// Text in both codings; made once, shared by all replies.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    pub(super) plain: Chunks,
    pub(super) gzip: Chunks,
}

/// A reply that many get. To clone it costs a fraction of what making it does.
pub(super) type Shared = HttpResponse<Chunks>;

/// A reply head with what every reply carries.
fn head(status: StatusCode, kind: &'static str, lifetime: Lifetime) -> HttpResponse<()> {
    let mut response = HttpResponse::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let lifetime = HeaderValue::try_from(lifetime.to_string()).expect("plain text");
    headers.insert(header::CACHE_CONTROL, lifetime);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    open_to_all(headers);
    response
}

/// CORS and timing for pages of any origin.
fn open_to_all(headers: &mut HeaderMap) {
    const TIMING: HeaderName = HeaderName::from_static("timing-allow-origin");
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    headers.insert(TIMING, any);
    let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// Text that exists in both codings, for all who read this one; [`aged`] for each of them.
pub(super) fn text(text: &Text, kind: &'static str, lifetime: Lifetime, gzip: bool) -> Shared {
    let mut response = head(StatusCode::OK, kind, lifetime);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::AGE, HeaderValue::from_static("0"));
    let body = if gzip && !text.gzip.is_empty() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        text.gzip.clone()
    } else {
        text.plain.clone()
    };
    response.map(|()| body)
}

/// The reply with what was true `age` ago.
pub(super) fn aged(mut shared: Shared, age: Duration) -> Response {
    if age.as_secs() > 0 {
        let seconds = HeaderValue::from(age.as_secs());
        shared.headers_mut().insert(header::AGE, seconds);
    }
    shared.map(Body::Chunks)
}

/// An object that may be asked for in ranges: 200, 206, 304 or 416.
pub(super) fn object(
    bytes: &Chunks,
    kind: &'static str,
    lifetime: Lifetime,
    etag: &str,
    conditions: &Conditions,
) -> Response {
    let known = conditions.knows(etag);
    let etag = quoted(etag);
    let (status, body, content_range) = if known {
        (StatusCode::NOT_MODIFIED, Chunks::default(), None)
    } else {
        match conditions.wanted(&etag, bytes.len()) {
            Wanted::All => (StatusCode::OK, bytes.clone(), None),
            Wanted::Part(part) => {
                let last = part.end - 1;
                let text = format!("bytes {}-{last}/{}", part.start, bytes.len());
                let part = to_usize(part.start)..to_usize(part.end);
                (StatusCode::PARTIAL_CONTENT, bytes.slice(part), Some(text))
            }
            Wanted::Nothing => {
                let mut response = problem(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    Lifetime::NoStore,
                    format_args!("the object has {} bytes: ask within them", bytes.len()),
                );
                let text = format!("bytes */{}", bytes.len());
                let value = HeaderValue::try_from(text).expect("digits are a header value");
                response.headers_mut().insert(header::CONTENT_RANGE, value);
                return response;
            }
        }
    };
    let mut response = head(status, kind, lifetime);
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(text) = content_range {
        let value = HeaderValue::try_from(text).expect("digits are a header value");
        headers.insert(header::CONTENT_RANGE, value);
    }
    response.map(|()| Body::Chunks(body))
}

/// A body without a length or an end.
pub(super) fn live(kind: &'static str, body: Body) -> Response {
    head(StatusCode::OK, kind, Lifetime::NoStore).map(|()| body)
}

/// The answer to a CORS preflight.
pub(super) fn preflight() -> Response {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    open_to_all(headers);
    let methods = HeaderValue::from_static(METHODS);
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static(ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    let seconds = HeaderValue::from(PREFLIGHT_SECONDS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, seconds);
    response
}

/// 204: taken, and nothing to say.
pub(super) fn taken() -> Response {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    open_to_all(response.headers_mut());
    response
}

/// A fault as `application/problem+json` (RFC 9457); `detail` says what to do about it.
pub(super) fn problem(
    status: StatusCode,
    lifetime: Lifetime,
    detail: impl fmt::Display,
) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        status: u16,
        detail: String,
    }
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: detail.to_string(),
    };
    let body = serde_json::to_vec(&problem).expect("texts and a number are JSON");
    let mut response = head(status, PROBLEM, lifetime);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let methods = HeaderValue::from_static(METHODS);
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response.map(|()| Body::from(bytes::Bytes::from(body)))
}

/// 503: try again after `seconds`.
pub(super) fn busy(seconds: u32, detail: impl fmt::Display) -> Response {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, Lifetime::NoStore, detail);
    let value = HeaderValue::from(seconds);
    response.headers_mut().insert(header::RETRY_AFTER, value);
    response
}

/// JSON that is made for each request.
pub(super) fn json(value: &impl Serialize, lifetime: Lifetime) -> Response {
    let body = serde_json::to_vec(value).expect("our own types are JSON");
    head(StatusCode::OK, JSON, lifetime).map(|()| Body::from(bytes::Bytes::from(body)))
}

/// Gives a reply the tag `etag` (unquoted).
pub(super) fn tag(response: &mut Response, etag: &str) {
    response.headers_mut().insert(header::ETAG, quoted(etag));
}

fn quoted(etag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{etag}\"")).expect("tags are plain text")
}

/// Positions of a range lie inside bytes that are in memory.
fn to_usize(position: u64) -> usize {
    usize::try_from(position).expect("a position inside a buffer")
}
