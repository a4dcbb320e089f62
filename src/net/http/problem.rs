//! Errors as viewers' tools read them: `application/problem+json` (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::net::http::{Body, Response, Upgrade};

/// A reply that says what is wrong: `status`, its title, and `detail` in one sentence.
#[must_use]
pub fn problem(status: StatusCode, detail: &str) -> Response {
    let text = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Unknown"),
        "status": status.as_u16(),
        "detail": detail,
    })
    .to_string();
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}

/// `response`, or what a peer is told that did not ask for the upgrade that it is.
pub(super) fn settle(response: Response, asked: Option<Upgrade>) -> Response {
    let needed = match response.body() {
        Body::Duplex(_) => Some(Upgrade::WebSocket),
        Body::Session(_) => Some(Upgrade::WebTransport),
        _ => None,
    };
    if needed.is_none() || needed == asked {
        return response;
    }
    let detail = "this resource is for peers that upgrade to a WebSocket or WebTransport session";
    problem(StatusCode::UPGRADE_REQUIRED, detail)
}
