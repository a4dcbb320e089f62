//! The life of one connection: head, reply, again.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::coding::Chunks;
use crate::net::http::access::Filing;
use crate::net::http::direct::{Begun, Direct, Shared};
use crate::net::http::front::Front;
use crate::net::http::http1::body::{Framing, Incoming};
use crate::net::http::http1::decoder::{Decoder, Fault, Head};
use crate::net::http::http1::encoder::{self, Length, Persistence};
use crate::net::http::http1::io::{close, poll_read, send, write};
use crate::net::http::http1::live::Live;
use crate::net::http::http1::patience::Patience;
use crate::net::http::http1::sealed::sealed;
use crate::net::http::http1::turn::{Next, Stop, Terms};
use crate::net::http::http1::websocket;
use crate::net::http::incoming::{BODY_WAIT, is_bodiless};
use crate::net::http::link::Link;
use crate::net::http::problem::settle;
use crate::net::http::{Body, Duplex, Protocol, Reply, Request, Response, Sink, Upgrade, problem};
use crate::runtime::clock;

/// How long a head may take, from its first byte (or from the connection's start).
const HEAD_WAIT: Duration = Duration::from_secs(10);

/// How long a connection may idle between requests. Chrome and proxies keep theirs for longer and
/// cope with a close.
const IDLE_WAIT: Duration = Duration::from_secs(75);

/// How much to read on after a refusal, so that the peer sees it before the connection resets.
const LINGER_BYTES_MAX: usize = 256 << 10;

/// Leave to send a body (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A connection on which HTTP/2 began with prior knowledge.
pub(in crate::net) struct Preface<S, G> {
    pub(in crate::net) stream: S,
    pub(in crate::net) link: Link,
    /// What is read already.
    pub(in crate::net) read: Bytes,
    pub(in crate::net) held: G,
}

