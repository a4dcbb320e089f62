//! Reads chunks (5.3), the pieces that messages travel in.

use std::time::Duration;

use bytes::{Buf, BytesMut};

use crate::media::frame::FRAME_BYTES_MAX;
use crate::protocol::rtmp::kind;
use crate::protocol::rtmp::message::{CHUNK_BYTES_DEFAULT, EXTENDED, Message};

/// The largest chunk size a peer may set, in bytes. Encoders use 128 to 64 KiB.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// The most chunk streams on one connection. Encoders use up to 8.
pub const CHUNK_STREAMS_MAX: usize = 64;
/// The most memory that unfinished messages of one connection may hold, in bytes: a frame of the
/// largest kind, and another in the making.
pub const HELD_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// The largest audio or video message: a frame behind its FLV header.
const MEDIA_BYTES_MAX: usize = FRAME_BYTES_MAX + 64;
/// The largest command or data message.
const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// The largest protocol control message; the spec's have 4 to 10.
const CONTROL_BYTES_MAX: usize = 64;
/// What an unfinished message gets at first; more as its bytes arrive.
const FIRST_RESERVE_BYTES: usize = 4 * 1024;
/// Why chunks cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Set Chunk Size with 0 or more than [`CHUNK_BYTES_MAX`].
    #[error("a chunk size of {bytes} bytes is not within 1 and {CHUNK_BYTES_MAX}")]
    ChunkSize {
        /// What the peer asked for.
        bytes: u32,
    },
    /// A message above the limit of its type.
    #[error("a message of type {kind} with {bytes} bytes is above its limit of {limit}")]
    MessageTooLarge {
        /// Message type.
        kind: u8,
        /// Announced length.
        bytes: u32,
        /// The limit of that type.
        limit: usize,
    },
    /// More than [`CHUNK_STREAMS_MAX`].
    #[error("more than {CHUNK_STREAMS_MAX} chunk streams are in use")]
    TooManyStreams,
    /// More than [`HELD_BYTES_MAX`] in unfinished messages.
    #[error("unfinished messages hold more than {HELD_BYTES_MAX} bytes")]
    TooManyHeld,
    /// A header that refers to one that never came.
    #[error("chunk stream {chunk_stream} begins with header type {format}")]
    NoFirstHeader {
        /// The chunk stream.
        chunk_stream: u32,
        /// Header type 2 or 3.
        format: u8,
    },
}

/// Puts chunks together to messages.
#[derive(Debug)]
pub(super) struct Reader {
    chunk_bytes: usize,
    streams: Vec<Stream>,
    /// The chunk whose payload is being read: index into `streams`, bytes still to come.
    current: Option<(usize, usize)>,
    held_bytes: usize,
}

/// A chunk stream: the last header (5.3.1.2), and the message in the making.
#[derive(Debug, Default)]
struct Stream {
    id: u32,
    timestamp_ms: u32,
    /// What header type 3 adds to the timestamp when it begins a message.
    delta_ms: u32,
    length: usize,
    kind: u8,
    stream_id: u32,
    /// The extended timestamp field of the last header, if it had one.
    extended: Option<u32>,
    partial: Vec<u8>,
    /// When the message in the making began; `None` between messages.
    since: Option<Duration>,
}

