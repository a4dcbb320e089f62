//! Both sides of a connection, or of one stream of it, in the hands of a service.
//!
//! A service with ten thousand of them writes the same bytes to all in one pass, on whatever task
//! it does that: [`Writer::try_write`]. The task that reads one of them writes what a pass had to
//! leave behind: [`Writer::poll_write`].

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;

use crate::net::http::direct::Shared;

/// Slices that are merged into one write, for streams that take one slice at a time.
const MERGED_BYTES_MAX: usize = 16 << 10;

/// A byte stream in both directions. It closes when all of its parts are dropped.
pub struct Duplex {
    read: Bytes,
    transport: Rc<dyn Transport>,
}

/// The reading side of a [`Duplex`]. Keep it in one task, and keep it polled: over TLS and HTTP/2
/// its turns also push out what a [`Writer::try_write`] left on the way.
pub struct Reader {
    read: Bytes,
    transport: Rc<dyn Transport>,
}

/// The writing side of a [`Duplex`]; clones write to the same stream.
#[derive(Clone)]
pub struct Writer(Rc<dyn Transport>);

/// What moves the bytes. Nothing is borrowed across a call, in which nobody else of the worker
/// runs.
trait Transport {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Duplex {
    /// Over any stream, of which the bytes `read` came already.
    #[must_use]
    pub fn new(read: Bytes, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Self {
        Self::layered(read, stream, Counter::default(), ())
    }

    /// Over `stream`, counting into `sent_bytes`. `held` lives as long as the stream.
    pub(super) fn layered<S, G>(read: Bytes, stream: S, sent_bytes: Counter, held: G) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        G: 'static,
    {
        let transport = Rc::new(Layered {
            stream: RefCell::new(stream),
            reader: RefCell::new(Waker::noop().clone()),
            sent_bytes,
            _held: held,
        });
        Self { read, transport }
    }

    /// Over a plain TCP connection, as [`Self::layered`].
    pub(super) fn plain<G: 'static>(
        read: Bytes,
        stream: Shared,
        sent_bytes: Counter,
        held: G,
    ) -> Self {
        let transport = Rc::new(Plain {
            stream,
            sent_bytes,
            _held: held,
        });
        Self { read, transport }
    }

    /// The two sides.
    #[must_use]
    pub fn split(self) -> (Reader, Writer) {
        let writer = Writer(self.transport.clone());
        let reader = Reader {
            read: self.read,
            transport: self.transport,
        };
        (reader, writer)
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return self.transport.poll_read(cx, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl Writer {
    /// Writes what the stream takes now, from any task of the worker: over plain TCP one call of
    /// the system, and nobody is woken later. Returns how many bytes it took, which may be fewer
    /// than there are.
    ///
    /// Errors: `WouldBlock` when it takes nothing; others when the stream has ended.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(slices)
    }

    /// Writes as much as the stream takes, or wakes the task of `cx` when it takes more. Only one
    /// task may wait.
    pub fn poll_write(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    /// Ready when nothing of what was written waits in this process.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    /// Flushes and says that nothing more will be written; the peer may still write.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// Plain TCP.
struct Plain<G> {
    stream: Shared,
    sent_bytes: Counter,
    _held: G,
}

impl<G> Transport for Plain<G> {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream.clone()).poll_read(cx, buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.stream.try_write(slices)?;
        self.sent_bytes.inc_by(written as u64);
        Ok(written)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.clone();
        let written = ready!(Pin::new(&mut stream).poll_write_vectored(cx, slices))?;
        self.sent_bytes.inc_by(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream.clone()).poll_shutdown(cx)
    }
}

/// A stream inside of another: TLS, HTTP/2, HTTP/3. It may hold bytes that it has taken.
struct Layered<S, G> {
    stream: RefCell<S>,
    /// The task that reads. It is told when a stream that blocked a `try_write` goes on.
    reader: RefCell<Waker>,
    sent_bytes: Counter,
    _held: G,
}

impl<S: AsyncRead + AsyncWrite + Unpin, G> Layered<S, G> {
    fn write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let stream = Pin::new(&mut *stream);
        let written = if stream.is_write_vectored() || slices.len() == 1 {
            ready!(stream.poll_write_vectored(cx, slices))?
        } else {
            ready!(stream.poll_write(cx, &merge(slices)))?
        };
        self.sent_bytes.inc_by(written as u64);
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, G> Transport for Layered<S, G> {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reader.borrow_mut().clone_from(cx.waker());
        let mut stream = self.stream.borrow_mut();
        let mut stream = Pin::new(&mut *stream);
        // A stream that cannot be written may still hold the peer's last words.
        drop(stream.as_mut().poll_flush(cx));
        stream.poll_read(cx, buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let reader = self.reader.borrow();
        // How long a pass may take is its own business, not that of the task's budget.
        let attempt = unconstrained(std::future::poll_fn(|cx| {
            let written = self.write(cx, slices);
            drop(Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx));
            written
        }));
        match pin!(attempt).poll(&mut Context::from_waker(&reader)) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.write(cx, slices)
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)
    }
}

/// The first bytes of `slices` in one piece.
fn merge(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut merged = Vec::new();
    for slice in slices {
        let room = MERGED_BYTES_MAX - merged.len();
        merged.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    merged
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duplex({} bytes read)", self.read.len())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes read)", self.read.len())
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

#[cfg(test)]
#[path = "duplex_test.rs"]
mod tests;
