//! The least RTMP that publishes to a server and plays from one (Adobe RTMP 1.0). Written for the
//! bench alone, so that it measures servers and not our own protocol code.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clip::Message;

/// The chunk size we write with; a whole frame of usual size is one chunk.
const CHUNK_BYTES: u32 = 65_000;

/// A connection that has become a publisher or a player.
pub struct Session {
    socket: TcpStream,
    reader: Reader,
}

impl Session {
    /// Connects and publishes `app`/`name`.
    pub async fn publish(address: &str, app: &str, name: &str) -> anyhow::Result<Self> {
        let mut session = Self::connect(address, app).await?;
        let mut command = amf_command("publish", 3.0);
        command.put_u8(5);
        put_string(&mut command, name);
        put_string(&mut command, "live");
        session.write(4, 20, 1, 0, &command).await?;
        session.wait_for(b"NetStream.Publish.Start").await?;
        Ok(session)
    }

    /// Connects and plays `app`/`name`.
    pub async fn play(address: &str, app: &str, name: &str) -> anyhow::Result<Self> {
        let mut session = Self::connect(address, app).await?;
        let mut command = amf_command("play", 3.0);
        command.put_u8(5);
        put_string(&mut command, name);
        session.write(4, 20, 1, 0, &command).await?;
        Ok(session)
    }

