//! The writing side of a member's connection, whatever the door.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::net::http::{Sink, Writer};

/// Where a member's bytes go.
pub(super) enum Wire {
    /// WebSocket and WebTransport: one side of a connection in both directions.
    Duplex(Writer),
    /// Server-sent events over HTTP/1.1.
    Connection(Box<dyn AsyncWrite + Unpin>),
    /// Server-sent events over HTTP/2 and HTTP/3. Who waits for room must come back by the clock.
    Queue(mpsc::Sender<Bytes>),
}

impl From<Sink> for Wire {
    fn from(sink: Sink) -> Self {
        match sink {
            Sink::Connection(connection) => Self::Connection(connection),
            Sink::Queue(queue) => Self::Queue(queue),
        }
    }
}

impl Wire {
    /// Writes what it takes now and wakes nobody later; 0: nothing.
    pub(super) fn try_write(&mut self, bytes: &Bytes) -> io::Result<usize> {
        if let Self::Duplex(writer) = self {
            return match writer.try_write(&[IoSlice::new(bytes)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                written => written,
            };
        }
        let mut cx = Context::from_waker(Waker::noop());
        match self.poll_write(&mut cx, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(0),
        }
    }

    /// Writes what it takes, or wakes the task of `cx` when it takes more.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &Bytes,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Duplex(writer) => writer.poll_write(cx, &[IoSlice::new(bytes)]),
            Self::Connection(connection) => Pin::new(connection).poll_write(cx, bytes),
            Self::Queue(queue) => match queue.try_send(bytes.clone()) {
                Ok(()) => Poll::Ready(Ok(bytes.len())),
                Err(TrySendError::Full(_)) => Poll::Pending,
                Err(TrySendError::Closed(_)) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
        }
    }

    /// Ready when nothing that was written waits in this process.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Duplex(writer) => writer.poll_flush(cx),
            Self::Connection(connection) => Pin::new(connection).poll_flush(cx),
            Self::Queue(_) => Poll::Ready(Ok(())),
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Duplex(writer) => writer.poll_shutdown(cx),
            Self::Connection(connection) => Pin::new(connection).poll_shutdown(cx),
            Self::Queue(_) => Poll::Ready(Ok(())),
        }
    }

    /// True when nobody is woken once it takes more.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Queue(_))
    }

    /// True once the peer is known to have gone.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Queue(queue) if queue.is_closed())
    }
}
