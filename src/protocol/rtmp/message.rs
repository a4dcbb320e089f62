//! Messages (5.4), and their way into chunks (5.3).

use bytes::{BufMut, Bytes, BytesMut};

/// The chunk size before anybody sets one (5.4.1).
pub(super) const CHUNK_BYTES_DEFAULT: usize = 128;
/// The mark of an extended timestamp (5.3.1.3).
pub(super) const EXTENDED: u32 = 0xff_ffff;

/// One whole message (5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Message type.
    pub(super) kind: u8,
    /// Message stream.
    pub(super) stream_id: u32,
    pub(super) timestamp_ms: u32,
    pub(super) payload: Bytes,
}

/// Cuts messages into chunks. Always writes full headers first: no state, and a few bytes more.
#[derive(Debug)]
pub(super) struct Writer {
    chunk_bytes: usize,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            chunk_bytes: CHUNK_BYTES_DEFAULT,
        }
    }

    /// Call it right after the Set Chunk Size message was written.
    pub(super) fn set_chunk_bytes(&mut self, bytes: usize) {
        self.chunk_bytes = bytes;
    }

    /// Appends `message` on a chunk stream from 2 to 63.
    pub(super) fn write(&self, out: &mut BytesMut, chunk_stream: u8, message: &Message) {
        let length = message.payload.len();
        out.reserve(length + 16 + 5 * (length / self.chunk_bytes));
        let extended = message.timestamp_ms >= EXTENDED;
        out.put_u8(chunk_stream);
        out.put_uint(u64::from(message.timestamp_ms.min(EXTENDED)), 3);
        out.put_uint(length as u64, 3);
        out.put_u8(message.kind);
        out.put_u32_le(message.stream_id);
        let mut first = true;
        let mut rest = &message.payload[..];
        while first || !rest.is_empty() {
            if !first {
                out.put_u8(3 << 6 | chunk_stream);
            }
            if extended {
                out.put_u32(message.timestamp_ms);
            }
            let (chunk, others) = rest.split_at(rest.len().min(self.chunk_bytes));
            out.put_slice(chunk);
            rest = others;
            first = false;
        }
    }
}
