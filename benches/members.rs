//! Members of a room in one thread: they speak WebSocket, count what they hear, and find what one
//! of them has said.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use rushlane::runtime::{Shutdown, TaskScope, clock};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

use crate::multiplexed::Shared;
use crate::outcome;
use crate::servers::ROOM;

/// Members with one address; there are fewer ports than members.
const ADDRESS_MEMBERS_MAX: usize = 10_000;
/// Members that share one HTTP/2 connection; a node takes 128 requests on one.
const SHARED_MEMBERS: usize = 100;
/// What marks the time in a comment: `at=` and microseconds since 1970.
const STAMP: &str = "at=";

/// The first byte of a ping.
const PING: u8 = 0x89;
/// An empty pong, masked by zeros.
const PONG: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

/// What all members together have heard.
pub struct Heard {
    /// Events, each member's own count.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
    /// From a speaker's socket to a listener's, in microseconds.
    pub delay_us: Histogram<u64>,
    entered: usize,
    ended: usize,
}

/// Members that listen until this is dropped.
pub struct Crowd {
    heard: Rc<RefCell<Heard>>,
    scope: TaskScope,
}

/// A member that speaks.
pub struct Speaker(Rc<Mutex<OwnedWriteHalf>>);

impl Crowd {
    /// Nobody yet.
    pub fn new() -> Self {
        Self {
            heard: Rc::new(RefCell::new(Heard {
                events: 0,
                bytes: 0,
                delay_us: outcome::microseconds(),
                entered: 0,
                ended: 0,
            })),
            scope: TaskScope::under(&Shutdown::new()),
        }
    }

    /// Connects `count` members to `address` and waits until all have been told the state of the
    /// room. `stamps`: they look for the times in comments.
    pub async fn join(&self, address: &str, count: usize, stamps: bool) -> anyhow::Result<()> {
        let before = self.heard.borrow().entered;
        for index in 0..count {
            let (reader, writer) = connect(address, index, "").await?;
            self.listen(reader, writer, stamps);
            if index % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        self.have_entered(before + count).await
    }

    /// The same over HTTP/2, a hundred members on each connection.
    pub async fn join_multiplexed(&self, address: &str, count: usize) -> anyhow::Result<()> {
        let before = self.heard.borrow().entered;
        for first in (0..count).step_by(SHARED_MEMBERS) {
            let mut shared = Shared::connect(address.parse()?, &self.scope).await?;
            for _ in first..count.min(first + SHARED_MEMBERS) {
                let (reader, writer) = tokio::io::split(shared.websocket().await?);
                self.listen(reader, writer, false);
            }
        }
        self.have_entered(before + count).await
    }

    async fn have_entered(&self, count: usize) -> anyhow::Result<()> {
        for _ in 0..300 {
            if self.heard.borrow().entered == count {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let entered = self.heard.borrow().entered;
        bail!("{entered} of {count} members came in")
    }

    /// A member called `user`, who listens too.
    pub async fn speaker(&self, address: &str, user: &str) -> anyhow::Result<Speaker> {
        let (reader, writer) = connect(address, 0, &format!("user={user}")).await?;
        let heard = self.heard.clone();
        let writer = Rc::new(Mutex::new(writer));
        let speaker = Speaker(writer.clone());
        self.scope.spawn_local("speaker", async move {
            let _ended = listen(reader, &writer, &heard, false, false).await;
        });
        Ok(speaker)
    }

    fn listen<R, W>(&self, reader: R, writer: W, stamps: bool)
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        let heard = self.heard.clone();
        self.scope.spawn_local("member", async move {
            let writer = Mutex::new(writer);
            if let Err(error) = listen(reader, &writer, &heard, true, stamps).await {
                tracing::debug!(%error, "a member's connection ended");
            }
            heard.borrow_mut().ended += 1;
        });
    }

    /// Forgets what was heard.
    pub fn reset(&self) {
        let mut heard = self.heard.borrow_mut();
        (heard.events, heard.bytes) = (0, 0);
        heard.delay_us.reset();
    }

    /// What was heard since; an error when somebody was cut off.
    pub fn heard(&self) -> anyhow::Result<std::cell::Ref<'_, Heard>> {
        let heard = self.heard.borrow();
        if heard.ended > 0 {
            bail!("{} members were cut off", heard.ended);
        }
        Ok(heard)
    }

    /// Disconnects everybody.
    pub async fn leave(self) {
        self.scope.finish(Duration::ZERO).await;
    }
}

impl Speaker {
    /// Says `text` with the time.
    pub async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let text = format!("{text} {STAMP}{}", clock::unix_us());
        let body = serde_json::json!({ "text": text });
        self.send("comment", &body).await
    }

