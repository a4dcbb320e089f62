//! HTTP/3 (RFC 9114) by h3 on quinn, on this worker's thread.
//!
//! One task a connection, which also runs its requests: what breaks in it ends that connection and
//! nothing else. WebTransport and other ALPNs will branch off where a connection is accepted.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h3::error::{Code, ConnectionError, StreamError};
use h3::quic;
use h3::server::{RequestResolver, RequestStream};
use http::{Method, StatusCode, header};
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig};
use tokio::time::{interval_at, timeout};

use crate::net::http::activity::{Activity, LOOK_EVERY, State, Stream};
use crate::net::http::front::{Front, Link};
use crate::net::http::http1::HEAD_BYTES_MAX;
use crate::net::http::outgoing::{Outgoing, prepare};
use crate::net::http::{Congestion, Protocol, Request, problem};
use crate::runtime::clock;

/// How long a request head may take, and a write of one slice without progress.
const HEAD_WAIT: Duration = Duration::from_secs(10);
const WRITE_STALL: Duration = Duration::from_secs(20);

/// A connection without a packet for so long is gone. Longer than any blocking reload.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// Requests at once on a connection (RFC 9114, section 6.1, asks for at least 100).
const STREAMS_MAX: u32 = 128;

/// Control and QPACK streams, with room for those that clients send as grease.
const UNI_STREAMS_MAX: u32 = 16;

/// Receive windows: requests have no bodies, so little more than their heads ever arrives.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;

/// Bytes in flight or waiting for a connection: 50 Mbit/s over 300 ms, and what a slow viewer holds
/// at most.
const SEND_WINDOW_BYTES: u64 = 2 << 20;

/// Handshakes at once, from which on a peer must first show that its address is its own.
const HANDSHAKES_BEFORE_RETRY: usize = 256;

/// Handshakes at once, from which on further ones are refused.
const HANDSHAKES_MAX: usize = 4096;

/// How long a drained connection waits for its peer to take the last bytes and to close.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the QUIC endpoints of all workers have in common: keys, so that tokens of one are good at
/// all, and the transport's parameters.
#[derive(Clone)]
pub(in crate::net) struct Settings {
    server: ServerConfig,
    endpoint: EndpointConfig,
}

impl Settings {
    /// For `workers` endpoints that share a port.
    pub(in crate::net) fn new(
        tls: rustls::ServerConfig,
        congestion: Congestion,
        workers: usize,
    ) -> Self {
        let tls = QuicServerConfig::try_from(tls).expect("the provider has QUIC's initial suite");
        let controller: Arc<dyn ControllerFactory + Send + Sync> = match congestion {
            Congestion::Bbr => Arc::new(BbrConfig::default()),
            Congestion::Cubic => Arc::new(CubicConfig::default()),
        };
        let idle = IdleTimeout::try_from(IDLE_WAIT).expect("the constant fits a varint");
        let mut transport = TransportConfig::default();
        transport
            .congestion_controller_factory(controller)
            .max_idle_timeout(Some(idle))
            .max_concurrent_bidi_streams(STREAMS_MAX.into())
            .max_concurrent_uni_streams(UNI_STREAMS_MAX.into())
            .stream_receive_window(STREAM_WINDOW_BYTES.into())
            .receive_window(CONNECTION_WINDOW_BYTES.into())
            .send_window(SEND_WINDOW_BYTES)
            .datagram_receive_buffer_size(None);
        let mut server = ServerConfig::with_crypto(Arc::new(tls));
        server
            .transport_config(Arc::new(transport))
            .max_incoming(HANDSHAKES_MAX)
            // The kernel picks the worker by the peer's address: from a new one, packets would
            // reach a worker that does not know the connection.
            .migration(workers == 1);
        Self {
            server,
            endpoint: EndpointConfig::default(),
        }
    }

    /// The endpoint of one worker, in whose runtime this is called.
    pub(in crate::net) fn endpoint(&self, socket: UdpSocket) -> io::Result<Endpoint> {
        let runtime = Arc::new(quinn::TokioRuntime);
        Endpoint::new(
            self.endpoint.clone(),
            Some(self.server.clone()),
            socket,
            runtime,
        )
    }
}

/// Counts the handshakes of one worker.
#[derive(Default)]
pub(in crate::net) struct Handshakes(Rc<Cell<usize>>);

/// One handshake, for as long as this lives.
pub(in crate::net) struct Handshake(Rc<Cell<usize>>);

