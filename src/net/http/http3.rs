//! HTTP/3 (RFC 9114) by h3 on quinn, on this worker's thread.
//!
//! One task a connection, which also runs its requests: what breaks in it ends that connection and
//! nothing else. Streams of a WebTransport session come among the requests; their first frame tells
//! them apart.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h3::error::{Code, ConnectionError, StreamError};
use h3::ext::Protocol as Extension;
use h3::proto::frame::Frame;
use h3::server::{RequestResolver, RequestStream};
use h3_quinn::BidiStream;
use http::request::Parts;
use http::{Method, header};
use tokio::time::{interval_at, timeout};

use crate::net::http::access::Filing;
use crate::net::http::activity::{Activity, LOOK_EVERY, State, Stream};
use crate::net::http::front::Front;
use crate::net::http::http1::HEAD_BYTES_MAX;
use crate::net::http::incoming::{self, body_without_meaning, collect, is_bodiless, no_proxy};
use crate::net::http::link::{Carrier, Link};
use crate::net::http::outgoing::{Outgoing, prepare};
use crate::net::http::webtransport::Sessions;
use crate::net::http::{Protocol, Response, Upgrade};
use crate::runtime::clock;

/// How long a request head may take, and a write of one slice without progress.
const HEAD_WAIT: Duration = Duration::from_secs(10);
const WRITE_STALL: Duration = Duration::from_secs(20);

/// How long a drained connection waits for its peer to take the last bytes and to close.
const FAREWELL: Duration = Duration::from_secs(5);

/// The stream of a request.
pub(super) type Exchange = RequestStream<BidiStream<Bytes>, Bytes>;

/// Serves a connection until its end.
pub(in crate::net) async fn serve(connection: quinn::Connection, front: Rc<Front>) {
    let link = Link {
        peer: connection.remote_address(),
        secure: true,
        carrier: Carrier::Quic(connection.clone()),
    };
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
    let mut builder = h3::server::builder();
    builder
        .max_field_section_size(HEAD_BYTES_MAX as u64)
        .enable_extended_connect(true)
        .enable_datagram(true)
        .enable_webtransport(true)
        .max_webtransport_sessions(1);
    let start = builder.build::<_, Bytes>(h3_quinn::Connection::new(connection.clone()));
    // A peer may allow us no stream to send our settings on.
    let Ok(started) = timeout(HEAD_WAIT, start).await else {
        return Ok(());
    };
    let mut h3 = started?;
    let activity = Rc::new(Activity::default());
    let sessions = Rc::new(Sessions::default());
    let mut requests = FuturesUnordered::new();
    let mut draining = pin!(front.parting());
    let mut drained = false;
    let mut look = interval_at(clock::now() + LOOK_EVERY, LOOK_EVERY);
    while !drained || !requests.is_empty() {
        let mut drain = false;
        tokio::select! {
            accepted = h3.accept() => match accepted? {
                Some(resolver) => {
                    let stream = Stream::open(activity.clone());
                    let sessions = sessions.clone();
                    let link = link.clone();
                    requests.push(respond(resolver, link, front.clone(), stream, sessions));
                }
                None => drained = true,
            },
            Some(end) = requests.next() => {
                if let Err(error) = end {
                    tracing::debug!(%error, "request ended");
                }
                if sessions.is_abused() {
                    return Ok(());
                }
            }
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
    mut resolver: RequestResolver<h3_quinn::Connection, Bytes>,
    link: Link,
    front: Rc<Front>,
    mut activity: Stream,
    sessions: Rc<Sessions>,
) -> Result<(), StreamError> {
    let resolve = async {
        let first = poll_fn(|cx| resolver.frame_stream.poll_next(cx)).await;
        if let Ok(Some(Frame::WebTransportStream(session))) = first {
            let sent_bytes = front.metrics.sent(Protocol::H3).clone();
            sessions.enter(session, resolver.frame_stream.into_inner(), sent_bytes);
            return Ok(None);
        }
        let resolved = resolver.accept_with_frame(first)?;
        resolved.resolve().await.map(Some)
    };
    let Ok(resolved) = timeout(HEAD_WAIT, resolve).await else {
        return Ok(());
    };
    let Some((request, mut stream)) = resolved? else {
        return Ok(());
    };
    let (head, ()) = request.into_parts();
    let head_only = head.method == Method::HEAD;
    let protocol = head.extensions.get::<Extension>();
    let upgrade = (head.method == Method::CONNECT && protocol == Some(&Extension::WEB_TRANSPORT))
        .then_some(Upgrade::WebTransport);
    let asked = (&head.method, &head.uri, &head.headers);
    let mut filing = Filing::begin(&front, asked, Protocol::H3, &link);
    let response = if head.method == Method::CONNECT && upgrade.is_none() {
        no_proxy()
    } else {
        match receive(&head, &mut stream).await? {
            Ok(body) => {
                let from = (Protocol::H3, &link);
                let request = incoming::request(head, body, upgrade, from, filing.slip());
                front.answer(request, &mut filing).await
            }
            Err(response) => response,
        }
    };
    let wants = (head_only, upgrade);
    let (mut parts, outgoing) = prepare(&front, &link, Protocol::H3, wants, response);
    filing.answered(&mut parts);
    if let Outgoing::Session(start) = outgoing {
        return sessions.hold(stream, parts, start).await;
    }
    if matches!(outgoing, Outgoing::Chunks(..)) {
        activity.stop_waiting();
    }
    let head = http::Response::from_parts(parts, ());
    stream.send_response(head).await?;
    send(stream, outgoing, &activity, &front, filing).await
}

/// Sends what follows a head.
async fn send(
    mut stream: Exchange,
    mut outgoing: Outgoing,
    activity: &Stream,
    front: &Front,
    mut filing: Box<Filing>,
) -> Result<(), StreamError> {
    while let Some(slice) = poll_fn(|cx| outgoing.poll_next(cx)).await {
        let bytes = slice.len();
        let Ok(sent) = timeout(WRITE_STALL, stream.send_data(slice)).await else {
            stream.stop_stream(Code::H3_REQUEST_CANCELLED);
            return Ok(());
        };
        sent?;
        activity.advance();
        front.metrics.sent(Protocol::H3).inc_by(bytes as u64);
        filing.sent(bytes);
    }
    stream.finish().await
}

/// Reads a body; a reply when something is wrong with it.
async fn receive(
    head: &Parts,
    stream: &mut Exchange,
) -> Result<Result<Bytes, Response>, StreamError> {
    if head.method == Method::CONNECT {
        return Ok(Ok(Bytes::new()));
    }
    if is_bodiless(&head.method) {
        let has_body = has_body(&head.headers, stream).await?;
        return Ok(match has_body {
            true => Err(body_without_meaning()),
            false => Ok(Bytes::new()),
        });
    }
    let next = async || {
        let data = stream.recv_data().await?;
        Ok(data.map(|mut data| data.copy_to_bytes(data.remaining())))
    };
    collect(head, next).await
}

/// True when a body is announced or has begun to arrive.
async fn has_body(headers: &http::HeaderMap, stream: &mut Exchange) -> Result<bool, StreamError> {
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
