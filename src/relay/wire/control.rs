//! Control messages: kind, length, body. Unknown kinds and trailing fields of known ones are
//! skipped, so that a later version can add both.

use std::sync::Arc;

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

use crate::coding::{Cursor, Truncated, VARINT_BYTES_MAX, put_prefixed, put_signed, put_varint};
use crate::media::RoomName;
use crate::media::broadcast::{EPOCH_BYTES_MAX, Info, Timing};
use crate::media::group::Id;
use crate::media::track::{Info as TrackInfo, Kind, TRACK_NAME_BYTES_MAX};
use crate::relay::wire::Error;

/// The longest message body, in bytes: an announcement of 64 tracks stays below it.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// The longest node name, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 64;

/// The most tracks in an announcement.
pub const TRACKS_MAX: usize = 64;

/// One control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first message in either direction.
    Hello(Hello),
    /// Parent: a live broadcast, or its changed state; replaces what was said of this number.
    Announce(Announce),
    /// Parent: the broadcast is no longer in its store.
    Gone {
        /// The number of the broadcast.
        broadcast: u64,
    },
    /// Child: frames of this track, please.
    Subscribe(Subscribe),
    /// Child: no more frames.
    Unsubscribe {
        /// The number of the subscription.
        subscription: u64,
    },
    /// Parent: group streams will come.
    SubscribeOk {
        /// The number of the subscription.
        subscription: u64,
        /// The first group that will come (or be missed).
        start: Id,
        /// The newest group the parent has.
        latest: Id,
    },
    /// Parent: the track is not there (any more), or the child asks for too much.
    SubscribeError {
        /// The number of the subscription.
        subscription: u64,
    },
    /// Parent: the rest of this group will not come.
    Missing {
        /// The number of the subscription.
        subscription: u64,
        /// The group.
        group: Id,
    },
    /// Parent: the track has ended; streams up to `last` were opened or missed.
    TrackEnd {
        /// The number of the subscription.
        subscription: u64,
        /// The last group; `None` when there was none.
        last: Option<Id>,
    },
    /// Child, once a second: its clock, and what it thinks of the link.
    Ping(Ping),
    /// Parent: the answer.
    Pong {
        /// The ping's time, by the child's clock, in microseconds since 1970.
        sent_us: i64,
        /// Arrival of the ping by the parent's clock.
        received_us: i64,
        /// Departure of the answer by the parent's clock.
        answered_us: i64,
    },
    /// Child, first on a stream of its own: one older group, please.
    Fetch(Fetch),
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The protocol version.
    pub version: u64,
    /// The node's name in logs and in the admin API, at most [`NODE_NAME_BYTES_MAX`] bytes.
    pub node: Arc<str>,
}

/// A broadcast of the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The number that stands for it on this connection; never used for another one.
    pub broadcast: u64,
    /// What it is.
    pub info: Info,
    /// True once the show is over.
    pub ended: bool,
    /// Its tracks so far.
    pub tracks: Vec<TrackInfo>,
}

/// A wish for the frames of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The number that stands for it on this connection, chosen by the child, never used twice.
    pub subscription: u64,
    /// The announced broadcast.
    pub broadcast: u64,
    /// The name of the track.
    pub track: Arc<str>,
    /// Where to begin.
    pub start: Start,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest group of the parent's window.
    Window,
    /// At this frame of this group; what the child has of later groups it throws away again.
    At(Id, u64),
}

/// The child's side of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// By the child's clock, in microseconds since 1970.
    pub sent_us: i64,
    /// The child's estimate so far, for the parent's status page.
    pub estimate: Option<Estimate>,
}

/// How two clocks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Round trip of the sample used, in microseconds.
    pub rtt_us: u64,
    /// Child's clock minus parent's, in microseconds.
    pub offset_us: i64,
    /// How far the offset may be wrong, in microseconds.
    pub error_us: u64,
}

/// A wish for one complete group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The room.
    pub room: RoomName,
    /// The show.
    pub epoch: Arc<str>,
    /// The track.
    pub track: Arc<str>,
    /// The group.
    pub group: Id,
}

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
}