    /// Likes `count` times, as batch `n` of `session`.
    pub async fn like(&mut self, session: &str, n: u64, count: u32) -> anyhow::Result<()> {
        let body = serde_json::json!({ "count": count, "session": session, "n": n });
        self.send("like", &body).await
    }

    async fn send(&mut self, kind: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        let text = serde_json::json!({ "type": kind, "ref": "r", "body": body }).to_string();
        // A mask of zeros changes nothing.
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        Ok(self.0.lock().await.write_all(&frame).await?)
    }
}

/// A WebSocket to the room, after the handshake.
async fn connect(
    address: &str,
    index: usize,
    query: &str,
) -> anyhow::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let socket = TcpSocket::new_v4()?;
    let last = u8::try_from(2 + index / ADDRESS_MEMBERS_MAX)?;
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
    let mut stream = socket.connect(address.parse()?).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /rooms/{ROOM}/ws?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what follows the head is left for the frames.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(
            stream
                .read_u8()
                .await
                .context("no answer to the handshake")?,
        );
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        bail!("no WebSocket: {}", String::from_utf8_lossy(&head));
    }
    Ok(stream.into_split())
}

/// Counts frames until the connection ends.
async fn listen(
    mut reader: impl AsyncRead + Unpin,
    writer: &Mutex<impl AsyncWrite + Unpin>,
    heard: &Rc<RefCell<Heard>>,
    counts: bool,
    stamps: bool,
) -> anyhow::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    let mut entered = false;
    loop {
        if reader.read_buf(&mut buffer).await? == 0 {
            bail!("closed");
        }
        let now_us = clock::unix_us();
        let (mut taken, mut events, mut is_asked) = (0, 0, false);
        while let Some((start, length)) = frame(&buffer[taken..]) {
            let Some(payload) = buffer.get(taken + start..taken + start + length) else {
                break;
            };
            if stamps && let Some(sent_us) = stamp(payload) {
                let delay_us = u64::try_from(now_us - sent_us).unwrap_or(0);
                heard.borrow_mut().delay_us.saturating_record(delay_us);
            }
            is_asked |= buffer[taken] == PING;
            taken += start + length;
            events += 1;
        }
        if is_asked {
            writer.lock().await.write_all(&PONG).await?;
        }
        if taken == 0 {
            continue;
        }
        buffer.drain(..taken);
        if buffer.is_empty() {
            buffer = Vec::new();
        }
        if counts {
            let mut heard = heard.borrow_mut();
            heard.events += events;
            heard.bytes += taken as u64;
            if !std::mem::replace(&mut entered, true) {
                heard.entered += 1;
            }
        }
    }
}

/// Where the payload of the first frame starts, and how long it is.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let short = *bytes.get(1)? & 0x7F;
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit))
    };
    Some(match short {
        126 => (4, number(bytes.get(2..4)?)),
        127 => (10, number(bytes.get(2..10)?)),
        short => (2, short.into()),
    })
}

/// The time in a comment that is on its way to everybody.
fn stamp(payload: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(payload).ok()?;
    if !text.contains("\"class\":3") {
        return None;
    }
    let (_, rest) = text.split_once(STAMP)?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}
