//! Control messages: kind, length, body. Unknown kinds and trailing fields of known ones are
//! skipped, so that a later version can add both.

mod decode;
mod encode;
mod message;

use bytes::{Buf as _, BytesMut};

use crate::coding::{Cursor, VARINT_BYTES_MAX};
use crate::relay::wire::Error;

pub use decode::decode;
pub use message::{
    Announce, Estimate, Fetch, Hello, Message, Ping, Position, Purpose, Start, Subscribe,
};

/// The longest body of most messages, in bytes: an announcement of 64 tracks stays below it. Peers
/// of version 1 take no longer ones.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// The longest report of a child, in bytes: 50 rooms of its own and what its children report.
pub const REPORT_BYTES_MAX: usize = 64 << 10;

/// The longest policy, in bytes: some thousand denials.
pub const POLICY_BYTES_MAX: usize = 256 << 10;

/// The longest reason of a goodbye, in bytes; longer ones are cut.
pub const REASON_BYTES_MAX: usize = 256;

/// The most nodes in the path of an announcement; what came further is not announced.
pub const PATH_MAX: usize = 8;

/// The longest node name, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 64;

/// The most tracks in an announcement.
pub const TRACKS_MAX: usize = 64;

mod kind {
    pub const HELLO: u64 = 1;
    pub const ANNOUNCE: u64 = 2;
    pub const GONE: u64 = 3;
    pub const SUBSCRIBE: u64 = 4;
    pub const UNSUBSCRIBE: u64 = 5;
    pub const SUBSCRIBE_OK: u64 = 6;
    pub const SUBSCRIBE_ERROR: u64 = 7;
    pub const MISSING: u64 = 8;
    pub const TRACK_END: u64 = 9;
    pub const PING: u64 = 10;
    pub const PONG: u64 = 11;
    pub const FETCH: u64 = 12;
    pub const QUESTIONS: u64 = 13;
    pub const GOAWAY: u64 = 14;
    pub const REPORT: u64 = 15;
    pub const POLICY: u64 = 16;
    pub const PROBE: u64 = 17;
    pub const PROGRESS: u64 = 18;
}

/// The longest body of a message of `kind`; one of a later version may be as long as any.
fn bytes_max(kind: u64) -> usize {
    match kind {
        kind::REPORT => REPORT_BYTES_MAX,
        kind::HELLO..=kind::PROGRESS if kind != kind::POLICY => MESSAGE_BYTES_MAX,
        _ => POLICY_BYTES_MAX,
    }
}

/// Takes the first whole message off `buffer`, skipping kinds this version does not know.
/// `Ok(None)`: more bytes are needed.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Message>, Error> {
    loop {
        match take_any(buffer)? {
            Some(Some(message)) => return Ok(Some(message)),
            Some(None) => {}
            None => return Ok(None),
        }
    }
}

/// Takes the first whole message off `buffer`; `Ok(Some(None))` is one of a later kind. `Ok(None)`:
/// more bytes are needed.
pub fn take_any(buffer: &mut BytesMut) -> Result<Option<Option<Message>>, Error> {
    let mut cursor = Cursor::new(buffer);
    let (Ok(kind), Ok(length)) = (cursor.varint(), cursor.varint()) else {
        let hopeless = buffer.len() >= 2 * VARINT_BYTES_MAX;
        return match hopeless {
            true => Err(Error::Truncated("message head")),
            false => Ok(None),
        };
    };
    let limit = bytes_max(kind);
    let Some(length) = usize::try_from(length)
        .ok()
        .filter(|length| *length <= limit)
    else {
        return Err(Error::TooLarge {
            what: "message",
            bytes: length,
            limit,
        });
    };
    let Ok(body) = cursor.bytes(length) else {
        return Ok(None);
    };
    let message = decode(kind, body)?;
    let used = buffer.len() - cursor.rest().len();
    buffer.advance(used);
    Ok(Some(message))
}

#[cfg(test)]
#[path = "control_test.rs"]
mod tests;
