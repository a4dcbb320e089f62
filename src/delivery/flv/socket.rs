//! A viewer by WebSocket (RFC 6455) as a sink of bytes: WebSocket-FLV.
//!
//! Players join the messages to one stream, so where a message ends means nothing: one carries
//! what a write brings. Knows no tags, and nothing that a viewer could have to say.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::viewer::SLICES_MAX;
use crate::net::http::{Duplex, Reader, Writer};
use crate::protocol::websocket::{self, CloseCode, Event};

/// Bytes read at once; they pass through the stack.
const READ_BYTES: usize = 512;

/// One viewer's WebSocket. Dropping it says goodbye.
pub(super) struct Socket {
    reader: Reader,
    writer: Writer,
    peer: websocket::Reader,
    /// The answer to the newest ping, until a message ends; older ones need none (section 5.5.3).
    pong: Vec<u8>,
    /// What is written before the message's own bytes: its head, and the pong before that.
    ahead: Vec<u8>,
    /// Bytes of the message under way that are not written yet.
    left: usize,
}

impl Socket {
    pub(super) fn new(duplex: Duplex) -> Self {
        let (reader, writer) = duplex.split();
        Self {
            reader,
            writer,
            peer: websocket::Reader::default(),
            pong: Vec::new(),
            ahead: Vec::new(),
            left: 0,
        }
    }

    /// Hears whether the viewer is still there. Errors: he has gone, or breaks the rules.
    fn hear(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        let Poll::Ready(read) = Pin::new(&mut self.reader).poll_read(cx, &mut buffer) else {
            return Ok(());
        };
        read?;
        if buffer.filled().is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut events = Vec::new();
        let heard = self.peer.read(buffer.filled(), &mut events);
        for event in events {
            match event {
                Event::Ping(payload) => self.pong = websocket::pong(&payload),
                Event::Close(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Event::Text(_) | Event::Binary(_) | Event::Pong => {}
            }
        }
        heard.map_err(io::Error::other)
    }
}

impl AsyncWrite for Socket {
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.hear(cx)?;
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        if this.left == 0 {
            this.ahead.append(&mut this.pong);
            websocket::head(&mut this.ahead, offered as u64);
            this.left = offered;
        }
        loop {
            let mut out: SmallVec<[IoSlice<'_>; SLICES_MAX + 1]> = SmallVec::new();
            if !this.ahead.is_empty() {
                out.push(IoSlice::new(&this.ahead));
            }
            let mut room = this.left;
            for slice in slices {
                let length = slice.len().min(room);
                out.push(IoSlice::new(&slice[..length]));
                room -= length;
                if room == 0 {
                    break;
                }
            }
            let written = ready!(this.writer.poll_write(cx, &out))?;
            drop(out);
            let ahead = written.min(this.ahead.len());
            this.ahead.drain(..ahead);
            this.left -= written - ahead;
            // A write of nothing but the head is none to the caller.
            if written > ahead || written == 0 {
                return Poll::Ready(Ok(written - ahead));
            }
        }
    }

    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // In the middle of a message there is no room for it; the end of the connection says it.
        if self.left == 0 {
            let goodbye = websocket::close(CloseCode::Normal, "");
            let _who_listens_hears = self.writer.try_write(&[IoSlice::new(&goodbye)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    fn pair(capacity: usize) -> (Socket, DuplexStream) {
        let (near, far) = duplex(capacity);
        (Socket::new(Duplex::new(Bytes::new(), near)), far)
    }

    #[tokio::test]
    async fn a_player_that_takes_little_gets_every_byte_in_order() {
        // Seven bytes at a time: heads are torn as well.
        let (mut socket, far) = pair(7);
        let mut player = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let sent: Vec<u8> = (0..3_u8).cycle().take(70_000).collect();
        let source = sent.clone();
        let write = async move {
            for (piece, length) in [(0, 1), (1, 125), (126, 126), (252, 69_748)] {
                socket.write_all(&source[piece..piece + length]).await?;
            }
            drop(socket);
            io::Result::Ok(())
        };
        let read = async {
            let mut got = Vec::new();
            while let Some(Ok(message)) = player.next().await {
                match message {
                    Message::Binary(bytes) => got.extend_from_slice(&bytes),
                    other => assert!(other.is_close(), "{other}"),
                }
            }
            got
        };
        let (written, got) = tokio::join!(write, read);
        written.unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    }

    #[tokio::test]
    async fn pings_are_answered_between_messages_and_a_goodbye_ends_it() {
        let (mut socket, mut player) = pair(1 << 10);
        let pings = *b"\x89\x81\0\0\0\0a\x89\x81\0\0\0\0b";
        player.write_all(&pings).await.unwrap();
        socket.write_all(b"FLV").await.unwrap();
        let mut got = [0; 8];
        player.read_exact(&mut got).await.unwrap();
        assert_eq!(
            got, *b"\x8a\x01b\x82\x03FLV",
            "the newest one, then a message"
        );
        player.write_all(b"\x88\x80\0\0\0\0").await.unwrap();
        let error = socket.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn junk_from_a_player_ends_it() {
        let (mut socket, mut player) = pair(1 << 10);
        player.write_all(b"\x82\x01?").await.unwrap();
        let error = socket.write_all(b"FLV").await.unwrap_err();
        assert_eq!(error.to_string(), "a frame is not masked");
    }
}
