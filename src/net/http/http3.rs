//! HTTP/3 (RFC 9114) by h3 on quinn, on this worker's thread.
//!
//! One task a connection, which also runs its requests: what breaks in it ends that connection and
//! nothing else.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h3::error::{Code, ConnectionError, StreamError};
use h3::quic;
use h3::server::{RequestResolver, RequestStream};
use http::{Method, StatusCode, header};
use tokio::time::{interval_at, timeout};

use crate::net::http::activity::{Activity, LOOK_EVERY, State, Stream};
use crate::net::http::front::{Front, Link};
use crate::net::http::http1::HEAD_BYTES_MAX;
use crate::net::http::outgoing::{Outgoing, prepare};
use crate::net::http::{Protocol, Request, problem};
use crate::runtime::clock;

/// How long a request head may take, and a write of one slice without progress.
const HEAD_WAIT: Duration = Duration::from_secs(10);
const WRITE_STALL: Duration = Duration::from_secs(20);

/// How long a drained connection waits for its peer to take the last bytes and to close.
const FAREWELL: Duration = Duration::from_secs(5);

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
    let mut builder = h3::server::builder();
    builder.max_field_section_size(HEAD_BYTES_MAX as u64);
    let start = builder.build::<_, Bytes>(h3_quinn::Connection::new(connection.clone()));
    // A peer may allow us no stream to send our settings on.
    let Ok(started) = timeout(HEAD_WAIT, start).await else {
        return Ok(());
    };
    let mut h3 = started?;
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
                body: Bytes::new(),
                upgrade: None,
                protocol: Protocol::H3,
                secure: link.secure,
                peer: link.peer,
                direct: None,
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
