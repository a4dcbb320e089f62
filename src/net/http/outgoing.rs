//! Reply bodies for the versions of HTTP with streams: shared buffers, or a live queue.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::mpsc;

use crate::coding::Chunks;
use crate::net::http::front::Front;
use crate::net::http::link::Link;
use crate::net::http::problem::settle;
use crate::net::http::{Body, Duplex, Protocol, Response, Session, Sink, Upgrade};

/// Buffers between a live reply and its stream: half a second of a busy broadcast. When it is full
/// the service skips its viewer forward or closes it.
const LIVE_BUFFERS_MAX: usize = 64;

/// Bytes of one buffer that are handed over at once, so that a peer that takes little is told from
/// one that takes nothing.
const SLICE_BYTES_MAX: usize = 64 << 10;

/// What follows a reply head, buffer by buffer.
pub(super) enum Outgoing {
    /// The rest of a buffer, and the shared buffers from the one of this index on.
    Chunks(Bytes, Chunks, usize),
    /// Whatever the service puts into its sink.
    Live(mpsc::Receiver<Bytes>),
    /// The stream is handed over.
    Duplex(Box<dyn FnOnce(Duplex)>),
    /// The stream stays open for as long as the session.
    Session(Box<dyn FnOnce(Session)>),
}

impl Outgoing {
    /// The next buffer; `None` at the end.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Self::Chunks(rest, chunks, next) => {
                if rest.is_empty() {
                    let Some(chunk) = chunks.as_slice().get(*next) else {
                        return Poll::Ready(None);
                    };
                    *rest = chunk.clone();
                    *next += 1;
                }
                Poll::Ready(Some(rest.split_to(rest.len().min(SLICE_BYTES_MAX))))
            }
            Self::Live(queue) => queue.poll_recv(cx),
            Self::Duplex(_) | Self::Session(_) => Poll::Ready(None),
        }
    }

    /// True when nothing follows.
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Chunks(rest, chunks, next) => rest.is_empty() && *next >= chunks.as_slice().len(),
            Self::Live(_) => false,
            Self::Duplex(_) | Self::Session(_) => true,
        }
    }
}

impl From<Chunks> for Outgoing {
    fn from(chunks: Chunks) -> Self {
        Self::Chunks(Bytes::new(), chunks, 0)
    }
}

/// Completes a reply's head and makes its body ready to send. Counts the reply.
pub(super) fn prepare(
    front: &Front,
    link: &Link,
    protocol: Protocol,
    (head_only, asked): (bool, Option<Upgrade>),
    response: Response,
) -> (Parts, Outgoing) {
    let (mut parts, body) = settle(response, asked).into_parts();
    if matches!(body, Body::Duplex(_) | Body::Session(_)) {
        parts.status = StatusCode::OK;
    } else if asked.is_some() && parts.status.is_success() {
        // A success would mean the upgrade (RFC 8441, section 5).
        parts.status = StatusCode::NOT_IMPLEMENTED;
    }
    front.metrics.replied(protocol, parts.status);
    front.finish(&mut parts.headers, protocol, link);
    parts.headers.remove(header::CONTENT_LENGTH);
    let nothing = Outgoing::from(Chunks::default());
    let outgoing = match body {
        _ if matches!(
            parts.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) =>
        {
            nothing
        }
        Body::Chunks(chunks) => {
            let length = HeaderValue::from(chunks.len());
            parts.headers.insert(header::CONTENT_LENGTH, length);
            if head_only {
                nothing
            } else {
                Outgoing::from(chunks)
            }
        }
        // Nobody can begin a reply here: no request names a connection.
        Body::Begun(_) => nothing,
        Body::Duplex(start) => Outgoing::Duplex(start),
        Body::Session(start) => Outgoing::Session(start),
        Body::Live(_) if head_only => nothing,
        Body::Live(start) => {
            let (sink, queue) = mpsc::channel(LIVE_BUFFERS_MAX);
            start(Sink::Queue(sink));
            Outgoing::Live(queue)
        }
    };
    (parts, outgoing)
}
