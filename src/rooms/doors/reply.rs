//! Replies of the doors: JSON and problems, for pages of any origin.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Response as HttpResponse, StatusCode};
use serde_json::json;

use crate::net::http::{Body, Response};
use crate::protocol::interact::question::{OrderAnswer, Refusal};

/// Type of problems (RFC 9457).
const PROBLEM: &str = "application/problem+json";
/// Type of answers.
const JSON: &str = "application/json";
/// Type of server-sent events.
const EVENTS: &str = "text/event-stream";
/// Header fields that a page of another origin may send.
const ALLOWED_HEADERS: &str =
    "authorization, cache-control, content-type, idempotency-key, last-event-id, rushlane-load";
/// Header fields that such a page may read.
const EXPOSED_HEADERS: &str = "date, retry-after";
/// How long a browser remembers a preflight, in seconds: the most that Chromium honours.
const PREFLIGHT_SECONDS: u32 = 7200;

fn head(status: StatusCode, kind: &'static str) -> HttpResponse<()> {
    let mut response = HttpResponse::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    open_to_all(headers);
    response
}

fn open_to_all(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// The answer to a preflight.
pub(super) fn preflight(methods: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    open_to_all(headers);
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let seconds = HeaderValue::from(PREFLIGHT_SECONDS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, seconds);
    response
}

/// JSON that is made already.
pub(super) fn json(bytes: impl Into<bytes::Bytes>) -> Response {
    head(StatusCode::OK, JSON).map(|()| Body::from(bytes.into()))
}

/// The start of server-sent events.
pub(super) fn events(body: Body) -> Response {
    head(StatusCode::OK, EVENTS).map(|()| body)
}

/// A stored answer to an order, byte for byte.
pub(super) fn order(answer: OrderAnswer) -> Response {
    let mut response = head(status(answer.status), JSON);
    retry_after(response.headers_mut(), answer.retry_after_s);
    response.map(|()| Body::from(bytes::Bytes::from(answer.body)))
}

/// A refusal as a problem.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = status(refusal.status);
    let mut problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Unknown"),
        "status": status.as_u16(),
        "code": refusal.code,
        "detail": refusal.detail,
    });
    if let Some(seconds) = refusal.retry_after_s {
        problem["retry_after_s"] = seconds.into();
    }
    let mut response = head(status, PROBLEM);
    retry_after(response.headers_mut(), refusal.retry_after_s);
    response.map(|()| Body::from(bytes::Bytes::from(problem.to_string())))
}

/// 405, with the methods that would do.
pub(super) fn method_not_allowed(methods: &'static str) -> Response {
    let refusal = Refusal {
        status: 405,
        code: "method".into(),
        detail: format!("this path takes {methods}"),
        retry_after_s: None,
    };
    let mut response = refused(&refusal);
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

fn retry_after(headers: &mut HeaderMap, seconds: Option<u32>) {
    if let Some(seconds) = seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
