//! Bytes into request heads, sans-IO. Everything a stranger can send goes through here.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use httparse::Status;

use crate::net::http::BODY_BYTES_MAX;
use crate::net::http::http1::body::{Framing, Incoming};
use crate::net::http::http1::websocket;

/// The most bytes of a request head, and of pipelined requests that wait for their turn. 16 KiB:
/// twice what browsers and proxies send with tokens and cookies.
pub const HEAD_BYTES_MAX: usize = 16 << 10;

/// The most fields in a head.
pub const FIELDS_MAX: usize = 100;

/// Room for the fields of a head; to clear all of it would take longer than to parse most heads.
const FIELDS: [MaybeUninit<httparse::Header<'_>>; FIELDS_MAX] =
    [const { MaybeUninit::uninit() }; FIELDS_MAX];

/// How an HTTP/2 connection with prior knowledge begins (RFC 9113, section 3.4), as far as it
/// looks like a request head.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// A request head, with what its fields say about the connection.
#[derive(Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// Path and query; `*` for the whole server.
    pub uri: Uri,
    /// All fields.
    pub headers: HeaderMap,
    /// The peer wants to send another request after this one.
    pub keep_alive: bool,
    /// The peer speaks HTTP/1.0 and must be told when the connection stays.
    pub http10: bool,
    /// The peer waits for leave to send its body.
    pub expects_continue: bool,
    /// The body that follows.
    pub framing: Framing,
}

/// Why a request cannot be understood. The connection closes after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not HTTP, or not by the grammar.
    #[error("{0}")]
    Syntax(&'static str),
    /// Above [`HEAD_BYTES_MAX`] or [`FIELDS_MAX`].
    #[error("a request head is at most {HEAD_BYTES_MAX} bytes and {FIELDS_MAX} fields")]
    TooLarge,
    /// Head or body did not arrive in time.
    #[error("the request took too long")]
    TooSlow,
    /// A body above [`BODY_BYTES_MAX`].
    #[error("a request body is at most {BODY_BYTES_MAX} bytes")]
    BodyTooLarge,
    /// A WebSocket of a version that nobody speaks any more.
    #[error("the version of WebSocket known is {}", websocket::VERSION)]
    WebSocketVersion,
    /// An expectation other than 100-continue.
    #[error("the only expectation known is 100-continue")]
    Expectation,
    /// A method or transfer coding that this server does not have.
    #[error("{0}")]
    NotImplemented(&'static str),
    /// Neither HTTP/1.0 nor 1.1.
    #[error("this is an HTTP/1.1 server")]
    Version,
}

impl Fault {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Syntax(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

/// Collects bytes and takes request heads off their front. Holds no memory while it is empty.
///
/// Push at most [`Self::room`] bytes, then call [`Self::next`] until it returns `None`.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: BytesMut,
    /// Bytes of `pending` in which no head ends.
    scanned: usize,
}

impl Decoder {
    /// How many bytes may be pushed now.
    #[must_use]
    pub fn room(&self) -> usize {
        HEAD_BYTES_MAX.saturating_sub(self.pending.len())
    }

    /// True when nothing waits to be decoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds bytes from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room(), "pushed past the room");
        self.pending.extend_from_slice(bytes);
    }

    /// The next head, or `None` when more bytes are needed. After a fault the decoder is of no more
    /// use.
    #[expect(clippy::should_implement_trait, reason = "an iterator would not end")]
    pub fn next(&mut self) -> Result<Option<Head>, Fault> {
        if self.scanned == 0 {
            self.skip_empty_lines();
        }
        let Some(length) = head_length(&self.pending, self.scanned) else {
            if self.scanned == 0 {
                // Garbage is refused at its first bytes, not when it has filled the buffer.
                check_start(&self.pending)?;
            }
            self.scanned = self.pending.len().saturating_sub(2);
            return if self.room() == 0 {
                Err(Fault::TooLarge)
            } else {
                Ok(None)
            };
        };
        self.scanned = 0;
        let head = self.take(length);
        parse(&head).map(Some)
    }

    /// True when HTTP/2 begins here instead of a request.
    #[must_use]
    pub fn at_preface(&self) -> bool {
        self.pending.starts_with(PREFACE)
    }

    /// Takes what is here of `body`; the body's bytes, once it is whole.
    pub fn body(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Fault> {
        let whole = body.advance(&mut self.pending);
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
        }
        whole
    }

    /// All bytes that wait.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.pending.freeze()
    }

    /// RFC 9112, section 2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior
    /// to the request-line".
    fn skip_empty_lines(&mut self) {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let empty = self
            .pending
            .iter()
            .take_while(|byte| is_break(byte))
            .count();
        self.take(empty);
    }

    fn take(&mut self, length: usize) -> Bytes {
        if length == self.pending.len() {
            std::mem::take(&mut self.pending).freeze()
        } else {
            self.pending.split_to(length).freeze()
        }
    }
}

