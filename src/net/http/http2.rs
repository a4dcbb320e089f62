//! HTTP/2 (RFC 9113) by hyper, on this worker's thread.
//!
//! Bounds: [`STREAMS_MAX`] requests at once, receive windows of one request's body, hyper's own
//! limits on resets ("rapid reset"), and [`Activity`] against peers that stop taking what they
//! asked for.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::interval_at;

use crate::coding::Chunks;
use crate::net::http::access::Filing;
use crate::net::http::activity::{Activity, LOOK_EVERY, State, Stream};
use crate::net::http::front::Front;
use crate::net::http::http1::HEAD_BYTES_MAX;
use crate::net::http::incoming::{self, body_without_meaning, collect, is_bodiless, no_proxy};
use crate::net::http::link::Link;
use crate::net::http::outgoing::{Outgoing, prepare};
use crate::net::http::{Duplex, Protocol, Response, Upgrade, problem};
use crate::runtime::{Ticket, clock};

/// Requests at once on a connection. A player has a few; a proxy in front has many.
const STREAMS_MAX: u32 = 128;

/// Receive windows: the largest request body, and some of them at once.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;

/// Bytes of one stream that may wait in the connection's buffer.
const SEND_BUFFER_BYTES: usize = 128 << 10;

/// A peer that is silent for so long is pinged, and given up after [`PING_WAIT`].
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WAIT: Duration = Duration::from_secs(10);

/// Streams that a peer may reset before they are answered, and that it may make us reset. hyper
/// closes the connection of one that goes on (CVE-2023-44487, CVE-2025-8671).
const RESETS_MAX: usize = 64;

/// Serves a connection until its end.
pub(in crate::net) async fn serve<S>(stream: S, link: Link, front: Rc<Front>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let activity = Rc::new(Activity::default());
    let (service_front, service_activity) = (front.clone(), activity.clone());
    let ticket = front.bulk.ticket();
    let service = service_fn(move |request| {
        let (front, activity) = (service_front.clone(), service_activity.clone());
        let (ticket, link) = (ticket.clone(), link.clone());
        async move { Ok::<_, Infallible>(respond(&front, link, &ticket, activity, request).await) }
    });
    let connection = Builder::new(Local(front.clone()))
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WAIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut draining = pin!(front.parting());
    let mut drained = false;
    let mut look = interval_at(clock::now() + LOOK_EVERY, LOOK_EVERY);
    loop {
        tokio::select! {
            end = connection.as_mut() => {
                if let Err(error) = end {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = draining.as_mut(), if !drained => {
                drained = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => match activity.look() {
                State::Fine => {}
                State::Idle => connection.as_mut().graceful_shutdown(),
                State::Dead => {
                    tracing::debug!("peer takes nothing");
                    return;
                }
            },
        }
    }
}

async fn respond(
    front: &Front,
    link: Link,
    connection: &Ticket,
    activity: Rc<Activity>,
    mut request: http::Request<Incoming>,
) -> http::Response<Body> {
    if front.is_urgent(request.uri()) {
        connection.leave();
    }
    let mut stream = Stream::open(activity);
    let upgrade = asks_for(&request);
    let taken = upgrade.map(|_| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let head_only = head.method == Method::HEAD;
    let asked = (&head.method, &head.uri, &head.headers);
    let mut filing = Filing::begin(front, asked, Protocol::H2, &link);
    let response = if head.method == Method::CONNECT && upgrade.is_none() {
        no_proxy()
    } else {
        match receive(&head, body).await {
            Ok(body) => {
                let from = (Protocol::H2, &link);
                let request = incoming::request(head, body, upgrade, from, filing.slip());
                front.answer(request, &mut filing).await
            }
            Err(response) => response,
        }
    };
    let wants = (head_only, upgrade);
    let (mut parts, outgoing) = prepare(front, &link, Protocol::H2, wants, response);
    filing.answered(&mut parts);
    if matches!(outgoing, Outgoing::Chunks(..)) {
        stream.stop_waiting();
    }
    let sent_bytes = front.metrics.sent(Protocol::H2).clone();
    let (outgoing, open) = match (outgoing, taken) {
        (Outgoing::Duplex(start), Some(taken)) => {
            let sent_bytes = sent_bytes.clone();
            let hand_over = hand_over(taken, start, sent_bytes, (stream, filing));
            front.scope.spawn_local("http2.upgrade", hand_over);
            (Outgoing::from(Chunks::default()), None)
        }
        (outgoing, _) => (outgoing, Some((stream, filing))),
    };
    http::Response::from_parts(
        parts,
        Body {
            outgoing,
            sent_bytes,
            open,
        },
    )
}

/// What an extended CONNECT asks for (RFC 8441, section 4).
fn asks_for(request: &http::Request<Incoming>) -> Option<Upgrade> {
    let protocol = request.extensions().get::<hyper::ext::Protocol>()?;
    let is_websocket = request.method() == Method::CONNECT && protocol.as_str() == "websocket";
    is_websocket.then_some(Upgrade::WebSocket)
}

/// Reads a body; a reply when something is wrong with it.
async fn receive(head: &Parts, mut body: Incoming) -> Result<Bytes, Response> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if is_bodiless(&head.method) {
        return Err(body_without_meaning());
    }
    let next = async || match body.frame().await {
        Some(frame) => frame.map(|frame| Some(frame.into_data().unwrap_or_default())),
        None => Ok(None),
    };
    match collect(head, next).await {
        Ok(body) => body,
        Err(error) => {
            tracing::debug!(%error, "request body broke off");
            let detail = "the request body broke off";
            Err(problem(StatusCode::BAD_REQUEST, detail))
        }
    }
}

/// Gives the service its stream, once the head is sent.
async fn hand_over(
    taken: OnUpgrade,
    start: Box<dyn FnOnce(Duplex)>,
    sent_bytes: Counter,
    held: (Stream, Box<Filing>),
) {
    match taken.await {
        Ok(upgraded) => {
            let upgraded = TokioIo::new(upgraded);
            start(Duplex::layered(Bytes::new(), upgraded, sent_bytes, held));
        }
        Err(error) => tracing::debug!(%error, "stream ended before its upgrade"),
    }
}

/// Runs hyper's tasks on this worker.
#[derive(Clone)]
struct Local(Rc<Front>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Local {
    fn execute(&self, task: F) {
        self.0.bulk.spawn(&self.0.scope, "http2.stream", task);
    }
}

/// A reply body as hyper wants it.
struct Body {
    outgoing: Outgoing,
    sent_bytes: Counter,
    /// None once it is handed over.
    open: Option<(Stream, Box<Filing>)>,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.outgoing.poll_next(cx).map(|chunk| {
            let chunk = chunk?;
            if let Some((stream, filing)) = &mut self.open {
                stream.advance();
                filing.sent(chunk.len());
            }
            self.sent_bytes.inc_by(chunk.len() as u64);
            Some(Ok(Frame::data(chunk)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.outgoing.is_finished()
    }

    fn size_hint(&self) -> SizeHint {
        // The length is in the head already; a hint would replace that of a reply to HEAD.
        SizeHint::default()
    }
}

/// A stream of which some bytes are read already.
pub(in crate::net) struct Rewound<S> {
    read: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    pub(in crate::net) fn new(read: Bytes, stream: S) -> Self {
        Self { read, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "http2_test.rs"]
mod tests;