/// What a chunk's header says, before it is applied.
struct Header {
    bytes: usize,
    chunk_stream: u32,
    format: u8,
    /// Absolute in type 0, a delta in types 1 to 3 (when 3 begins a message).
    timestamp_ms: u32,
    extended: Option<u32>,
    length: u32,
    kind: u8,
    stream_id: u32,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            chunk_bytes: CHUNK_BYTES_DEFAULT,
            streams: Vec::new(),
            current: None,
            held_bytes: 0,
        }
    }

    /// Reads up to the end of the next message. `None`: `input` is used up, but for a header that
    /// has not arrived whole.
    pub(super) fn read(
        &mut self,
        now: Duration,
        input: &mut BytesMut,
    ) -> Result<Option<Message>, Error> {
        loop {
            let (index, left) = match self.current.take() {
                Some(current) => current,
                None => match self.read_header(now, input)? {
                    Some(current) => current,
                    None => return Ok(None),
                },
            };
            let taken = left.min(input.len());
            self.append(index, &input[..taken])?;
            input.advance(taken);
            if taken < left {
                self.current = Some((index, left - taken));
                return Ok(None);
            }
            let stream = &mut self.streams[index];
            if stream.partial.len() == stream.length {
                self.held_bytes -= stream.partial.capacity();
                return Ok(Some(stream.finish()));
            }
        }
    }

    /// Set Chunk Size (5.4.1).
    pub(super) fn set_chunk_bytes(&mut self, bytes: u32) -> Result<(), Error> {
        match usize::try_from(bytes) {
            Ok(size) if (1..=CHUNK_BYTES_MAX).contains(&size) => {
                self.chunk_bytes = size;
                Ok(())
            }
            _ => Err(Error::ChunkSize { bytes }),
        }
    }

    /// Abort Message (5.4.2): gives up the unfinished message of a chunk stream.
    pub(super) fn abort(&mut self, chunk_stream: u32) {
        if let Some(index) = self.find(chunk_stream) {
            self.discard(index);
        }
    }

    /// Memory held by unfinished messages.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// When the oldest unfinished message began.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.streams.iter().filter_map(|stream| stream.since).min()
    }

    fn find(&self, chunk_stream: u32) -> Option<usize> {
        self.streams.iter().position(|s| s.id == chunk_stream)
    }

    fn discard(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        self.held_bytes -= stream.partial.capacity();
        stream.partial = Vec::new();
        stream.since = None;
    }

    /// Reads one header and applies it. Returns the chunk stream and the payload bytes of the
    /// chunk.
    fn read_header(
        &mut self,
        now: Duration,
        input: &mut BytesMut,
    ) -> Result<Option<(usize, usize)>, Error> {
        let Some(header) = self.parse_header(input) else {
            return Ok(None);
        };
        input.advance(header.bytes);
        let index = self.stream_of(&header)?;
        // A new header in the middle of a message gives up what there is of it, as ffmpeg does.
        if header.format != 3 {
            self.discard(index);
        }
        let stream = &mut self.streams[index];
        if stream.since.is_none() {
            stream.begin(&header, now)?;
        }
        let left = stream.length - stream.partial.len();
        Ok(Some((index, left.min(self.chunk_bytes))))
    }

    fn stream_of(&mut self, header: &Header) -> Result<usize, Error> {
        if let Some(index) = self.find(header.chunk_stream) {
            return Ok(index);
        }
        // 5.3.1.2.1 wants type 0 first; librtmp begins some streams with type 1.
        if header.format > 1 {
            return Err(Error::NoFirstHeader {
                chunk_stream: header.chunk_stream,
                format: header.format,
            });
        }
        if self.streams.len() == CHUNK_STREAMS_MAX {
            return Err(Error::TooManyStreams);
        }
        self.streams.push(Stream {
            id: header.chunk_stream,
            ..Stream::default()
        });
        Ok(self.streams.len() - 1)
    }

    /// Memory grows with what has arrived, never with what is announced.
    fn append(&mut self, index: usize, bytes: &[u8]) -> Result<(), Error> {
        let partial = &mut self.streams[index].partial;
        let needed = partial.len() + bytes.len();
        if needed > partial.capacity() {
            let doubled = (partial.capacity() * 2).max(FIRST_RESERVE_BYTES);
            // At the end the buffer is exact, since frames live on in the window.
            let target = doubled.max(needed).min(self.streams[index].length);
            self.grow(index, target)?;
        }
        self.streams[index].partial.extend_from_slice(bytes);
        Ok(())
    }

    fn grow(&mut self, index: usize, target: usize) -> Result<(), Error> {
        let partial = &mut self.streams[index].partial;
        let held_elsewhere = self.held_bytes - partial.capacity();
        if held_elsewhere + target > HELD_BYTES_MAX {
            return Err(Error::TooManyHeld);
        }
        partial.reserve_exact(target - partial.len());
        self.held_bytes = held_elsewhere + partial.capacity();
        Ok(())
    }

    /// Reads basic header, message header and extended timestamp (5.3.1). `None`: not whole yet.
    fn parse_header(&self, input: &[u8]) -> Option<Header> {
        let mut fields = input;
        let first = fields.try_get_u8().ok()?;
        let format = first >> 6;
        let basic_bytes = match first & 0x3f {
            0 => 2,
            1 => 3,
            _ => 1,
        };
        let message_bytes = [11, 7, 3, 0][usize::from(format)];
        if input.len() < basic_bytes + message_bytes {
            return None;
        }
        let chunk_stream = match first & 0x3f {
            0 => 64 + u32::from(fields.get_u8()),
            1 => 64 + u32::from(fields.get_u16_le()),
            id => u32::from(id),
        };
        let last = self.find(chunk_stream).map(|index| &self.streams[index]);
        let mut header = Header {
            bytes: basic_bytes + message_bytes,
            chunk_stream,
            format,
            timestamp_ms: last.map_or(0, |last| last.delta_ms),
            extended: last.and_then(|last| last.extended),
            length: last.map_or(0, |last| last.length as u32),
            kind: last.map_or(0, |last| last.kind),
            stream_id: last.map_or(0, |last| last.stream_id),
        };
        if format <= 2 {
            header.timestamp_ms = fields.get_uint(3) as u32;
            header.extended = (header.timestamp_ms == EXTENDED).then_some(0);
        }
        if format <= 1 {
            header.length = fields.get_uint(3) as u32;
            header.kind = fields.get_u8();
        }
        if format == 0 {
            header.stream_id = fields.get_u32_le();
        }
        if let Some(in_force) = header.extended {
            let Ok(extended) = fields.try_get_u32() else {
                return None;
            };
            // 5.3.1.3 repeats the field in chunks of type 3, but old encoders leave it out in the
            // middle of a message: there it counts only when it repeats what is in force.
            let in_message = last.is_some_and(|last| last.since.is_some());
            if format < 3 || !in_message || extended == in_force {
                header.bytes += 4;
                header.timestamp_ms = extended;
                header.extended = Some(extended);
            }
        }
        Some(header)
    }
}

