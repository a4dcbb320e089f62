//! The write side of a live reply: the connection itself, with an eye on whether the peer is there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::net::http::access::Filing;
use crate::net::http::http1::io::poll_discard;

/// The most bytes a viewer may send while it is served; nothing it could send has a meaning.
const CHATTER_BYTES_MAX: usize = 64 << 10;

/// A connection after the head of a live reply. `G` is what must live as long as the connection.
pub(super) struct Live<S, G> {
    stream: S,
    sent_bytes: Counter,
    filing: Option<Box<Filing>>,
    chatter_bytes: usize,
    _held: G,
}

impl<S: AsyncRead + AsyncWrite + Unpin, G> Live<S, G> {
    pub(super) fn new(
        stream: S,
        sent_bytes: Counter,
        filing: Option<Box<Filing>>,
        held: G,
    ) -> Self {
        Self {
            stream,
            sent_bytes,
            filing,
            chatter_bytes: 0,
            _held: held,
        }
    }

    /// Fails once the peer has closed. It also registers the writing task, so that a hang-up wakes
    /// it.
    fn check_peer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match poll_discard(&mut self.stream, CHATTER_BYTES_MAX, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(read)) if read > 0 && self.chatter_bytes < CHATTER_BYTES_MAX => {
                self.chatter_bytes += read;
                Ok(())
            }
            Poll::Ready(Ok(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    fn count(&mut self, written: usize) -> Poll<io::Result<usize>> {
        self.sent_bytes.inc_by(written as u64);
        if let Some(filing) = &mut self.filing {
            filing.sent(written);
        }
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, G: Unpin> AsyncWrite for Live<S, G> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_peer(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_peer(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.count(written)
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
