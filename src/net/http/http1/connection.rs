//! The life of one connection: head, reply, again.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{timeout, timeout_at};

use crate::coding::Chunks;
use crate::net::http::direct::{Begun, Direct, Shared};
use crate::net::http::front::{Front, Link};
use crate::net::http::http1::decoder::{Decoder, Fault, Head};
use crate::net::http::http1::encoder::{self, Length, Persistence};
use crate::net::http::http1::io::{poll_discard, poll_read, write};
use crate::net::http::http1::live::Live;
use crate::net::http::problem::upgrade_required;
use crate::net::http::{Body, Protocol, Reply, Request, Response, Sink, problem};
use crate::runtime::clock;

/// How long a head may take, from its first byte (or from the connection's start).
const HEAD_WAIT: Duration = Duration::from_secs(10);

/// How long a connection may idle between requests. Chrome and proxies keep theirs for longer and
/// cope with a close.
const IDLE_WAIT: Duration = Duration::from_secs(75);

/// How long to read on after a refusal, so that the peer sees it before the connection resets.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 256 << 10;

/// The largest body that is read and dropped, where a body has no meaning.
const DISCARDED_BYTES_MAX: u64 = 64 << 10;

/// A connection on which HTTP/2 began with prior knowledge.
pub(in crate::net) struct Preface<S, G> {
    pub(in crate::net) stream: S,
    /// What is read already.
    pub(in crate::net) read: Bytes,
    pub(in crate::net) held: G,
}

/// Why there is no next request.
enum Stop {
    /// The peer hung up, idled too long or the node drains: nothing to say.
    Quiet,
    /// HTTP/2 begins.
    Preface,
    /// Say this and close.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

struct Connection<S> {
    stream: S,
    /// The same stream, when services may write to it.
    shared: Option<Shared>,
    decoder: Decoder,
    front: Rc<Front>,
    link: Link,
    /// Requests answered.
    served: u64,
}

/// Serves requests until the connection ends, or until HTTP/2 begins. `held` lives as long as the
/// connection, also when a service takes it over. `shared` is the stream, for services that begin
/// replies themselves.
pub(in crate::net) async fn serve<S, G>(
    stream: S,
    shared: Option<Shared>,
    link: Link,
    front: Rc<Front>,
    held: G,
) -> Option<Preface<S, G>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    G: Unpin + 'static,
{
    let decoder = Decoder::default();
    let mut connection = Connection {
        stream,
        shared,
        decoder,
        front,
        link,
        served: 0,
    };
    loop {
        let next = match connection.next_head().await {
            Ok(head) => connection.exchange(head).await,
            Err(Stop::Fault(fault)) => connection.refuse(fault).await,
            Err(Stop::Quiet) => Ok(Next::Gone),
            Err(Stop::Preface) => {
                let read = connection.decoder.into_bytes();
                return Some(Preface {
                    stream: connection.stream,
                    read,
                    held,
                });
            }
        };
        match next {
            Ok(Next::Request) => continue,
            Ok(Next::Gone) => connection.close(0).await,
            Ok(Next::Close) => connection.close(LINGER_BYTES_MAX).await,
            Ok(Next::Live(start)) => {
                let sent_bytes = connection.front.metrics.sent(Protocol::H1).clone();
                let live = Live::new(connection.stream, sent_bytes, held);
                start(Sink::Connection(Box::new(live)));
            }
            Err(error) => tracing::debug!(%error, "connection ended"),
        }
        return None;
    }
}

enum Next {
    Request,
    /// The peer is there and must see the reply first.
    Close,
    /// Nobody waits for anything.
    Gone,
    Live(Box<dyn FnOnce(Sink)>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads until a head is whole.
    async fn next_head(&mut self) -> Result<Head, Stop> {
        let shutdown = self.front.shutdown().clone();
        let mut draining = pin!(shutdown.requested());
        // The first head's time begins with the connection, a later one's with its first byte.
        let mut deadline = clock::now() + HEAD_WAIT;
        let mut idle = self.served > 0 && self.decoder.is_empty();
        if idle {
            deadline = clock::now() + IDLE_WAIT;
        }
        loop {
            if self.served == 0 && self.decoder.at_preface() {
                return Err(Stop::Preface);
            }
            if let Some(head) = self.decoder.next()? {
                return Ok(head);
            }
            if idle && !self.decoder.is_empty() {
                idle = false;
                deadline = clock::now() + HEAD_WAIT;
            }
            let read = poll_fn(|cx| {
                let waits = self.decoder.is_empty();
                if waits && draining.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(0));
                }
                poll_read(&mut self.stream, &mut self.decoder, cx)
            });
            match timeout_at(deadline, read).await {
                Ok(Ok(0) | Err(_)) => return Err(Stop::Quiet),
                Ok(Ok(_)) => {}
                Err(_) if self.decoder.is_empty() => return Err(Stop::Quiet),
                Err(_) => return Err(Fault::TooSlow.into()),
            }
        }
    }

