//! Streams of questions: after the message that opens one ([`super::control::Message::Questions`])
//! the child sends [`Asked`] and the parent [`Answered`], each with its length in front. Fields
//! after the known ones are skipped.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::coding::{Cursor, VARINT_BYTES_MAX, put_prefixed, put_varint};
use crate::live::QUESTION_BYTES_MAX;
use crate::media::RoomName;
use crate::relay::wire::Error;

/// The longest record, in bytes: a body and what stands around it.
pub const RECORD_BYTES_MAX: usize = QUESTION_BYTES_MAX + 512;

/// The longest reason, in bytes; longer ones are cut.
pub const REASON_BYTES_MAX: usize = 256;

/// A question on its way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Stands for it on this stream; chosen by the child, never used twice.
    pub number: u64,
    /// The room.
    pub room: RoomName,
    /// What is asked; at most [`QUESTION_BYTES_MAX`].
    pub body: Bytes,
}

/// What became of a question, on its way down. Any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The number of the question.
    pub number: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The answer; at most [`QUESTION_BYTES_MAX`].
    Answer(Bytes),
    /// The owner of the room cannot be reached, for this reason.
    Unreachable(String),
    /// Too many questions of the class are under way; this one was not asked.
    Busy,
    /// The question or its answer is too long, by so many bytes in all.
    TooLong(u64),
}

mod code {
    pub const ANSWER: u64 = 0;
    pub const UNREACHABLE: u64 = 1;
    pub const BUSY: u64 = 2;
    pub const TOO_LONG: u64 = 3;
}

// === impl Asked ===

impl Asked {
    /// The record: its front, and the body as it is.
    #[must_use]
    pub fn encode(self) -> [Bytes; 2] {
        let mut fields = BytesMut::with_capacity(32 + self.room.as_str().len());
        put_varint(&mut fields, self.number);
        put_prefixed(&mut fields, self.room.as_str().as_bytes());
        put_varint(&mut fields, self.body.len() as u64);
        [framed(&fields, self.body.len()), self.body]
    }

    /// Takes the first whole record off `buffer`. `Ok(None)`: more bytes are needed.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>, Error> {
        let Some(record) = take_record(buffer, "question")? else {
            return Ok(None);
        };
        let short = Error::truncated("question");
        let mut cursor = Cursor::new(&record);
        let number = cursor.varint().map_err(&short)?;
        let room = cursor.prefixed().map_err(&short)?;
        let room = std::str::from_utf8(room)
            .ok()
            .and_then(|name| RoomName::parse(name).ok())
            .ok_or(Error::BadField("room name"))?;
        let body = body(&record, &mut cursor, "question")?;
        Ok(Some(Self { number, room, body }))
    }
}

// === impl Answered ===

impl Answered {
    /// The record: its front, and the body as it is.
    #[must_use]
    pub fn encode(self) -> [Bytes; 2] {
        let (code, body) = match self.outcome {
            Outcome::Answer(body) => (code::ANSWER, body),
            Outcome::Unreachable(mut reason) => {
                reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
                (code::UNREACHABLE, reason.into())
            }
            Outcome::Busy => (code::BUSY, Bytes::new()),
            Outcome::TooLong(bytes) => {
                let mut body = BytesMut::with_capacity(VARINT_BYTES_MAX);
                put_varint(&mut body, bytes);
                (code::TOO_LONG, body.freeze())
            }
        };
        let mut fields = BytesMut::with_capacity(3 * VARINT_BYTES_MAX);
        put_varint(&mut fields, self.number);
        put_varint(&mut fields, code);
        put_varint(&mut fields, body.len() as u64);
        [framed(&fields, body.len()), body]
    }

    /// Takes the first whole record off `buffer`. `Ok(None)`: more bytes are needed.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>, Error> {
        let Some(record) = take_record(buffer, "answer")? else {
            return Ok(None);
        };
        let short = Error::truncated("answer");
        let mut cursor = Cursor::new(&record);
        let number = cursor.varint().map_err(&short)?;
        let code = cursor.varint().map_err(&short)?;
        let body = body(&record, &mut cursor, "answer")?;
        let outcome = match code {
            code::ANSWER => Outcome::Answer(body),
            code::UNREACHABLE => Outcome::Unreachable(reason(&body)?),
            code::BUSY => Outcome::Busy,
            code::TOO_LONG => Outcome::TooLong(Cursor::new(&body).varint().map_err(&short)?),
            later => Outcome::Unreachable(format!("the parent said {later}")),
        };
        Ok(Some(Self { number, outcome }))
    }
}

fn reason(body: &[u8]) -> Result<String, Error> {
    match std::str::from_utf8(body) {
        Ok(reason) if reason.len() <= REASON_BYTES_MAX => Ok(reason.to_owned()),
        _ => Err(Error::BadField("reason")),
    }
}

/// `fields` behind the length of the record, which a body of `body_bytes` ends.
fn framed(fields: &[u8], body_bytes: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(VARINT_BYTES_MAX + fields.len());
    put_varint(&mut out, (fields.len() + body_bytes) as u64);
    out.put_slice(fields);
    out.freeze()
}

/// What stands behind the length, once all of it is here.
fn take_record(buffer: &mut BytesMut, what: &'static str) -> Result<Option<Bytes>, Error> {
    let mut cursor = Cursor::new(buffer);
    let Ok(length) = cursor.varint() else {
        return match buffer.len() < VARINT_BYTES_MAX {
            true => Ok(None),
            false => Err(Error::Truncated(what)),
        };
    };
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= RECORD_BYTES_MAX)
        .ok_or(Error::TooLarge {
            what,
            bytes: length,
            limit: RECORD_BYTES_MAX,
        })?;
    if cursor.bytes(length).is_err() {
        return Ok(None);
    }
    let used = buffer.len() - cursor.rest().len();
    let mut record = buffer.split_to(used).freeze();
    Ok(Some(record.split_off(used - length)))
}

/// The body in front of the cursor, which reads `record`; it shares the record's bytes.
fn body(record: &Bytes, cursor: &mut Cursor<'_>, what: &'static str) -> Result<Bytes, Error> {
    let body = cursor.prefixed().map_err(Error::truncated(what))?;
    match body.len() <= QUESTION_BYTES_MAX {
        true => Ok(record.slice_ref(body)),
        false => Err(Error::TooLarge {
            what,
            bytes: body.len() as u64,
            limit: QUESTION_BYTES_MAX,
        }),
    }
}

#[cfg(test)]
#[path = "question_test.rs"]
mod tests;
