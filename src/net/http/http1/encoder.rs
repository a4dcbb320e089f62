//! Reply heads into bytes, by hand: one buffer, no formatting machinery.

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderName, StatusCode, header};

use crate::net::http::Body;
use crate::net::http::front::{Front, SERVER};
use crate::net::http::link::Link;

/// Most heads fit.
const HEAD_BYTES: usize = 512;

/// What the head says of the body's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// So many bytes follow (or would, for HEAD).
    Bytes(usize),
    /// The body ends with the connection.
    UntilClose,
    /// There can be no body, so nothing is said (101, 204, 304).
    Silent,
}

/// Whether the connection stays, and what must be said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    Close,
    Stays,
    /// Stays, and the peer must be told so (HTTP/1.0).
    StaysAnnounced,
    /// Goes on with something else.
    Upgrades,
}

/// Writes status line and fields of a reply into `out`, with those that the front owns.
pub(super) fn head(
    out: &mut Vec<u8>,
    parts: &Parts,
    length: Length,
    persistence: Persistence,
    (front, link): (&Front, &Link),
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(
        parts
            .status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    );
    out.extend_from_slice(b"\r\n");
    for (name, value) in parts.headers.iter().filter(|(name, _)| !is_ours(name)) {
        field(out, name.as_str(), value.as_bytes());
    }
    field(out, "date", front.date().as_bytes());
    field(out, "server", SERVER.as_bytes());
    if let Some(value) = front.alt_svc(link) {
        field(out, "alt-svc", value.as_bytes());
    }
    match length {
        Length::Bytes(bytes) => {
            out.extend_from_slice(b"content-length: ");
            decimal(out, bytes);
            out.extend_from_slice(b"\r\n");
        }
        Length::UntilClose | Length::Silent => {}
    }
    match persistence {
        Persistence::Close => field(out, "connection", b"close"),
        Persistence::StaysAnnounced => field(out, "connection", b"keep-alive"),
        Persistence::Upgrades => field(out, "connection", b"upgrade"),
        Persistence::Stays => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// A whole reply in one buffer, for connections that stay unless the node drains; `None` for one
/// without a body, or with one of unknown length.
pub(in crate::net::http) fn encode(
    parts: &Parts,
    body: &Body,
    front: &Front,
    link: &Link,
) -> Option<Bytes> {
    let Body::Chunks(chunks) = body else {
        return None;
    };
    if is_bodiless(parts.status) {
        return None;
    }
    let persistence = if front.leaving().is_requested() {
        Persistence::Close
    } else {
        Persistence::Stays
    };
    let mut out = Vec::with_capacity(HEAD_BYTES + chunks.len());
    let length = Length::Bytes(chunks.len());
    head(&mut out, parts, length, persistence, (front, link));
    for chunk in chunks.as_slice() {
        out.extend_from_slice(chunk);
    }
    Some(out.into())
}

/// True when a reply of `status` never has a body (RFC 9110, sections 15.3.5 and 15.4.5).
pub(super) fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Fields that only the front can know.
fn is_ours(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH
        || *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::DATE
        || *name == header::SERVER
        || *name == header::ALT_SVC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 9, 10, 1_234_567_890, usize::MAX] {
            let mut out = Vec::new();
            decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