    /// Answers one request.
    async fn exchange(&mut self, head: Head) -> io::Result<Next> {
        if head.body_bytes > 0 {
            let meaningless = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
            // Once the peer waits for leave to send its body, nobody knows whether it comes.
            if !meaningless || head.body_bytes > DISCARDED_BYTES_MAX || head.expects_continue {
                return self.refuse(Fault::Body).await;
            }
            self.discard(head.body_bytes as usize).await?;
        }
        let persistence = match (head.keep_alive, head.http10) {
            (true, false) => Persistence::Stays,
            (true, true) => Persistence::StaysAnnounced,
            (false, _) => Persistence::Close,
        };
        let head_only = head.method == Method::HEAD;
        let direct = self.direct(&head.method, persistence);
        let reply = self.front.call(Request {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body: Bytes::new(),
            upgrade: None,
            protocol: Protocol::H1,
            secure: self.link.secure,
            peer: self.link.peer,
            direct,
        });
        let response = match reply {
            Reply::Ready(response) => response,
            Reply::Later(later) => match self.park(later).await? {
                Some(response) => response,
                None => return Ok(Next::Gone),
            },
        };
        self.reply(response, head_only, persistence).await
    }

    /// What a service may begin its reply with.
    fn direct(&self, method: &Method, persistence: Persistence) -> Option<Direct> {
        let fits = method == Method::GET && persistence == Persistence::Stays;
        let stream = self.shared.clone().filter(|_| fits)?;
        Some(Direct {
            stream,
            front: self.front.clone(),
            link: self.link,
        })
    }

    /// Waits for the reply; `None` when the peer goes away first, which drops `later`.
    async fn park(
        &mut self,
        mut later: std::pin::Pin<Box<dyn Future<Output = Response>>>,
    ) -> io::Result<Option<Response>> {
        let _parked = self.front.metrics.parked();
        poll_fn(|cx| {
            if let Poll::Ready(response) = later.as_mut().poll(cx) {
                return Poll::Ready(Ok(Some(response)));
            }
            self.poll_gone(cx).map_ok(|()| None)
        })
        .await
    }

    /// Ready when the peer has closed. What it sends meanwhile is kept as far as there is room; a
    /// peer that fills it is looked at again when its turn comes.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.decoder.room() > 0 {
            match poll_read(&mut self.stream, &mut self.decoder, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    async fn reply(
        &mut self,
        response: Response,
        head_only: bool,
        persistence: Persistence,
    ) -> io::Result<Next> {
        let response = match response.body() {
            Body::Duplex(_) | Body::Session(_) => upgrade_required(),
            _ => response,
        };
        let (parts, body) = response.into_parts();
        self.front.metrics.replied(Protocol::H1, parts.status);
        self.served += 1;
        let bodiless = encoder::is_bodiless(parts.status);
        let (length, chunks, live) = match body {
            Body::Begun(begun) => return self.finish(begun).await,
            Body::Duplex(_) | Body::Session(_) => unreachable!("replaced above"),
            _ if bodiless => (Length::Silent, Chunks::default(), None),
            Body::Chunks(chunks) if head_only => {
                (Length::Bytes(chunks.len()), Chunks::default(), None)
            }
            Body::Chunks(chunks) => (Length::Bytes(chunks.len()), chunks, None),
            Body::Live(_) if head_only => (Length::UntilClose, Chunks::default(), None),
            Body::Live(start) => (Length::UntilClose, Chunks::default(), Some(start)),
        };
        let persistence = if live.is_some() || self.front.shutdown().is_requested() {
            Persistence::Close
        } else {
            persistence
        };

        let mut out = self.front.head();
        encoder::head(
            &mut out,
            &parts,
            length,
            persistence,
            (&self.front, &self.link),
        );
        let sent = write(&mut self.stream, &out, &chunks).await;
        let bytes = out.len() + chunks.len();
        self.front.keep_head(out);
        sent?;
        self.front.metrics.sent(Protocol::H1).inc_by(bytes as u64);
        Ok(match (live, persistence) {
            (Some(start), _) => Next::Live(start),
            (None, Persistence::Close) => Next::Close,
            (None, _) => Next::Request,
        })
    }

    /// Writes what a service has left of its reply.
    async fn finish(&mut self, begun: Begun) -> io::Result<Next> {
        let bytes = &begun.reply.bytes;
        let rest = &bytes[begun.written_bytes..];
        write(&mut self.stream, rest, &Chunks::default()).await?;
        let sent_bytes = self.front.metrics.sent(Protocol::H1);
        sent_bytes.inc_by(bytes.len() as u64);
        Ok(if self.front.shutdown().is_requested() {
            Next::Close
        } else {
            Next::Request
        })
    }

    /// Reads and drops a request body.
    async fn discard(&mut self, length: usize) -> io::Result<()> {
        let mut left = length - self.decoder.skip(length);
        let deadline = clock::now() + HEAD_WAIT;
        while left > 0 {
            let read = poll_fn(|cx| poll_discard(&mut self.stream, left, cx));
            match timeout_at(deadline, read).await?? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => left -= read,
            }
        }
        Ok(())
    }

    /// Says what is wrong with the request; the connection is of no more use.
    async fn refuse(&mut self, fault: Fault) -> io::Result<Next> {
        tracing::debug!(%fault, "request refused");
        let response = problem(fault.status(), &fault.to_string());
        self.reply(response, false, Persistence::Close).await
    }

    /// Closes the sending side and reads up to `left` bytes for a moment: a close with unread bytes
    /// would reset the connection and take the reply with it (RFC 9112, section 9.6).
    async fn close(&mut self, mut left: usize) {
        let closing = async {
            self.stream.shutdown().await?;
            while left > 0 {
                match poll_fn(|cx| poll_discard(&mut self.stream, left, cx)).await? {
                    0 => break,
                    read => left -= read,
                }
            }
            io::Result::Ok(())
        };
        if let Ok(Err(error)) = timeout(LINGER, closing).await {
            tracing::debug!(%error, "connection ended before it was closed");
        }
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