struct Connection<S> {
    stream: S,
    /// The same stream, when services may write to it.
    shared: Option<Shared>,
    decoder: Decoder,
    front: Rc<Front>,
    link: Link,
    patience: Patience,
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
    let mut connection = Connection {
        stream,
        shared,
        decoder: Decoder::default(),
        front: front.clone(),
        link,
        patience: Patience::new(HEAD_WAIT),
        served: 0,
    };
    // One for all waits, and on the heap, where it is not carried along by what is done meanwhile.
    let mut dismissed = Box::pin(front.dismissed());
    loop {
        let turn = match connection.request(dismissed.as_mut()).await {
            Ok((reply, terms)) => connection.answer(reply, terms).await.map_err(Stop::from),
            Err(stop) => Err(stop),
        };
        let next = match turn {
            Ok(next) => Ok(next),
            Err(Stop::Fault(fault)) => connection.refuse(fault).await,
            Err(Stop::Broken(error)) => Err(error),
            Err(Stop::Quiet) => Ok(Next::Gone),
            Err(Stop::Preface) => {
                let read = connection.decoder.into_bytes();
                return Some(Preface {
                    stream: connection.stream,
                    link: connection.link,
                    read,
                    held,
                });
            }
        };
        match next {
            Ok(Next::Request) => continue,
            Ok(Next::Gone) => close(&mut connection.stream, 0).await,
            Ok(Next::Close) => close(&mut connection.stream, LINGER_BYTES_MAX).await,
            Ok(Next::Live(start, filing)) => {
                let sent_bytes = connection.front.metrics.sent(Protocol::H1).clone();
                let live = Live::new(connection.stream, sent_bytes, filing, held);
                start(Sink::Connection(Box::new(live)));
            }
            Ok(Next::Duplex(start, filing)) => start(connection.into_duplex((held, filing))),
            Err(error) => tracing::debug!(%error, "connection ended"),
        }
        return None;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Connection<S> {
    /// Reads until a head is whole; once `dismissed` is ready, as far as one has begun.
    async fn next_head(
        &mut self,
        mut dismissed: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Head, Stop> {
        // The first head's time begins with the connection, a later one's with its first byte.
        let mut idle = self.served > 0 && self.decoder.is_empty();
        let mut waits = self.served == 0;
        loop {
            if self.served == 0 && self.decoder.at_preface() {
                return Err(Stop::Preface);
            }
            if let Some(head) = self.decoder.next()? {
                return Ok(head);
            }
            if idle && !self.decoder.is_empty() {
                idle = false;
                waits = false;
            }
            let read = poll_fn(|cx| {
                if let Poll::Ready(read) = poll_read(&mut self.stream, &mut self.decoder, cx) {
                    return Poll::Ready(Some(read.unwrap_or(0)));
                }
                if self.decoder.is_empty() && dismissed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(0));
                }
                if !mem::replace(&mut waits, true) {
                    let wait = if idle { IDLE_WAIT } else { HEAD_WAIT };
                    self.patience.renew(wait);
                }
                self.patience.poll_over(cx).map(|()| None)
            });
            match read.await {
                Some(0) => return Err(Stop::Quiet),
                Some(_) => {}
                None if self.decoder.is_empty() => return Err(Stop::Quiet),
                None => return Err(Fault::TooSlow.into()),
            }
        }
    }

    /// Reads a request and hands it to the service. What it reads has no place here any more while
    /// the reply is awaited: parked connections are many.
    async fn request(
        &mut self,
        dismissed: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(Reply, Terms), Stop> {
        let head = self.next_head(dismissed).await?;
        let accept = websocket::accept(&head)?;
        // On the heap, so that connections without bodies stay small.
        let mut body = match head.framing {
            Framing::Length(0) => Bytes::new(),
            _ => Box::pin(self.receive(&head)).await?,
        };
        if is_bodiless(&head.method) {
            body = Bytes::new();
        }
        let mut terms = Terms::of(&head, accept);
        let direct = self.direct(&head.method, terms.persistence);
        let asked = (&head.method, &head.uri, &head.headers);
        let filing = Filing::begin(&self.front, asked, Protocol::H1, &self.link);
        let reply = self.front.call(Request {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
            upgrade: terms.accept.as_ref().map(|_| Upgrade::WebSocket),
            protocol: Protocol::H1,
            secure: self.link.secure,
            peer: self.link.peer,
            extensions: http::Extensions::new(),
            direct,
            slip: filing.slip(),
        });
        terms.filing = Some(filing);
        Ok((reply, terms))
    }

    /// Waits for the reply, if need be, and writes it.
    async fn answer(&mut self, reply: Reply, mut terms: Terms) -> io::Result<Next> {
        let response = match reply {
            Reply::Ready(response) => response,
            Reply::Later(later) => {
                let since = clock::now();
                let answered = self.park(later).await?;
                if let Some(filing) = &mut terms.filing {
                    filing.held(since.elapsed());
                }
                match answered {
                    Some(response) => response,
                    None => return Ok(Next::Gone),
                }
            }
        };
        self.reply(response, terms).await
    }

    /// Reads the body of a request.
    async fn receive(&mut self, head: &Head) -> Result<Bytes, Stop> {
        let mut body = Incoming::new(head.framing)?;
        let mut waits_for_leave = head.expects_continue && !head.http10;
        let mut patience = Patience::new(BODY_WAIT);
        loop {
            if let Some(bytes) = self.decoder.body(&mut body)? {
                return Ok(bytes);
            }
            if mem::take(&mut waits_for_leave) {
                write(&mut self.stream, CONTINUE, &[], &mut self.patience).await?;
            }
            let read = poll_fn(|cx| {
                if let Poll::Ready(read) = poll_read(&mut self.stream, &mut self.decoder, cx) {
                    return Poll::Ready(Ok(read?));
                }
                let over = patience.poll_over(cx);
                over.map(|()| Err(Stop::Fault(Fault::TooSlow)))
            });
            if read.await? == 0 {
                return Err(Stop::Quiet);
            }
        }
    }

    /// What a service may begin its reply with.
    fn direct(&self, method: &Method, persistence: Persistence) -> Option<Direct> {
        let fits = method == Method::GET && persistence == Persistence::Stays;
        let stream = self.shared.clone().filter(|_| fits)?;
        Some(Direct {
            stream,
            front: self.front.clone(),
            link: self.link.clone(),
        })
    }

    /// Waits for the reply; `None` when the peer goes away first, which drops `later`.
    async fn park(
        &mut self,
        mut later: Pin<Box<dyn Future<Output = Response>>>,
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

    async fn reply(&mut self, response: Response, mut terms: Terms) -> io::Result<Next> {
        let asked = terms.accept.as_ref().map(|_| Upgrade::WebSocket);
        let (mut parts, body) = settle(response, asked).into_parts();
        if let (Body::Duplex(_), Some(accept)) = (&body, terms.accept.take()) {
            let websocket = HeaderValue::from_static("websocket");
            parts.status = StatusCode::SWITCHING_PROTOCOLS;
            parts.headers.insert(header::UPGRADE, websocket);
            parts.headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        self.front.metrics.replied(Protocol::H1, parts.status);
        if let Some(filing) = &mut terms.filing {
            filing.answered(&mut parts);
        }
        self.served += 1;
        let closes = terms.persistence == Persistence::Close;
        let next = if closes || self.front.leaving().is_requested() {
            Next::Close
        } else {
            Next::Request
        };
        let mut chunks = None;
        let (length, next) = match body {
            Body::Begun(begun) => return self.finish(begun, terms.filing).await,
            Body::Duplex(start) => (Length::Silent, Next::Duplex(start, terms.filing.take())),
            _ if encoder::is_bodiless(parts.status) => (Length::Silent, next),
            Body::Chunks(body) => {
                let length = Length::Bytes(body.len());
                chunks = Some(body).filter(|_| !terms.head_only);
                (length, next)
            }
            Body::Live(_) if terms.head_only => (Length::UntilClose, next),
            Body::Live(start) => (Length::UntilClose, Next::Live(start, terms.filing.take())),
            // HTTP/1.1 has no sessions, so nobody has asked for one.
            Body::Session(_) => (Length::Bytes(0), next),
        };
        let persistence = match next {
            Next::Duplex(..) => Persistence::Upgrades,
            Next::Request => terms.persistence,
            Next::Live(..) | Next::Close | Next::Gone => Persistence::Close,
        };

        let mut out = self.front.head();
        let link = (&*self.front, &self.link);
        encoder::head(&mut out, &parts, length, persistence, link);
        let file = chunks.as_ref().and_then(|body| {
            let socket = self.shared.as_ref()?;
            Some((socket, sealed(body)?))
        });
        let sent = match file {
            Some((socket, file)) => send(socket, &out, file, &mut self.patience).await,
            None => {
                let body = chunks.as_ref().map_or(&[][..], Chunks::as_slice);
                write(&mut self.stream, &out, body, &mut self.patience).await
            }
        };
        let body_bytes = chunks.as_ref().map_or(0, Chunks::len);
        let bytes = out.len() + body_bytes;
        self.front.keep_head(out);
        sent?;
        self.front.metrics.sent(Protocol::H1).inc_by(bytes as u64);
        if let Some(filing) = &mut terms.filing {
            filing.sent(body_bytes);
        }
        Ok(next)
    }

    /// Writes what a service has left of its reply.
    async fn finish(&mut self, begun: Begun, filing: Option<Box<Filing>>) -> io::Result<Next> {
        let bytes = &begun.reply.bytes;
        let rest = &bytes[begun.written_bytes..];
        write(&mut self.stream, rest, &[], &mut self.patience).await?;
        let sent_bytes = self.front.metrics.sent(Protocol::H1);
        sent_bytes.inc_by(bytes.len() as u64);
        if let Some(mut filing) = filing {
            filing.sent(bytes.len());
        }
        Ok(if begun.reply.closes {
            Next::Close
        } else {
            Next::Request
        })
    }

    /// Says what is wrong with the request; the connection is of no more use.
    async fn refuse(&mut self, fault: Fault) -> io::Result<Next> {
        tracing::debug!(%fault, "request refused");
        let mut response = problem(fault.status(), &fault.to_string());
        if fault == Fault::WebSocketVersion {
            let version = HeaderValue::from_static(websocket::VERSION);
            let headers = response.headers_mut();
            headers.insert(header::SEC_WEBSOCKET_VERSION, version);
        }
        self.reply(response, Terms::LAST).await
    }

    /// Both sides, for a service.
    fn into_duplex<G: 'static>(self, held: G) -> Duplex {
        let read = self.decoder.into_bytes();
        let sent_bytes = self.front.metrics.sent(Protocol::H1).clone();
        match self.shared {
            Some(stream) => Duplex::plain(read, stream, sent_bytes, held),
            None => Duplex::layered(read, self.stream, sent_bytes, held),
        }
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