// === impl Stream ===

impl Stream {
    fn begin(&mut self, header: &Header, now: Duration) -> Result<(), Error> {
        let limit = length_limit(header.kind);
        if header.length as usize > limit {
            return Err(Error::MessageTooLarge {
                kind: header.kind,
                bytes: header.length,
                limit,
            });
        }
        self.timestamp_ms = match header.format {
            0 => header.timestamp_ms,
            _ => self.timestamp_ms.wrapping_add(header.timestamp_ms),
        };
        // 5.3.1.2.4: after type 0, type 3 adds its timestamp again. ffmpeg relies on it.
        self.delta_ms = header.timestamp_ms;
        self.extended = header.extended;
        self.length = header.length as usize;
        self.kind = header.kind;
        self.stream_id = header.stream_id;
        self.since = Some(now);
        Ok(())
    }

    fn finish(&mut self) -> Message {
        self.since = None;
        Message {
            kind: self.kind,
            stream_id: self.stream_id,
            timestamp_ms: self.timestamp_ms,
            payload: std::mem::take(&mut self.partial).into(),
        }
    }
}

fn length_limit(kind: u8) -> usize {
    match kind {
        kind::SET_CHUNK_SIZE..=kind::SET_PEER_BANDWIDTH => CONTROL_BYTES_MAX,
        kind::AUDIO | kind::VIDEO | kind::AGGREGATE => MEDIA_BYTES_MAX,
        _ => COMMAND_BYTES_MAX,
    }
}

#[cfg(test)]
#[path = "chunk_test.rs"]
mod tests;