    async fn connect(address: &str, app: &str) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect(address).await.context("RTMP connect")?;
        socket.set_nodelay(true)?;
        let mut hello = vec![0_u8; 1537];
        hello[0] = 3;
        socket.write_all(&hello).await?;
        let mut answer = vec![0_u8; 1 + 2 * 1536];
        socket
            .read_exact(&mut answer)
            .await
            .context("RTMP handshake")?;
        socket.write_all(&answer[1..1537]).await?;
        let mut session = Self {
            socket,
            reader: Reader::default(),
        };
        session
            .write(2, 1, 0, 0, &CHUNK_BYTES.to_be_bytes())
            .await?;
        let mut connect = amf_command("connect", 1.0);
        connect.put_u8(3);
        for (key, value) in [
            ("app", app),
            ("type", "nonprivate"),
            ("flashVer", "FMLE/3.0 (compatible; bench)"),
            ("tcUrl", &format!("rtmp://{address}/{app}")),
        ] {
            connect.put_u16(u16::try_from(key.len())?);
            connect.put_slice(key.as_bytes());
            put_string(&mut connect, value);
        }
        connect.put_slice(&[0, 0, 9]);
        session.write(3, 20, 0, 0, &connect).await?;
        session.wait_for(b"_result").await?;
        let mut create = amf_command("createStream", 2.0);
        create.put_u8(5);
        session.write(3, 20, 0, 0, &create).await?;
        session.wait_for(b"_result").await?;
        Ok(session)
    }

    /// Sends a media message; metadata gets the name that encoders put before it.
    pub async fn send(&mut self, message: &Message, at_ms: u32) -> anyhow::Result<()> {
        if message.kind == 18 {
            let mut body = BytesMut::new();
            put_string(&mut body, "@setDataFrame");
            body.put_slice(&message.body);
            return self.write(4, 18, 1, at_ms, &body).await;
        }
        let chunk_stream = if message.kind == 9 { 6 } else { 5 };
        self.write(chunk_stream, message.kind, 1, at_ms, &message.body)
            .await
    }

    async fn write(
        &mut self,
        chunk_stream: u8,
        kind: u8,
        stream: u32,
        at_ms: u32,
        body: &[u8],
    ) -> anyhow::Result<()> {
        // Before SetChunkSize is out, chunks are 128 bytes long; commands fit their type 3 heads.
        let limit = if kind == 1 {
            128
        } else {
            usize::try_from(CHUNK_BYTES)?
        };
        let mut out = BytesMut::with_capacity(body.len() + 32);
        out.put_u8(chunk_stream);
        let extended = at_ms >= 0x00ff_ffff;
        out.put_uint(u64::from(if extended { 0x00ff_ffff } else { at_ms }), 3);
        out.put_uint(u64::try_from(body.len())?, 3);
        out.put_u8(kind);
        out.put_u32_le(stream);
        for (index, chunk) in body.chunks(limit).enumerate() {
            if index > 0 {
                out.put_u8(0xc0 | chunk_stream);
            }
            if extended {
                out.put_u32(at_ms);
            }
            out.put_slice(chunk);
        }
        self.socket.write_all(&out).await.context("RTMP write")
    }

    async fn wait_for(&mut self, text: &[u8]) -> anyhow::Result<()> {
        let holds = |body: &[u8], what: &[u8]| body.windows(what.len()).any(|w| w == what);
        let (mut found, mut refused) = (false, None);
        let wait = async {
            while !found {
                self.receive(|kind, body| {
                    found |= kind == 20 && holds(body, text);
                    if kind == 20 && holds(body, b"error") {
                        refused = Some(String::from_utf8_lossy(body).into_owned());
                    }
                })
                .await?;
                if let Some(refused) = &refused {
                    bail!("refused: {refused}");
                }
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .with_context(|| format!("no {} came", String::from_utf8_lossy(text)))?
    }

    /// Reads once; `on_message` hears type and beginning of each message that is whole now.
    pub async fn receive(&mut self, on_message: impl FnMut(u8, &[u8])) -> anyhow::Result<()> {
        thread_local! {
            // What is read is looked at and forgotten, so all sessions share one buffer.
            static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
        }
        self.socket.readable().await?;
        BUFFER.with_borrow_mut(|buffer| match self.socket.try_read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => self.reader.feed(&buffer[..length], on_message),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    /// Reads and forgets what the server sends, until there is nothing more now.
    pub fn drain(&mut self) -> anyhow::Result<()> {
        let mut scratch = [0; 4096];
        loop {
            match self.socket.try_read(&mut scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The first bytes of a message that are kept: whole commands, and the stamp of a picture.
const KEPT_BYTES: usize = 1024;

/// Puts chunks together to messages, of which it keeps no more than the beginning.
struct Reader {
    chunk_bytes: usize,
    streams: Vec<ChunkStream>,
    /// The chunk being read: its head so far, its stream, and how much of its payload is to come.
    head: Vec<u8>,
    stream: usize,
    payload: usize,
}

#[derive(Default, Clone)]
struct ChunkStream {
    kind: u8,
    length: usize,
    extended: bool,
    /// Bytes of the message that have come, and the first of them.
    have: usize,
    kept: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            chunk_bytes: 128,
            streams: vec![ChunkStream::default(); 64],
            head: Vec::with_capacity(16),
            stream: 0,
            payload: 0,
        }
    }
}

impl Reader {
    /// Takes what was read; `on_message` hears type and beginning of each whole message.
    fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on_message: impl FnMut(u8, &[u8]),
    ) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            if self.payload == 0 {
                let missing = self.head_bytes()? - self.head.len();
                let (head, rest) = bytes.split_at(missing.min(bytes.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if head.len() == missing && self.head_bytes()? == self.head.len() {
                    self.take_head();
                }
                continue;
            }
            let (payload, rest) = bytes.split_at(self.payload.min(bytes.len()));
            let stream = &mut self.streams[self.stream];
            let room = KEPT_BYTES.saturating_sub(stream.kept.len());
            stream
                .kept
                .extend_from_slice(&payload[..room.min(payload.len())]);
            stream.have += payload.len();
            self.payload -= payload.len();
            bytes = rest;
            if stream.have == stream.length {
                if let (1, Some(size)) = (stream.kind, stream.kept.first_chunk()) {
                    self.chunk_bytes = usize::try_from(u32::from_be_bytes(*size))?;
                }
                on_message(stream.kind, &stream.kept);
                stream.have = 0;
                stream.kept.clear();
            }
        }
        Ok(())
    }

    /// How long the head of this chunk is, as far as that is known.
    fn head_bytes(&self) -> anyhow::Result<usize> {
        let Some(&basic) = self.head.first() else {
            return Ok(1);
        };
        if basic & 0x3f < 2 {
            bail!("chunk streams above 63 are not used by any server here");
        }
        let plain = [12, 8, 4, 1][usize::from(basic >> 6)];
        let extended = match self.head.get(1..4) {
            Some(time) => time == [0xff; 3],
            None => plain == 1 && self.streams[usize::from(basic & 0x3f)].extended,
        };
        Ok(if extended { plain + 4 } else { plain })
    }

    fn take_head(&mut self) {
        self.stream = usize::from(self.head[0] & 0x3f);
        let stream = &mut self.streams[self.stream];
        if let Some(time) = self.head.get(1..4).filter(|_| self.head[0] >> 6 < 3) {
            stream.extended = time == [0xff; 3];
        }
        if let (true, Some([a, b, c, kind])) = (self.head[0] >> 6 < 2, self.head.get(4..8)) {
            stream.length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            stream.kind = *kind;
        }
        self.payload = self.chunk_bytes.min(stream.length - stream.have);
        self.head.clear();
    }
}

fn amf_command(name: &str, transaction: f64) -> BytesMut {
    let mut command = BytesMut::new();
    put_string(&mut command, name);
    command.put_u8(0);
    command.put_f64(transaction);
    command
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_u8(2);
    out.put_u16(u16::try_from(text.len()).expect("short texts"));
    out.put_slice(text.as_bytes());
}

/// A body shared by clones.
pub fn with_body(message: &Message, body: Bytes) -> Message {
    Message {
        body,
        ..message.clone()
    }
}
