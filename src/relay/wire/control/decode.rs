//! Bytes to messages.

use std::sync::Arc;

use bytes::Bytes;

use crate::coding::{Cursor, Truncated};
use crate::media::broadcast::{self, EPOCH_BYTES_MAX, Info, Timing};
use crate::media::group::Id;
use crate::media::track::{Info as TrackInfo, Kind, TRACK_NAME_BYTES_MAX};
use crate::media::{Class, RoomName};
use crate::relay::wire::Error;
use crate::relay::wire::control::message::{
    Announce, Estimate, Fetch, Hello, Message, Ping, Position, Purpose, Start, Subscribe,
};
use crate::relay::wire::control::{
    NODE_NAME_BYTES_MAX, PATH_MAX, REASON_BYTES_MAX, TRACKS_MAX, kind,
};

/// The body of a message of `kind`; `None` for a kind of a later version.
pub fn decode(kind: u64, body: &[u8]) -> Result<Option<Message>, Error> {
    let mut cursor = Cursor::new(body);
    let message = match kind {
        kind::HELLO => hello(&mut cursor).map(Message::Hello),
        kind::ANNOUNCE => announce(&mut cursor).map(Message::Announce),
        kind::SUBSCRIBE => subscribe(&mut cursor).map(Message::Subscribe),
        kind::PING => ping(&mut cursor).map(Message::Ping),
        kind::FETCH => fetch(&mut cursor).map(Message::Fetch),
        kind::QUESTIONS => questions(&mut cursor),
        kind::GOAWAY => goaway(&mut cursor),
        kind::REPORT => Ok(Message::Report(Bytes::copy_from_slice(body))),
        kind::POLICY => Ok(Message::Policy(Bytes::copy_from_slice(body))),
        kind::PROBE => probe(&mut cursor),
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
        kind::PROGRESS => Message::Progress {
            broadcast: cursor.varint()?,
            newest: match cursor.u8()? {
                0 => None,
                _ => Some(Position {
                    group: Id(cursor.varint()?),
                    frames: cursor.varint()?,
                }),
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
    let lowest = cursor.varint().map_err(Error::truncated("hello"))?;
    let node = text(cursor, "node name", NODE_NAME_BYTES_MAX)?;
    // A node of version 1 says one number and no purpose.
    let version = cursor.varint().unwrap_or(lowest);
    let purpose = match cursor.u8() {
        Ok(0) | Err(_) => Purpose::Pull,
        Ok(1) => Purpose::Push,
        Ok(2) => Purpose::Peer,
        Ok(_) => return Err(Error::BadField("purpose of a dial")),
    };
    Ok(Hello {
        lowest,
        version,
        node,
        purpose,
    })
}

fn announce(cursor: &mut Cursor<'_>) -> Result<Announce, Error> {
    let short = Error::truncated("announcement");
    let number = cursor.varint().map_err(&short)?;
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
    // A parent of before this field has shows only.
    let kind = match cursor.u8() {
        Ok(1) => broadcast::Kind::Events,
        Ok(0) | Err(_) => broadcast::Kind::Show,
        Ok(_) => return Err(Error::BadField("kind of broadcast")),
    };
    let term = u32::try_from(cursor.varint().unwrap_or(0)).map_err(|_| Error::BadField("term"))?;
    let nodes = cursor.varint().unwrap_or(0);
    if nodes > PATH_MAX as u64 {
        return Err(Error::BadField("length of a path"));
    }
    let path = (0..nodes)
        .map(|_| text(cursor, "node name", NODE_NAME_BYTES_MAX))
        .collect::<Result<_, _>>()?;
    Ok(Announce {
        broadcast: number,
        info: Info {
            room,
            kind,
            epoch,
            started_us,
            timing,
        },
        ended,
        tracks,
        term,
        path,
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
        data => {
            let class = data.checked_sub(3).map(Class::try_from);
            Kind::Data(
                class
                    .and_then(Result::ok)
                    .ok_or(Error::BadField("kind of track"))?,
            )
        }
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

fn questions(cursor: &mut Cursor<'_>) -> Result<Message, Error> {
    let class = cursor.u8().map_err(Error::truncated("questions"))?;
    let class = Class::try_from(class).map_err(|_| Error::BadField("class of questions"))?;
    Ok(Message::Questions { class })
}

fn goaway(cursor: &mut Cursor<'_>) -> Result<Message, Error> {
    let short = Error::truncated("goodbye");
    let deadline_ms = cursor.varint().map_err(&short)?;
    let reason = std::str::from_utf8(cursor.prefixed().map_err(&short)?)
        .ok()
        .filter(|reason| reason.len() <= REASON_BYTES_MAX)
        .filter(|reason| !reason.contains(char::is_control))
        .ok_or(Error::BadField("reason of a goodbye"))?;
    Ok(Message::Goaway {
        reason: reason.into(),
        deadline_ms,
    })
}

fn probe(cursor: &mut Cursor<'_>) -> Result<Message, Error> {
    Ok(Message::Probe {
        broadcast: cursor.varint().map_err(Error::truncated("probe"))?,
        track: text(cursor, "track name", TRACK_NAME_BYTES_MAX)?,
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
