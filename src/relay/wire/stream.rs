//! Group streams: a header that says which group of which subscription, then one record a frame.
//! A stream that ends without [`Item::Incomplete`] held the whole group.
//!
//! Records begin with kind, header length, header; the header begins with the payload's length. So
//! later kinds can be skipped, and later header fields too.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::coding::{Cursor, VARINT_BYTES_MAX, put_prefixed, put_signed, put_varint};
use crate::media::Frame;
use crate::media::frame::{FRAME_BYTES_MAX, Flags, HOPS_MAX, Hop, Stamps};
use crate::media::group::{Head, Id};
use crate::relay::wire::Error;

/// The longest initialization, in bytes: twice what `codec` accepts for a record.
pub const INIT_BYTES_MAX: usize = 32 * 1024;

/// The longest stream header, in bytes.
pub const HEADER_BYTES_MAX: usize = INIT_BYTES_MAX + 128;

/// The longest header of a record, in bytes; [`HOPS_MAX`] hops take less than 300.
pub const RECORD_HEADER_BYTES_MAX: usize = 512;

const FRAME: u64 = 1;
const INCOMPLETE: u64 = 2;

/// The capacity that an encoder allocates at a time: the headers of about a second of frames.
const ENCODER_BYTES: usize = 2048;

/// The payload that is reserved at once on the word of the peer; larger ones grow as they arrive.
const RESERVE_BYTES_MAX: usize = 1 << 20;

/// The head of a group stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The subscription it belongs to; 0 in the answer to a fetch.
    pub subscription: u64,
    /// The index in the group of the first frame on the stream.
    pub first_frame: u64,
    /// The group.
    pub head: Head,
}

/// A frame and the time of its sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The frame, with the hops before this one.
    pub frame: Frame,
    /// Handed to the connection, by the parent's clock, in microseconds since 1970.
    pub sent_us: i64,
}

/// What a group stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Comes first, once.
    Header(Header),
    /// The next frame.
    Frame(Sent),
    /// No more frames will come, though the group is not complete.
    Incomplete,
}

// === impl Header ===

impl Header {
    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(96 + self.head.init.len());
        put_varint(&mut out, self.subscription);
        put_varint(&mut out, self.first_frame);
        put_varint(&mut out, self.head.id.0);
        put_varint(&mut out, self.head.discontinuities.into());
        put_varint(&mut out, self.head.init_id.into());
        out.put_i64(self.head.wall_us);
        out.put_i64(self.head.dts);
        out.put_u8(self.head.independent.into());
        put_prefixed(&mut out, &self.head.init);
        let mut framed = BytesMut::with_capacity(out.len() + 4);
        put_prefixed(&mut framed, &out);
        framed.freeze()
    }

    fn decode(fields: &[u8]) -> Result<Self, Error> {
        let short = Error::truncated("stream header");
        let mut cursor = Cursor::new(fields);
        let mut varint = || cursor.varint().map_err(&short);
        let (subscription, first_frame, id) = (varint()?, varint()?, varint()?);
        let mut counter =
            || u32::try_from(varint()?).map_err(|_| Error::BadField("counter of a group"));
        let (discontinuities, init_id) = (counter()?, counter()?);
        let wall_us = cursor.i64().map_err(&short)?;
        let dts = cursor.i64().map_err(&short)?;
        let independent = cursor.u8().map_err(&short)? != 0;
        let init = cursor.prefixed().map_err(&short)?;
        Ok(Self {
            subscription,
            first_frame,
            head: Head {
                id: Id(id),
                discontinuities,
                init_id,
                init: Bytes::copy_from_slice(init),
                wall_us,
                dts,
                independent,
            },
        })
    }
}

// === impl Encoder ===

/// Writes the records of one group stream.
#[derive(Debug)]
pub struct Encoder {
    dts: i64,
    buffer: BytesMut,
}

impl Encoder {
    /// For the group that begins at `dts`.
    #[must_use]
    pub fn new(dts: i64) -> Self {
        Self {
            dts,
            buffer: BytesMut::with_capacity(ENCODER_BYTES),
        }
    }

    /// What goes in front of the frame's payload; the payload follows as it is.
    pub fn frame(&mut self, frame: &Frame, sent_us: i64) -> Bytes {
        let mut fields = [0; RECORD_HEADER_BYTES_MAX];
        let mut rest = &mut fields[..];
        put_varint(&mut rest, frame.payload.len() as u64);
        rest.put_u8(frame.flags.0);
        put_signed(&mut rest, frame.dts.wrapping_sub(self.dts));
        put_signed(&mut rest, frame.composition.into());
        put_varint(&mut rest, frame.duration.into());
        rest.put_i64(frame.stamps.capture_us);
        rest.put_i64(frame.stamps.ingest_us);
        rest.put_i64(sent_us);
        let hops = frame.stamps.hops.iter().take(HOPS_MAX);
        put_varint(&mut rest, hops.len() as u64);
        for hop in hops {
            rest.put_i64(hop.sent_us);
            rest.put_i64(hop.received_us);
            put_signed(&mut rest, hop.offset_us.into());
        }
        let length = RECORD_HEADER_BYTES_MAX - rest.len();
        self.dts = frame.dts;
        self.record(FRAME, &fields[..length])
    }

    /// Says that the group's rest will not come.
    pub fn incomplete(&mut self) -> Bytes {
        self.record(INCOMPLETE, &[0])
    }

    fn record(&mut self, kind: u64, fields: &[u8]) -> Bytes {
        put_varint(&mut self.buffer, kind);
        put_prefixed(&mut self.buffer, fields);
        self.buffer.split().freeze()
    }
}