/// Bytes up to and with the empty line that ends a head; bytes before `from` hold no end.
fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == b'\n') {
        at += found + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

fn check_start(bytes: &[u8]) -> Result<(), Fault> {
    let mut fields = FIELDS;
    match httparse::Request::new(&mut []).parse_with_uninit_headers(bytes, &mut fields) {
        Ok(_) => Ok(()),
        Err(_) if bytes.starts_with(b"PRI * HTTP/2") => Ok(()),
        Err(error) => Err(fault_of(error)),
    }
}

/// Reads one whole head: `bytes` ends with the empty line.
fn parse(bytes: &Bytes) -> Result<Head, Fault> {
    let mut fields = FIELDS;
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, &mut fields);
    match parsed.map_err(fault_of)? {
        Status::Complete(length) if length == bytes.len() => {}
        _ => return Err(Fault::Syntax("the request head ends too early")),
    }
    let method = method(request.method.unwrap_or_default())?;
    let uri = target(bytes.slice_ref(request.path.unwrap_or_default().as_bytes()))?;
    let http10 = request.version == Some(0);

    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Fault::Syntax("a field name is not a token"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value))
            .map_err(|_| Fault::Syntax("a field value holds a control character"))?;
        headers.append(name, value);
    }
    if !http10 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Fault::Syntax("exactly one host field is needed"));
    }
    Ok(Head {
        method,
        uri,
        keep_alive: keep_alive(&headers, http10),
        http10,
        expects_continue: expects_continue(&headers)?,
        framing: framing(&headers, http10)?,
        headers,
    })
}

fn fault_of(error: httparse::Error) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => Fault::TooLarge,
        httparse::Error::Version => Fault::Version,
        httparse::Error::HeaderName => Fault::Syntax("a field name is not a token"),
        httparse::Error::HeaderValue => Fault::Syntax("a field value holds a control character"),
        httparse::Error::NewLine => Fault::Syntax("a line does not end in CRLF"),
        httparse::Error::Status | httparse::Error::Token => {
            Fault::Syntax("the request line is not METHOD PATH HTTP/1.1")
        }
    }
}

fn method(name: &str) -> Result<Method, Fault> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT) => Err(Fault::NotImplemented("this server is no proxy")),
        Ok(method) => Ok(method),
        Err(_) => Err(Fault::Syntax("the method is not a token")),
    }
}

/// Origin form, absolute form or `*` (RFC 9112, section 3.2), as path and query.
fn target(text: Bytes) -> Result<Uri, Fault> {
    let path = match text.first() {
        Some(b'/' | b'*') => PathAndQuery::from_maybe_shared(text).ok(),
        _ => Uri::from_maybe_shared(text)
            .ok()
            .filter(|uri| uri.scheme().is_some())
            .and_then(|uri| uri.into_parts().path_and_query),
    };
    path.map(Uri::from)
        .ok_or(Fault::Syntax("the request target is not a path"))
}

fn keep_alive(headers: &HeaderMap, http10: bool) -> bool {
    let says = |option| says(headers, &header::CONNECTION, option);
    if http10 {
        says("keep-alive") && !says("close")
    } else {
        !says("close")
    }
}

/// True when the list in the fields `name` has `token`, in upper or lower case.
pub(super) fn says(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        let mut tokens = value.split(',');
        tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
    })
}

fn expects_continue(headers: &HeaderMap) -> Result<bool, Fault> {
    match headers.get(header::EXPECT) {
        None => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Fault::Expectation),
    }
}

/// RFC 9112, section 6: a message whose length could be read in two ways is refused, since a proxy
/// in front might read it in the other.
fn framing(headers: &HeaderMap, http10: bool) -> Result<Framing, Fault> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (Some(_), Some(_)) => Err(Fault::Syntax("both transfer-encoding and content-length")),
        (Some(_), None) if http10 => Err(Fault::Syntax("a transfer coding in HTTP/1.0")),
        (Some(coding), None)
            if codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Framing::Chunked)
        }
        (Some(_), None) => Err(Fault::NotImplemented("the transfer coding is not known")),
        (None, None) => Ok(Framing::Length(0)),
        (None, Some(_)) if lengths.next().is_some() => {
            Err(Fault::Syntax("more than one content-length"))
        }
        (None, Some(length)) => length
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .map(Framing::Length)
            .ok_or(Fault::Syntax("content-length is not a number")),
    }
}

#[cfg(test)]
#[path = "decoder_test.rs"]
mod tests;