/// Takes the first whole message off `buffer`, skipping kinds this version does not know.
/// `Ok(None)`: more bytes are needed.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Message>, Error> {
    loop {
        let mut cursor = Cursor::new(buffer);
        let (Ok(kind), Ok(length)) = (cursor.varint(), cursor.varint()) else {
            let hopeless = buffer.len() >= 2 * VARINT_BYTES_MAX;
            return match hopeless {
                true => Err(Error::Truncated("message head")),
                false => Ok(None),
            };
        };
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MESSAGE_BYTES_MAX)
        else {
            return Err(Error::TooLarge {
                what: "message",
                bytes: length,
                limit: MESSAGE_BYTES_MAX,
            });
        };
        let Ok(body) = cursor.bytes(length) else {
            return Ok(None);
        };
        let message = decode(kind, body)?;
        let used = buffer.len() - cursor.rest().len();
        buffer.advance(used);
        if message.is_some() {
            return Ok(message);
        }
    }
}

/// The body of a message of `kind`; `None` for a kind of a later version.
pub fn decode(kind: u64, body: &[u8]) -> Result<Option<Message>, Error> {
    let mut cursor = Cursor::new(body);
    let message = match kind {
        kind::HELLO => hello(&mut cursor).map(Message::Hello),
        kind::ANNOUNCE => announce(&mut cursor).map(Message::Announce),
        kind::SUBSCRIBE => subscribe(&mut cursor).map(Message::Subscribe),
        kind::PING => ping(&mut cursor).map(Message::Ping),
        kind::FETCH => fetch(&mut cursor).map(Message::Fetch),
        _ => match small(kind, &mut cursor).map_err(Error::truncated("message"))? {
            Some(message) => Ok(message),
            None => return Ok(None),
        },
    };
    message.map(Some)
}

/// Messages whose fields are numbers.
fn small(kind: u64, cursor: &mut Cursor<'_>) -> Result<Option<Message>, Truncated> {
    Ok(Some(match kind {
        kind::GONE => Message::Gone {
            broadcast: cursor.varint()?,
        },
        kind::UNSUBSCRIBE => Message::Unsubscribe {
            subscription: cursor.varint()?,
        },
        kind::SUBSCRIBE_OK => Message::SubscribeOk {
            subscription: cursor.varint()?,
            start: Id(cursor.varint()?),
            latest: Id(cursor.varint()?),
        },
        kind::SUBSCRIBE_ERROR => Message::SubscribeError {
            subscription: cursor.varint()?,
        },
        kind::MISSING => Message::Missing {
            subscription: cursor.varint()?,
            group: Id(cursor.varint()?),
        },
        kind::TRACK_END => Message::TrackEnd {
            subscription: cursor.varint()?,
            last: match cursor.u8()? {
                0 => None,
                _ => Some(Id(cursor.varint()?)),
            },
        },
        kind::PONG => Message::Pong {
            sent_us: cursor.i64()?,
            received_us: cursor.i64()?,
            answered_us: cursor.i64()?,
        },
        _ => return Ok(None),
    }))
}

fn hello(cursor: &mut Cursor<'_>) -> Result<Hello, Error> {
    Ok(Hello {
        version: cursor.varint().map_err(Error::truncated("hello"))?,
        node: text(cursor, "node name", NODE_NAME_BYTES_MAX)?,
    })
}

fn announce(cursor: &mut Cursor<'_>) -> Result<Announce, Error> {
    let short = Error::truncated("announcement");
    let broadcast = cursor.varint().map_err(&short)?;
    let room = room(cursor)?;
    let epoch = text(cursor, "epoch", EPOCH_BYTES_MAX)?;
    let started_us = cursor.i64().map_err(&short)?;
    let mut figure = || -> Result<u32, Error> {
        let value = cursor.varint().map_err(Error::truncated("announcement"))?;
        u32::try_from(value).map_err(|_| Error::BadField("part timing"))
    };
    let timing = Timing {
        part_ms: figure()?,
        hold_back_ms: figure()?,
        segment_ms: figure()?,
    };
    let ended = cursor.u8().map_err(&short)? != 0;
    let count = cursor.varint().map_err(&short)?;
    if count > TRACKS_MAX as u64 {
        return Err(Error::BadField("number of tracks"));
    }
    let tracks = (0..count)
        .map(|_| track(cursor))
        .collect::<Result<_, _>>()?;
    Ok(Announce {
        broadcast,
        info: Info {
            room,
            epoch,
            started_us,
            timing,
        },
        ended,
        tracks,
    })
}

