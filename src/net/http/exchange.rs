//! What a request and a reply are, whatever the version of HTTP.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Uri};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

use crate::coding::Chunks;
use crate::net::http::direct::{Begun, Direct};
use crate::net::http::{Duplex, Session};
use crate::telemetry::access::Slip;

/// The version of HTTP a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 (or 1.0), plain or over TLS.
    H1,
    /// HTTP/2, plain (prior knowledge) or over TLS.
    H2,
    /// HTTP/3.
    H3,
}

/// The largest request body, in bytes: far above any message of a room. Larger ones get 413.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// A request, with its whole body.
#[derive(Debug)]
pub struct Request {
    /// The method; HEAD is answered by the front from the GET reply, but services see it. GET for
    /// one that asks for an upgrade, whatever its version of HTTP says instead.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, at most [`BODY_BYTES_MAX`]; empty where it has no meaning (GET, HEAD, OPTIONS).
    pub body: Bytes,
    /// What the peer wants to go on with, when the service answers with it. Any other reply is
    /// sent as such.
    pub upgrade: Option<Upgrade>,
    /// How it came.
    pub protocol: Protocol,
    /// True when it came over TLS or QUIC.
    pub secure: bool,
    /// Who sent it.
    pub peer: SocketAddr,
    /// What those who looked at it before have to say to the service: typed notes.
    pub extensions: Extensions,
    /// The connection, when the reply may be begun by the service itself: a GET over plain HTTP/1.1
    /// that leaves the connection open.
    pub direct: Option<Direct>,
    /// What the access record says of it, beyond what the front knows.
    pub slip: Slip,
}

/// What may follow instead of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// WebSocket frames (RFC 6455, RFC 8441), by [`Body::Duplex`]. The service speaks them.
    WebSocket,
    /// A WebTransport session, by [`Body::Session`].
    WebTransport,
}

/// A reply head with its body. The front adds `date`, `server`, `content-length`, `connection` and
/// `alt-svc`; a service that sets one of them is overruled.
pub type Response = http::Response<Body>;

/// What follows a reply head.
pub enum Body {
    /// Known bytes, sent with `content-length` by vectored writes; the front answers HEAD and
    /// nothing else from it.
    Chunks(Chunks),
    /// A live stream without an end: after the head is sent, the connection's write side (HTTP/1.1)
    /// or a channel of body bytes (HTTP/2, HTTP/3) is handed over, and the front watches no more
    /// than whether the peer has gone. Not called for HEAD.
    Live(Box<dyn FnOnce(Sink)>),
    /// What the service has begun to write itself, on the connection that the request named.
    Begun(Begun),
    /// The upgrade to a WebSocket, for a request that asked for it (others are told so with 426):
    /// after the head, whose status and fields of the handshake are the front's, both sides of the
    /// connection or stream are handed over.
    Duplex(Box<dyn FnOnce(Duplex)>),
    /// The same for a WebTransport session.
    Session(Box<dyn FnOnce(Session)>),
}

/// The write side of a live reply. Dropping it ends the reply.
pub enum Sink {
    /// HTTP/1.1: the connection itself, after the head. No chunked coding: the body ends with the
    /// connection. Writes fail once the peer has gone.
    Connection(Box<dyn AsyncWrite + Unpin>),
    /// HTTP/2 and HTTP/3: a bounded queue in front of the stream's own flow control. It closes once
    /// the peer has gone.
    Queue(mpsc::Sender<Bytes>),
}

/// What a service says: at once, or once something has happened.
pub enum Reply {
    /// The answer is here.
    Ready(Response),
    /// The answer waits, as a blocking playlist reload does. Dropped when the peer goes away.
    Later(Pin<Box<dyn Future<Output = Response>>>),
}

/// Answers requests on one worker.
pub trait Service {
    /// Answers one request. Must not block.
    fn call(&self, request: Request) -> Reply;

    /// True when requests for `path` shall not wait behind others: then its connection does not
    /// from now on.
    fn is_urgent(&self, _path: &str) -> bool {
        false
    }
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Chunks(Chunks::default())
    }
}

impl<T: Into<Chunks>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Chunks(bytes.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunks(chunks) => write!(f, "Chunks({} bytes)", chunks.len()),
            Self::Live(_) => f.write_str("Live"),
            Self::Begun(_) => f.write_str("Begun"),
            Self::Duplex(_) => f.write_str("Duplex"),
            Self::Session(_) => f.write_str("Session"),
        }
    }
}
