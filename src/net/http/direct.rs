//! Replies that a service begins by itself, for many connections in one pass.
//!
//! Waking a task for each of ten thousand parked connections takes longer than writing to their
//! sockets. While a request is parked its connection writes nothing, so the service may: one
//! encoded reply for all, one write each, and only then the tasks.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::net::http::front::Front;
use crate::net::http::link::Link;
use crate::net::http::{Body, Response, http1};
use crate::runtime::clock::{self, Instant};
use crate::telemetry::access;

/// A path does not change faster, and to ask the kernel takes a tenth of what a small answer does.
const STATE_HOLDS: Duration = Duration::from_millis(500);

/// A TCP connection, shared by its task, the [`Direct`] of the request it waits with and all who
/// want to know how it fares.
#[derive(Debug, Clone)]
pub(in crate::net) struct Shared(Rc<Socket>);

#[derive(Debug)]
struct Socket {
    stream: RefCell<TcpStream>,
    /// How it fared when somebody asked last.
    state: Cell<Option<(Instant, access::Link)>>,
}

/// The connection of a parked request.
#[derive(Clone)]
pub struct Direct {
    pub(super) stream: Shared,
    pub(super) front: Rc<Front>,
    pub(super) link: Link,
}

/// A whole HTTP/1.1 reply, the same for all connections of a worker that would stay open.
#[derive(Debug)]
pub struct Encoded {
    pub(super) status: StatusCode,
    pub(super) bytes: Bytes,
    /// The head says that the connection closes.
    pub(super) closes: bool,
}

/// A reply of which a part, mostly all of it, is written.
#[derive(Debug)]
pub struct Begun {
    pub(super) reply: Rc<Encoded>,
    pub(super) written_bytes: usize,
}

impl Direct {
    /// Encodes `response` for all who wait for the same; `None` when its length is not known or it
    /// has no body.
    #[must_use]
    pub fn encode(&self, response: Response) -> Option<Rc<Encoded>> {
        let (parts, body) = response.into_parts();
        let bytes = http1::encode(&parts, &body, &self.front, &self.link)?;
        Some(Rc::new(Encoded {
            status: parts.status,
            bytes,
            closes: self.front.leaving().is_requested(),
        }))
    }

    /// Writes as much of `reply` as the socket takes now; the connection's task writes the rest
    /// once it is given what this returns, and meets the error if there is one.
    #[must_use]
    pub fn begin(&self, reply: &Rc<Encoded>) -> Begun {
        let written = self.stream.try_write(&[IoSlice::new(&reply.bytes)]);
        Begun {
            reply: reply.clone(),
            written_bytes: written.unwrap_or(0),
        }
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Direct({})", self.link.peer)
    }
}

impl Begun {
    /// The status that the reply says.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.reply.status
    }
}

impl From<Begun> for Response {
    /// The reply of a parked request that was begun; fields it had are in the head already.
    fn from(begun: Begun) -> Self {
        let status = begun.reply.status;
        let mut response = Self::new(Body::Begun(begun));
        *response.status_mut() = status;
        response
    }
}

impl Shared {
    pub(in crate::net) fn new(stream: TcpStream) -> Self {
        Self(Rc::new(Socket {
            stream: RefCell::new(stream),
            state: Cell::default(),
        }))
    }

    /// How the connection fares, by `ask` or as it did lately.
    pub(super) fn state(
        &self,
        ask: impl FnOnce(BorrowedFd<'_>) -> Option<access::Link>,
    ) -> Option<access::Link> {
        let now = clock::now();
        if let Some((at, state)) = self.0.state.get()
            && now.duration_since(at) < STATE_HOLDS
        {
            return Some(state);
        }
        let state = ask(self.0.stream.borrow().as_fd())?;
        self.0.state.set(Some((now, state)));
        Some(state)
    }

    /// Lets `act` do something with the socket that writes, once it takes bytes.
    pub(super) fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        mut act: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let stream = self.0.stream.borrow();
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || act(stream.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Writes what the socket takes now; nobody is woken later.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [slice] => self.0.stream.borrow().try_write(slice),
            slices => self.0.stream.borrow().try_write_vectored(slices),
        }
    }
}

// The stream is borrowed for one call of the system, in which nobody else of the worker runs.

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "direct_test.rs"]
mod tests;