/// A track: length, then its fields, so that later fields can follow.
fn track(cursor: &mut Cursor<'_>) -> Result<TrackInfo, Error> {
    let short = Error::truncated("track");
    let mut cursor = Cursor::new(cursor.prefixed().map_err(&short)?);
    let name = text(&mut cursor, "track name", TRACK_NAME_BYTES_MAX)?;
    let kind = match cursor.u8().map_err(&short)? {
        1 => Kind::Video,
        2 => Kind::Audio,
        3 => Kind::Data,
        _ => return Err(Error::BadField("kind of track")),
    };
    let timescale = u32::try_from(cursor.varint().map_err(&short)?)
        .ok()
        .filter(|timescale| *timescale > 0)
        .ok_or(Error::BadField("timescale"))?;
    Ok(TrackInfo {
        name,
        kind,
        timescale,
    })
}

fn subscribe(cursor: &mut Cursor<'_>) -> Result<Subscribe, Error> {
    let short = Error::truncated("subscription");
    let subscription = cursor.varint().map_err(&short)?;
    let broadcast = cursor.varint().map_err(&short)?;
    let track = text(cursor, "track name", TRACK_NAME_BYTES_MAX)?;
    let start = match cursor.u8().map_err(&short)? {
        0 => Start::Window,
        1 => Start::At(
            Id(cursor.varint().map_err(&short)?),
            cursor.varint().map_err(&short)?,
        ),
        _ => return Err(Error::BadField("start of a subscription")),
    };
    Ok(Subscribe {
        subscription,
        broadcast,
        track,
        start,
    })
}

fn ping(cursor: &mut Cursor<'_>) -> Result<Ping, Error> {
    let short = Error::truncated("ping");
    let sent_us = cursor.i64().map_err(&short)?;
    let estimate = match cursor.u8().map_err(&short)? {
        0 => None,
        _ => Some(Estimate {
            rtt_us: cursor.varint().map_err(&short)?,
            offset_us: cursor.signed().map_err(&short)?,
            error_us: cursor.varint().map_err(&short)?,
        }),
    };
    Ok(Ping { sent_us, estimate })
}

fn fetch(cursor: &mut Cursor<'_>) -> Result<Fetch, Error> {
    Ok(Fetch {
        room: room(cursor)?,
        epoch: text(cursor, "epoch", EPOCH_BYTES_MAX)?,
        track: text(cursor, "track name", TRACK_NAME_BYTES_MAX)?,
        group: Id(cursor.varint().map_err(Error::truncated("fetch"))?),
    })
}

fn room(cursor: &mut Cursor<'_>) -> Result<RoomName, Error> {
    let bytes = cursor.prefixed().map_err(Error::truncated("room name"))?;
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|name| RoomName::parse(name).ok())
        .ok_or(Error::BadField("room name"))
}

/// A text of printable ASCII, 1 to `limit` bytes: it ends up in URLs, logs and metric labels.
fn text(cursor: &mut Cursor<'_>, what: &'static str, limit: usize) -> Result<Arc<str>, Error> {
    let bytes = cursor.prefixed().map_err(Error::truncated(what))?;
    match std::str::from_utf8(bytes) {
        Ok(text)
            if !text.is_empty()
                && text.len() <= limit
                && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(text.into())
        }
        _ => Err(Error::BadField(what)),
    }
}

