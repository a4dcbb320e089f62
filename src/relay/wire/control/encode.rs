//! Messages to bytes.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::coding::{put_prefixed, put_signed, put_varint};
use crate::media::broadcast;
use crate::media::track::Kind;
use crate::relay::wire::control::message::{
    Announce, Fetch, Hello, Message, Ping, Purpose, Start, Subscribe,
};
use crate::relay::wire::control::{PATH_MAX, REASON_BYTES_MAX, TRACKS_MAX, kind};

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
            Self::Hello(hello) => hello.encode_body(out),
            Self::Announce(announce) => announce.encode_body(out),
            Self::Gone { broadcast } => numbers(out, kind::GONE, &[*broadcast]),
            Self::Subscribe(subscribe) => subscribe.encode_body(out),
            Self::Unsubscribe { subscription } => numbers(out, kind::UNSUBSCRIBE, &[*subscription]),
            Self::SubscribeOk {
                subscription,
                start,
                latest,
            } => numbers(out, kind::SUBSCRIBE_OK, &[*subscription, start.0, latest.0]),
            Self::SubscribeError { subscription } => {
                numbers(out, kind::SUBSCRIBE_ERROR, &[*subscription])
            }
            Self::Missing {
                subscription,
                group,
            } => numbers(out, kind::MISSING, &[*subscription, group.0]),
            Self::TrackEnd { subscription, last } => {
                put_varint(out, *subscription);
                out.put_u8(last.is_some().into());
                numbers(out, kind::TRACK_END, last.map(|last| last.0).as_slice())
            }
            Self::Ping(ping) => ping.encode_body(out),
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
            Self::Fetch(fetch) => fetch.encode_body(out),
            Self::Questions { class } => {
                out.put_u8(u8::from(*class));
                kind::QUESTIONS
            }
            Self::Goaway {
                reason,
                deadline_ms,
            } => {
                put_varint(out, *deadline_ms);
                let cut = reason.floor_char_boundary(REASON_BYTES_MAX);
                put_prefixed(out, &reason.as_bytes()[..cut]);
                kind::GOAWAY
            }
            Self::Report(body) => opaque(out, kind::REPORT, body),
            Self::Policy(body) => opaque(out, kind::POLICY, body),
            Self::Probe { broadcast, track } => {
                put_varint(out, *broadcast);
                put_prefixed(out, track.as_bytes());
                kind::PROBE
            }
            Self::Progress { broadcast, newest } => {
                put_varint(out, *broadcast);
                out.put_u8(newest.is_some().into());
                let at = newest.map(|at| [at.group.0, at.frames]);
                numbers(out, kind::PROGRESS, at.as_ref().map_or(&[], |at| &at[..]))
            }
        }
    }
}

impl Hello {
    /// The lowest version goes first: peers of version 1 accept nothing else there, and skip what
    /// follows the name.
    fn encode_body(&self, out: &mut BytesMut) -> u64 {
        put_varint(out, self.lowest);
        put_prefixed(out, self.node.as_bytes());
        put_varint(out, self.version);
        out.put_u8(match self.purpose {
            Purpose::Pull => 0,
            Purpose::Push => 1,
            Purpose::Peer => 2,
        });
        kind::HELLO
    }
}

impl Announce {
    fn encode_body(&self, out: &mut BytesMut) -> u64 {
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
                Kind::Data(class) => 3 + u8::from(class),
            });
            put_varint(&mut fields, track.timescale.into());
            put_prefixed(out, &fields);
        }
        out.put_u8(match self.info.kind {
            broadcast::Kind::Show => 0,
            broadcast::Kind::Events => 1,
        });
        put_varint(out, self.term.into());
        let path = self.path.iter().take(PATH_MAX);
        put_varint(out, path.len() as u64);
        for node in path {
            put_prefixed(out, node.as_bytes());
        }
        kind::ANNOUNCE
    }
}

impl Subscribe {
    fn encode_body(&self, out: &mut BytesMut) -> u64 {
        put_all(out, &[self.subscription, self.broadcast]);
        put_prefixed(out, self.track.as_bytes());
        match self.start {
            Start::Window => out.put_u8(0),
            Start::At(group, frame) => {
                out.put_u8(1);
                put_all(out, &[group.0, frame]);
            }
        }
        kind::SUBSCRIBE
    }
}

impl Ping {
    fn encode_body(&self, out: &mut BytesMut) -> u64 {
        out.put_i64(self.sent_us);
        out.put_u8(self.estimate.is_some().into());
        if let Some(estimate) = self.estimate {
            put_varint(out, estimate.rtt_us);
            put_signed(out, estimate.offset_us);
            put_varint(out, estimate.error_us);
        }
        kind::PING
    }
}

impl Fetch {
    fn encode_body(&self, out: &mut BytesMut) -> u64 {
        put_prefixed(out, self.room.as_str().as_bytes());
        put_prefixed(out, self.epoch.as_bytes());
        put_prefixed(out, self.track.as_bytes());
        put_varint(out, self.group.0);
        kind::FETCH
    }
}

/// Appends what others read, and returns `kind` whose body it is.
fn opaque(out: &mut BytesMut, kind: u64, body: &[u8]) -> u64 {
    out.put_slice(body);
    kind
}

/// Appends integers, and returns `kind` whose fields they are.
fn numbers(out: &mut BytesMut, kind: u64, values: &[u64]) -> u64 {
    put_all(out, values);
    kind
}

fn put_all(out: &mut BytesMut, values: &[u64]) {
    for value in values {
        put_varint(out, *value);
    }
}
