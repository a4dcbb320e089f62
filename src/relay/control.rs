//! Control messages over QUIC streams.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::relay::error::{CLOSE_STUCK, Error};
use crate::relay::wire::control::{Hello, Message, Purpose, take};
use crate::relay::wire::{self, VERSION, VERSION_MIN};

/// Messages that may wait for a control stream. A peer that does not read its control stream stalls
/// its own link, nobody else's.
pub(super) const OUTBOX_MAX: usize = 256;

/// How long a peer may take for its first message, in seconds.
const HELLO_SECONDS: u64 = 5;

/// How long the control stream may stand still, in seconds.
const STUCK_SECONDS: u64 = 5;

/// The most bytes taken from a stream at once.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Where messages to the peer are put.
pub(super) type Outbox = mpsc::Sender<Message>;

/// Reads messages off a stream, or other records that know their length.
pub(super) struct Reader {
    stream: quinn::RecvStream,
    buffer: BytesMut,
}

impl Reader {
    pub(super) fn new(stream: quinn::RecvStream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The next message of a kind that is known here. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Message, Error> {
        let ended = || Error::PeerGone("the control stream ended".into());
        self.record(take).await?.ok_or_else(ended)
    }

    /// The next record, by the function that takes it off the buffer; `None` at the end of the
    /// stream. Cancel-safe.
    pub(super) async fn record<T>(
        &mut self,
        take: impl Fn(&mut BytesMut) -> Result<Option<T>, wire::Error>,
    ) -> Result<Option<T>, Error> {
        loop {
            if let Some(record) = take(&mut self.buffer)? {
                return Ok(Some(record));
            }
            match self.stream.read_chunk(READ_BYTES, true).await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(wire::Error::Truncated("record").into()),
            }
        }
    }

    /// The first message, which has to be a hello. Its version is the one that both ends use.
    pub(super) async fn hello(&mut self) -> Result<Hello, Error> {
        let wait = Duration::from_secs(HELLO_SECONDS);
        let message = tokio::time::timeout(wait, self.next())
            .await
            .map_err(|_| Error::Timeout("hello", HELLO_SECONDS))??;
        match message {
            Message::Hello(hello) if hello.version < VERSION_MIN || hello.lowest > VERSION => {
                Err(Error::Version(hello.lowest, hello.version))
            }
            Message::Hello(hello) => Ok(Hello {
                version: hello.version.min(VERSION),
                ..hello
            }),
            _ => Err(Error::Protocol("the first message is no hello")),
        }
    }
}

/// What this node says first.
pub(super) fn hello(node: &Arc<str>, purpose: Purpose) -> Message {
    Message::Hello(Hello {
        lowest: VERSION_MIN,
        version: VERSION,
        node: node.clone(),
        purpose,
    })
}

/// Writes what is put into the outbox until it closes or the connection ends. A peer that does not
/// let the control stream move for [`STUCK_SECONDS`] has stopped reading altogether: its link is
/// closed, so that nothing piles up for it.
pub(super) async fn write(
    mut stream: quinn::SendStream,
    mut inbox: mpsc::Receiver<Message>,
    connection: quinn::Connection,
) {
    let mut messages = Vec::with_capacity(OUTBOX_MAX);
    while inbox.recv_many(&mut messages, OUTBOX_MAX).await > 0 {
        let mut chunks: Vec<Bytes> = messages.drain(..).map(|message| message.encode()).collect();
        let wait = Duration::from_secs(STUCK_SECONDS);
        match tokio::time::timeout(wait, stream.write_all_chunks(&mut chunks)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                connection.close(CLOSE_STUCK, b"the control stream is not read");
                return;
            }
        }
    }
}