// === impl Decoder ===

/// Reads a group stream from bytes in any portions.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    dts: i64,
    begun: bool,
    /// The header of a record whose payload is still to come; `None` inside for a skipped kind.
    pending: Option<(Option<Sent>, usize)>,
}

impl Decoder {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole item; `Ok(None)`: more bytes are needed.
    pub fn poll(&mut self) -> Result<Option<Item>, Error> {
        if !self.begun {
            return self.header();
        }
        loop {
            if let Some((sent, length)) = self.pending.take() {
                if self.buffer.len() < length {
                    self.pending = Some((sent, length));
                    return Ok(None);
                }
                let payload = self.buffer.split_to(length).freeze();
                if let Some(mut sent) = sent {
                    sent.frame.payload = payload;
                    return Ok(Some(Item::Frame(sent)));
                }
            }
            let Some(Framed { kind, fields, used }) = self.framed()? else {
                return Ok(None);
            };
            let mut cursor = Cursor::new(fields);
            let length = cursor.varint().map_err(Error::truncated("record"))?;
            let length = bounded("payload", length, FRAME_BYTES_MAX)?;
            let sent = match kind {
                FRAME => Some(frame(&mut cursor, self.dts)?),
                _ => None,
            };
            if let Some(sent) = &sent {
                self.dts = sent.frame.dts;
            }
            self.buffer.advance(used);
            if kind == INCOMPLETE {
                return Ok(Some(Item::Incomplete));
            }
            let missing = length.saturating_sub(self.buffer.len());
            self.buffer.reserve(missing.min(RESERVE_BYTES_MAX));
            self.pending = Some((sent, length));
        }
    }

    /// True where a stream may end: after a header or a whole record.
    #[must_use]
    pub fn is_between_records(&self) -> bool {
        self.begun && self.pending.is_none() && self.buffer.is_empty()
    }

    fn header(&mut self) -> Result<Option<Item>, Error> {
        let mut cursor = Cursor::new(&self.buffer);
        let Some(length) = length(&mut cursor, "stream header", HEADER_BYTES_MAX)? else {
            return Ok(None);
        };
        let Ok(fields) = cursor.bytes(length) else {
            return Ok(None);
        };
        let header = Header::decode(fields)?;
        let used = self.buffer.len() - cursor.rest().len();
        self.buffer.advance(used);
        self.begun = true;
        self.dts = header.head.dts;
        Ok(Some(Item::Header(header)))
    }

    /// The front of the next record, once all of it is here.
    fn framed(&self) -> Result<Option<Framed<'_>>, Error> {
        let mut cursor = Cursor::new(&self.buffer);
        let Ok(kind) = cursor.varint() else {
            return short_of_varint(&self.buffer, "record").map(|()| None);
        };
        let Some(length) = length(&mut cursor, "record header", RECORD_HEADER_BYTES_MAX)? else {
            return Ok(None);
        };
        let Ok(fields) = cursor.bytes(length) else {
            return Ok(None);
        };
        let used = self.buffer.len() - cursor.rest().len();
        Ok(Some(Framed { kind, fields, used }))
    }
}

/// The front of a record.
struct Framed<'a> {
    kind: u64,
    fields: &'a [u8],
    /// Bytes that kind, length and header take.
    used: usize,
}

fn frame(cursor: &mut Cursor<'_>, before: i64) -> Result<Sent, Error> {
    let short = Error::truncated("frame");
    let flags = Flags(cursor.u8().map_err(&short)?);
    let delta = cursor.signed().map_err(&short)?;
    let composition = i32::try_from(cursor.signed().map_err(&short)?)
        .map_err(|_| Error::BadField("composition"))?;
    let duration =
        u32::try_from(cursor.varint().map_err(&short)?).map_err(|_| Error::BadField("duration"))?;
    let mut time = || cursor.i64().map_err(&short);
    let (capture_us, ingest_us, sent_us) = (time()?, time()?, time()?);
    let count = cursor.varint().map_err(&short)?;
    let mut stamps = Stamps {
        capture_us,
        ingest_us,
        ..Stamps::default()
    };
    for _ in 0..bounded("number of hops", count, HOPS_MAX)? {
        stamps.hops.push(Hop {
            sent_us: cursor.i64().map_err(&short)?,
            received_us: cursor.i64().map_err(&short)?,
            offset_us: i32::try_from(cursor.signed().map_err(&short)?)
                .map_err(|_| Error::BadField("clock offset"))?,
        });
    }
    let frame = Frame {
        dts: before.wrapping_add(delta),
        composition,
        duration,
        flags,
        stamps,
        payload: Bytes::new(),
    };
    Ok(Sent { frame, sent_us })
}

/// A length of at most `limit`; `None` while its bytes are not all here.
fn length(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    limit: usize,
) -> Result<Option<usize>, Error> {
    let before = cursor.rest();
    match cursor.varint() {
        Ok(length) => bounded(what, length, limit).map(Some),
        Err(_) => short_of_varint(before, what).map(|()| None),
    }
}

/// An integer could not be read: fine while it may still be completed.
fn short_of_varint(bytes: &[u8], what: &'static str) -> Result<(), Error> {
    match bytes.len() < VARINT_BYTES_MAX {
        true => Ok(()),
        false => Err(Error::Truncated(what)),
    }
}

fn bounded(what: &'static str, value: u64, limit: usize) -> Result<usize, Error> {
    usize::try_from(value)
        .ok()
        .filter(|value| *value <= limit)
        .ok_or(Error::TooLarge {
            what,
            bytes: value,
            limit,
        })
}

#[cfg(test)]
#[path = "stream_test.rs"]
mod tests;