impl Handshakes {
    /// Takes the handshake of `incoming`, or answers it with a retry or a refusal while there are
    /// too many.
    pub(in crate::net) fn take(
        &self,
        incoming: quinn::Incoming,
    ) -> Option<(quinn::Incoming, Handshake)> {
        let open = self.0.get();
        if open >= HANDSHAKES_BEFORE_RETRY && incoming.may_retry() {
            incoming.retry().expect("it may retry, as was just asked");
            return None;
        }
        if open >= HANDSHAKES_MAX {
            incoming.refuse();
            return None;
        }
        self.0.set(open + 1);
        Some((incoming, Handshake(self.0.clone())))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Serves a connection until its end.
pub(in crate::net) async fn serve(connection: quinn::Connection, link: Link, front: Rc<Front>) {
    match converse(connection, link, front).await {
        Ok(()) => {}
        Err(error) if error.is_h3_no_error() => {}
        Err(error) => tracing::debug!(%error, "connection ended"),
    }
}

async fn converse(
    connection: quinn::Connection,
    link: Link,
    front: Rc<Front>,
) -> Result<(), ConnectionError> {
    let mut h3 = h3::server::builder()
        .max_field_section_size(HEAD_BYTES_MAX as u64)
        .build::<_, Bytes>(h3_quinn::Connection::new(connection.clone()))
        .await?;
    let activity = Rc::new(Activity::default());
    let mut requests = FuturesUnordered::new();
    let mut draining = pin!(front.shutdown().requested());
    let mut drained = false;
    let mut look = interval_at(clock::now() + LOOK_EVERY, LOOK_EVERY);
    while !drained || !requests.is_empty() {
        let mut drain = false;
        tokio::select! {
            accepted = h3.accept() => match accepted? {
                Some(resolver) => {
                    let stream = Stream::open(activity.clone());
                    requests.push(respond(resolver, link, front.clone(), stream));
                }
                None => drained = true,
            },
            Some(end) = requests.next() => if let Err(error) = end {
                tracing::debug!(%error, "request ended");
            },
            () = draining.as_mut(), if !drained => drain = true,
            _ = look.tick() => match activity.look() {
                State::Fine => {}
                State::Idle => drain = true,
                State::Dead => return Ok(()),
            },
        }
        if drain && !drained {
            drained = true;
            h3.shutdown(0).await?;
        }
    }
    // Closing now would drop what is still in flight: the peer closes once it has everything.
    timeout(FAREWELL, connection.closed()).await.ok();
    Ok(())
}

async fn respond(
    resolver: RequestResolver<h3_quinn::Connection, Bytes>,
    link: Link,
    front: Rc<Front>,
    mut activity: Stream,
) -> Result<(), StreamError> {
    let Ok(resolved) = timeout(HEAD_WAIT, resolver.resolve_request()).await else {
        return Ok(());
    };
    let (request, mut stream) = resolved?;
    let (head, ()) = request.into_parts();
    let head_only = head.method == Method::HEAD;
    let response = if has_body(&head.headers, &mut stream).await? {
        problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a request body is not accepted here",
        )
    } else if head.method == Method::CONNECT {
        problem(StatusCode::NOT_IMPLEMENTED, "this server is no proxy")
    } else {
        front
            .answer(Request {
                method: head.method,
                uri: head
                    .uri
                    .into_parts()
                    .path_and_query
                    .map(Into::into)
                    .unwrap_or_default(),
                headers: head.headers,
                protocol: Protocol::H3,
                secure: link.secure,
                peer: link.peer,
            })
            .await
    };
    let (parts, mut outgoing) = prepare(&front, &link, Protocol::H3, head_only, response);
    if matches!(outgoing, Outgoing::Chunks(..)) {
        activity.stop_waiting();
    }
    stream
        .send_response(http::Response::from_parts(parts, ()))
        .await?;
    while let Some(slice) = poll_fn(|cx| outgoing.poll_next(cx)).await {
        let bytes = slice.len() as u64;
        let Ok(sent) = timeout(WRITE_STALL, stream.send_data(slice)).await else {
            stream.stop_stream(Code::H3_REQUEST_CANCELLED);
            return Ok(());
        };
        sent?;
        activity.advance();
        front.metrics.sent(Protocol::H3).inc_by(bytes);
    }
    stream.finish().await
}

/// True when a body is announced or has begun to arrive.
async fn has_body<S: quic::RecvStream>(
    headers: &http::HeaderMap,
    stream: &mut RequestStream<S, Bytes>,
) -> Result<bool, StreamError> {
    if headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length != "0")
    {
        return Ok(true);
    }
    // The end of the stream comes along with the head; a peer that sends it later sends no body.
    poll_fn(|cx| match stream.poll_recv_data(cx) {
        Poll::Ready(Ok(data)) => Poll::Ready(Ok(data.is_some())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Ready(Ok(false)),
    })
    .await
}

#[cfg(test)]
#[path = "http3_test.rs"]
pub(in crate::net) mod tests;
