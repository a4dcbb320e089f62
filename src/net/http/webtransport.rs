//! WebTransport sessions on HTTP/3 (draft-ietf-webtrans-http3-02, which browsers speak): one at a
//! time on a connection.
//!
//! The stream of the CONNECT request is the session; it stays open for as long. Streams that the
//! peer opens in it go to the service. Datagrams and streams in one direction are not taken.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use h3::error::StreamError;
use h3::quic::{SendStream as _, StreamId};
use h3::stream::BufRecvStream;
use h3::webtransport::SessionId;
use h3_quinn::BidiStream;
use http::response::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::net::http::http3::Exchange;
use crate::net::http::{Duplex, Session};

/// Streams of a session that may wait for the service; further ones are refused.
const WAITING_MAX: usize = 16;

/// Streams in sessions that a connection may have opened before it is closed. The HTTP/3 library
/// remembers each; a session of a room needs one.
const STREAMS_MAX: usize = 1024;

/// WEBTRANSPORT_BUFFERED_STREAM_REJECTED.
const REJECTED: u64 = 0x3994_bd84;

/// The version that was agreed on; Chromium insists.
const DRAFT: (HeaderName, HeaderValue) = (
    HeaderName::from_static("sec-webtransport-http3-draft"),
    HeaderValue::from_static("draft02"),
);

/// The sessions of one connection.
#[derive(Default)]
pub(super) struct Sessions {
    open: RefCell<Option<Entry>>,
    streams: Cell<usize>,
}

struct Entry {
    id: StreamId,
    streams: mpsc::Sender<Duplex>,
}

impl Sessions {
    /// A stream that the peer opened in `session`.
    pub(super) fn enter(
        &self,
        session: SessionId,
        mut stream: BufRecvStream<BidiStream<Bytes>, Bytes>,
        sent_bytes: Counter,
    ) {
        self.streams.set(self.streams.get() + 1);
        let open = self.open.borrow();
        let entry = open
            .as_ref()
            .filter(|entry| entry.id == StreamId::from(session));
        match entry.and_then(|entry| entry.streams.try_reserve().ok()) {
            Some(place) => place.send(Duplex::layered(Bytes::new(), stream, sent_bytes, ())),
            // Dropping it stops the peer. Asking the library to would panic while it reads.
            None => stream.reset(REJECTED),
        }
    }

    /// True when the peer opens streams without an end.
    pub(super) fn is_abused(&self) -> bool {
        self.streams.get() > STREAMS_MAX
    }

    /// Opens the session of `exchange` and holds it until either side ends it.
    pub(super) async fn hold(
        &self,
        mut exchange: Exchange,
        mut head: Parts,
        start: Box<dyn FnOnce(Session)>,
    ) -> Result<(), StreamError> {
        if self.open.borrow().is_some() {
            head.status = StatusCode::TOO_MANY_REQUESTS;
            exchange
                .send_response(http::Response::from_parts(head, ()))
                .await?;
            return exchange.finish().await;
        }
        let (streams, queue) = mpsc::channel(WAITING_MAX);
        let entry = Entry {
            id: exchange.send_id(),
            streams: streams.clone(),
        };
        *self.open.borrow_mut() = Some(entry);
        let _open = Open(self);
        let (name, value) = DRAFT;
        head.headers.insert(name, value);
        exchange
            .send_response(http::Response::from_parts(head, ()))
            .await?;
        start(Session::new(queue));
        tokio::select! {
            () = streams.closed() => {}
            end = discard(&mut exchange) => end?,
        }
        exchange.finish().await
    }
}

/// Reads capsules until the peer ends the session; none of them means more than that.
async fn discard(exchange: &mut Exchange) -> Result<(), StreamError> {
    while exchange.recv_data().await?.is_some() {}
    Ok(())
}

/// A connection's session, open while this lives.
struct Open<'a>(&'a Sessions);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.borrow_mut().take();
    }
}
