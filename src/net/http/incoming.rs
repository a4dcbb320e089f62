//! Requests of the versions of HTTP with streams.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, StatusCode, header};
use tokio::time::timeout;

use crate::net::http::link::Link;
use crate::net::http::{BODY_BYTES_MAX, Protocol, Request, Response, Upgrade, problem};
use crate::telemetry::access::Slip;

/// How long a body may take: the largest one at 26 kbit/s.
pub(super) const BODY_WAIT: Duration = Duration::from_secs(20);

/// The request of `head`. One that asks for an upgrade by an extended CONNECT is a GET to services.
pub(super) fn request(
    head: Parts,
    body: Bytes,
    upgrade: Option<Upgrade>,
    (protocol, link): (Protocol, &Link),
    slip: Slip,
) -> Request {
    let path = head.uri.into_parts().path_and_query;
    Request {
        method: upgrade.map_or(head.method, |_| Method::GET),
        uri: path.map(Into::into).unwrap_or_default(),
        headers: head.headers,
        body,
        upgrade,
        protocol,
        secure: link.secure,
        peer: link.peer,
        extensions: http::Extensions::new(),
        direct: None,
        slip,
    }
}

/// Collects the body of `head` from the pieces that `next` returns; a reply when it is too large or
/// takes too long.
pub(super) async fn collect<E>(
    head: &Parts,
    mut next: impl AsyncFnMut() -> Result<Option<Bytes>, E>,
) -> Result<Result<Bytes, Response>, E> {
    let announced = head.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Ok(Err(too_large()));
    }
    let mut body = BytesMut::new();
    let whole = async {
        while let Some(piece) = next().await? {
            if piece.len() > BODY_BYTES_MAX - body.len() {
                return Ok(Err(too_large()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Ok(body.freeze()))
    };
    timeout(BODY_WAIT, whole).await.unwrap_or_else(|_| {
        let detail = "the request took too long";
        Ok(Err(problem(StatusCode::REQUEST_TIMEOUT, detail)))
    })
}

/// True when requests of `method` have no body that means anything.
pub(super) fn is_bodiless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The reply to a body where there should be none.
pub(super) fn body_without_meaning() -> Response {
    let detail = "a request body is not accepted here";
    problem(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// The reply to a CONNECT that no service takes.
pub(super) fn no_proxy() -> Response {
    problem(StatusCode::NOT_IMPLEMENTED, "this server is no proxy")
}

fn too_large() -> Response {
    let detail = format!("a request body is at most {BODY_BYTES_MAX} bytes");
    problem(StatusCode::PAYLOAD_TOO_LARGE, &detail)
}
