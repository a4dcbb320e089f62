//! Reading without a buffer of its own and vectored writing, with their limits of time.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::sendfile;
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use crate::net::http::direct::Shared;
use crate::net::http::http1::Decoder;
use crate::net::http::http1::patience::Patience;
use crate::net::http::http1::sealed::Sealed;

/// Longest write without progress; a peer that takes nothing for that long is gone or hostile.
const WRITE_STALL: Duration = Duration::from_secs(20);

/// How long a peer may take to close its side after ours.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes read at once. They pass through the stack, so that a connection that waits holds no
/// buffer.
const READ_BYTES: usize = 4096;

/// Slices of one vectored write: a part has few, and the kernel's own limit is 1,024.
const SLICES_MAX: usize = 64;

/// Reads once into `decoder`, which has room. `Ok(0)`: the peer has closed its side.
pub(super) fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    decoder: &mut Decoder,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
    let room = decoder.room().min(READ_BYTES);
    let mut buffer = ReadBuf::uninit(&mut bytes[..room]);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    decoder.push(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Reads and drops once; returns how many bytes, 0 at the end.
pub(super) fn poll_discard<S: AsyncRead + Unpin + ?Sized>(
    stream: &mut S,
    length: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
    let mut buffer = ReadBuf::uninit(&mut bytes[..length.min(READ_BYTES)]);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Writes `head` and then `body`, as many slices a call as the system takes. Errors of kind
/// `TimedOut` when the peer takes nothing for [`WRITE_STALL`].
pub(super) async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    head: &[u8],
    body: &[Bytes],
    patience: &mut Patience,
) -> io::Result<()> {
    let mut rest = Rest {
        head,
        body,
        skipped: 0,
    };
    while !rest.is_empty() {
        let write = |cx: &mut Context<'_>| {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = rest.fill(&mut slices);
            Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count])
        };
        match within_stall(patience, write).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => rest.advance(written),
        }
    }
    within_stall(patience, |cx| Pin::new(&mut *stream).poll_flush(cx)).await
}

/// Writes `head` and then the body in `file`, which the kernel takes from there; errors as of
/// [`write`].
pub(super) async fn send(
    socket: &Shared,
    mut head: &[u8],
    file: &Sealed,
    patience: &mut Patience,
) -> io::Result<()> {
    let mut sent = 0;
    let mut step = |fd: BorrowedFd<'_>| {
        if head.is_empty() {
            let left = usize::try_from(file.bytes() - sent).unwrap_or(usize::MAX);
            return match sendfile(fd, file, Some(&mut sent), left)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(sent < file.bytes()),
            };
        }
        // The head goes with the first bytes of the body.
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        head = &head[rustix::net::send(fd, head, flags)?..];
        Ok(true)
    };
    while within_stall(patience, |cx| socket.poll_io(cx, &mut step)).await? {}
    Ok(())
}

/// Waits for `step`, which mostly is done at once, for at most [`WRITE_STALL`].
async fn within_stall<T>(
    patience: &mut Patience,
    mut step: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    let mut waits = false;
    poll_fn(|cx| {
        if let Poll::Ready(done) = step(cx) {
            return Poll::Ready(done);
        }
        if !mem::replace(&mut waits, true) {
            patience.renew(WRITE_STALL);
        }
        patience
            .poll_over(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// Closes the sending side and reads up to `left` bytes for a moment: a close with unread bytes
/// would reset the connection and take the reply with it (RFC 9112, section 9.6).
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, mut left: usize) {
    let closing = async {
        stream.shutdown().await?;
        while left > 0 {
            match poll_fn(|cx| poll_discard(stream, left, cx)).await? {
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

/// What is still to be written.
struct Rest<'a> {
    head: &'a [u8],
    body: &'a [Bytes],
    /// Bytes of `body`'s first buffer that are written.
    skipped: usize,
}

impl<'a> Rest<'a> {
    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    fn fill(&self, slices: &mut [IoSlice<'a>]) -> usize {
        let first = Some(self.head).filter(|head| !head.is_empty());
        let mut skipped = self.skipped;
        let body = self
            .body
            .iter()
            .map(|chunk| &chunk[mem::take(&mut skipped)..]);
        let mut count = 0;
        for (slot, bytes) in slices.iter_mut().zip(first.into_iter().chain(body)) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head = &self.head[of_head..];
        self.skipped += written - of_head;
        while let Some(first) = self
            .body
            .first()
            .filter(|first| self.skipped >= first.len())
        {
            self.skipped -= first.len();
            self.body = &self.body[1..];
        }
    }
}
