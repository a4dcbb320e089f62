//! Answers to those whom this node does not serve just now: go there, or come back.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::net::http::{Body, Response};

/// 307 to `location`, where the same bytes are (D4).
pub(super) fn elsewhere(location: &str) -> Response {
    let location = HeaderValue::try_from(location).expect("a URL of two URLs' parts");
    let mut response = for_now(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// 503: why, when to come back, and `more` members of the problem.
pub(super) fn later(detail: &str, seconds: u32, more: Value) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
        "retry_after_s": seconds,
    });
    if let (Some(problem), Value::Object(more)) = (problem.as_object_mut(), more) {
        problem.extend(more);
    }
    let mut response = for_now(Body::from(Bytes::from(problem.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// An answer that pages of any origin may read, for now only.
fn for_now(body: Body) -> Response {
    const TIMING: HeaderName = HeaderName::from_static("timing-allow-origin");
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    headers.insert(TIMING, any);
    let exposed = HeaderValue::from_static("retry-after");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