impl Message {
    /// The message as bytes, ready for the stream.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(64);
        let kind = self.encode_body(&mut body);
        let mut out = BytesMut::with_capacity(body.len() + 4);
        put_varint(&mut out, kind);
        put_prefixed(&mut out, &body);
        out.freeze()
    }

    fn encode_body(&self, out: &mut BytesMut) -> u64 {
        match self {
            Self::Hello(hello) => {
                put_varint(out, hello.version);
                put_prefixed(out, hello.node.as_bytes());
                kind::HELLO
            }
            Self::Announce(announce) => {
                announce.encode_body(out);
                kind::ANNOUNCE
            }
            Self::Gone { broadcast } => {
                put_varint(out, *broadcast);
                kind::GONE
            }
            Self::Subscribe(subscribe) => {
                subscribe.encode_body(out);
                kind::SUBSCRIBE
            }
            Self::Unsubscribe { subscription } => {
                put_varint(out, *subscription);
                kind::UNSUBSCRIBE
            }
            Self::SubscribeOk {
                subscription,
                start,
                latest,
            } => {
                put_all(out, &[*subscription, start.0, latest.0]);
                kind::SUBSCRIBE_OK
            }
            Self::SubscribeError { subscription } => {
                put_varint(out, *subscription);
                kind::SUBSCRIBE_ERROR
            }
            Self::Missing {
                subscription,
                group,
            } => {
                put_all(out, &[*subscription, group.0]);
                kind::MISSING
            }
            Self::TrackEnd { subscription, last } => {
                put_varint(out, *subscription);
                out.put_u8(last.is_some().into());
                if let Some(last) = last {
                    put_varint(out, last.0);
                }
                kind::TRACK_END
            }
            Self::Ping(ping) => {
                ping.encode_body(out);
                kind::PING
            }
            Self::Pong {
                sent_us,
                received_us,
                answered_us,
            } => {
                for time_us in [sent_us, received_us, answered_us] {
                    out.put_i64(*time_us);
                }
                kind::PONG
            }
            Self::Fetch(fetch) => {
                put_prefixed(out, fetch.room.as_str().as_bytes());
                put_prefixed(out, fetch.epoch.as_bytes());
                put_prefixed(out, fetch.track.as_bytes());
                put_varint(out, fetch.group.0);
                kind::FETCH
            }
        }
    }
}

impl Announce {
    fn encode_body(&self, out: &mut BytesMut) {
        put_varint(out, self.broadcast);
        put_prefixed(out, self.info.room.as_str().as_bytes());
        put_prefixed(out, self.info.epoch.as_bytes());
        out.put_i64(self.info.started_us);
        let timing = self.info.timing;
        for figure in [timing.part_ms, timing.hold_back_ms, timing.segment_ms] {
            put_varint(out, figure.into());
        }
        out.put_u8(self.ended.into());
        let tracks = self.tracks.iter().take(TRACKS_MAX);
        put_varint(out, tracks.len() as u64);
        for track in tracks {
            let mut fields = BytesMut::with_capacity(48);
            put_prefixed(&mut fields, track.name.as_bytes());
            fields.put_u8(match track.kind {
                Kind::Video => 1,
                Kind::Audio => 2,
                Kind::Data => 3,
            });
            put_varint(&mut fields, track.timescale.into());
            put_prefixed(out, &fields);
        }
    }
}

impl Subscribe {
    fn encode_body(&self, out: &mut BytesMut) {
        put_all(out, &[self.subscription, self.broadcast]);
        put_prefixed(out, self.track.as_bytes());
        match self.start {
            Start::Window => out.put_u8(0),
            Start::At(group, frame) => {
                out.put_u8(1);
                put_all(out, &[group.0, frame]);
            }
        }
    }
}

impl Ping {
    fn encode_body(&self, out: &mut BytesMut) {
        out.put_i64(self.sent_us);
        out.put_u8(self.estimate.is_some().into());
        if let Some(estimate) = self.estimate {
            put_varint(out, estimate.rtt_us);
            put_signed(out, estimate.offset_us);
            put_varint(out, estimate.error_us);
        }
    }
}

fn put_all(out: &mut BytesMut, values: &[u64]) {
    for value in values {
        put_varint(out, *value);
    }
}

#[cfg(test)]
#[path = "control_test.rs"]
mod tests;
