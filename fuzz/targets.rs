//! What is fuzzed: one function for each parser that meets strangers. It may not panic, and it may
//! not break what it asserts.
//!
//! The fuzzer runs them (`make fuzz T=NAME`), and `tests/fuzz_corpus.rs` replays the files of
//! `corpus/NAME/` (seeds) and `regressions/NAME/` (what once broke it) in every test run. A new
//! target is a function and a line in [`TARGETS`] here, a file of `fuzz_targets/`, a `[[bin]]` in
//! `Cargo.toml`, and a few seeds of real bytes.

#[path = "credentials.rs"]
mod credentials;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rushlane::coding::amf0;
use rushlane::container::flv::read::{self, Tag};
use rushlane::media::codec::{AudioCodec, AudioConfig, Config, VideoCodec, VideoConfig, avc};
use rushlane::net::http::BODY_BYTES_MAX;
use rushlane::net::http::http1;
use rushlane::net::http::range::{self, Wanted};
use rushlane::net::proxy::{self, Parsed};
use rushlane::node::{self, Role};
use rushlane::packaging::hls::Directives;
use rushlane::probe::multivariant::Multivariant;
use rushlane::probe::playlist::Playlist;
use rushlane::protocol::cmcd;
use rushlane::protocol::interact::command::{self, COMMAND_BYTES_MAX};
use rushlane::protocol::interact::event;
use rushlane::protocol::{rtmp, websocket};
use rushlane::relay::wire::question::{Answered, Asked};
use rushlane::relay::wire::{control, stream};

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("amf0", amf0),
    ("cmcd", told),
    ("codec_config", codec_config),
    ("codec_record", codec_record),
    ("credentials", credentials::run),
    ("flv_tag", flv_tag),
    ("hls_directives", hls_directives),
    ("http1_head", http1_head),
    ("http_range", http_range),
    ("interact", interact),
    ("node_config", node_config),
    ("probe_playlist", probe_playlist),
    ("proxy_header", proxy_header),
    ("relay_control", relay_control),
    ("relay_questions", relay_questions),
    ("relay_stream", relay_stream),
    ("rtmp_session", rtmp_session),
    ("websocket", websocket),
];

/// Runs one target.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a listed target");
    target(bytes);
}

/// Commands and metadata: what decodes is encoded to the same bytes again and again.
fn amf0(bytes: &[u8]) {
    /// Replaced bytes grow threefold; beyond this a property name might not fit its length field.
    const BYTES_MAX: usize = 20_000;
    let Ok(values) = amf0::decode_all(bytes) else {
        return;
    };
    if bytes.len() > BYTES_MAX {
        return;
    }
    let encode = |values: &[amf0::Value]| {
        let mut out = BytesMut::new();
        for value in values {
            amf0::encode(&mut out, value);
        }
        out
    };
    let first = encode(&values);
    let again = amf0::decode_all(&first).expect("our own encoding decodes");
    assert_eq!(encode(&again), first);
}

/// What players tell of themselves: texts stay within their bound, and a query is decoded to text.
fn told(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let decoded = cmcd::percent_decode(&text).unwrap_or_default();
    assert!(decoded.len() <= text.len());
    let set = cmcd::read(Some(&decoded), [&*text]);
    for text in [&set.sid, &set.cid].into_iter().flatten() {
        assert!(text.len() <= cmcd::TEXT_BYTES_MAX);
    }
    assert!(cmcd::events(&text).len() <= cmcd::EVENTS_MAX);
}

/// Configurations from a parent: what decodes is encoded to bytes that decode to the same.
fn codec_config(bytes: &[u8]) {
    if let Ok(config) = Config::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(Config::decode(config.encode()), Ok(config));
    }
}

/// Records of encoders, as each codec: names are fit for CODECS, and what is read survives the
/// relay.
fn codec_record(bytes: &[u8]) {
    const AVC: &[u8] = include_bytes!("corpus/codec_record/avc_1080");
    let record = Bytes::copy_from_slice(bytes);
    let check = |config: Config| {
        assert!(!config.name().is_empty() && config.name().len() <= 64 && config.name().is_ascii());
        assert_eq!(Config::decode(config.encode()), Ok(config));
    };
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        if let Ok(config) = VideoConfig::parse(codec, record.clone()) {
            check(Config::Video(config));
        }
    }
    for codec in [AudioCodec::Aac, AudioCodec::Opus] {
        if let Ok(config) = AudioConfig::parse(codec, record.clone()) {
            assert!(config.channels > 0 && config.frame_samples() != Some(0));
            check(Config::Audio(config));
        }
    }
    if let Some(renewed) = avc::updated_record(&Bytes::from_static(AVC), &record) {
        assert_eq!(avc::updated_record(&renewed, &record), None);
    }
}

/// Tag bodies: payloads lie inside the body.
fn flv_tag(bytes: &[u8]) {
    let body = Bytes::copy_from_slice(bytes);
    let range = body.as_ptr_range();
    for tag in [read::video(body.clone()), read::audio(body.clone())] {
        if let Ok(Tag::Video { payload, .. } | Tag::Audio { payload, .. }) = tag {
            assert!(!payload.is_empty() && range.contains(&payload.as_ptr()));
        }
    }
    let _any_answer = read::script(bytes);
}

/// What balancers send first: a header lies inside of what came, and its beginnings wait for it.
fn proxy_header(bytes: &[u8]) {
    match proxy::parse(bytes) {
        Ok(Parsed::Whole(header)) => {
            assert!(header.length <= bytes.len() && header.length <= proxy::HEADER_BYTES_MAX);
            let before = proxy::parse(&bytes[..header.length - 1]);
            assert!(matches!(before, Ok(Parsed::Needs(all)) if all <= header.length));
        }
        Ok(Parsed::Needs(all)) => assert!(bytes.len() < all && all <= proxy::HEADER_BYTES_MAX),
        Err(_) => {}
    }
}

/// Queries of playlist requests.
fn hls_directives(bytes: &[u8]) {
    let query = String::from_utf8_lossy(bytes);
    if let Ok(found) = Directives::parse(&query) {
        assert!(found.part.is_none() || found.is_blocking());
    }
}

/// HTTP/1.1 heads and bodies: the portions in which they arrive make no difference.
fn http1_head(bytes: &[u8]) {
    let read = |portion: usize| {
        let mut decoder = http1::Decoder::default();
        let mut body = None;
        let mut seen = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            assert!(decoder.room() > 0);
            let (now, later) = rest.split_at(portion.min(decoder.room()).min(rest.len()));
            decoder.push(now);
            rest = later;
            loop {
                match http1_next(&mut decoder, &mut body) {
                    Ok(Some(text)) => seen.push(text),
                    Ok(None) => break,
                    Err(fault) => {
                        let status = fault.status();
                        assert!(status.is_client_error() || status.is_server_error());
                        return seen;
                    }
                }
            }
        }
        seen
    };
    assert_eq!(read(7), read(usize::MAX));
}

/// The next head, or the body that a head announced, as text.
fn http1_next(
    decoder: &mut http1::Decoder,
    expected: &mut Option<http1::Incoming>,
) -> Result<Option<String>, http1::Fault> {
    let Some(body) = expected else {
        let Some(head) = decoder.next()? else {
            return Ok(None);
        };
        *expected = Some(http1::Incoming::new(head.framing)?);
        return Ok(Some(format!("{head:?}")));
    };
    let Some(bytes) = decoder.body(body)? else {
        return Ok(None);
    };
    assert!(bytes.len() <= BODY_BYTES_MAX);
    *expected = None;
    Ok(Some(format!("{bytes:?}")))
}

/// Range headers: the first two bytes are the length of the body, the rest is the header.
fn http_range(bytes: &[u8]) {
    let Some((length, header)) = bytes.split_first_chunk() else {
        return;
    };
    let length = u64::from(u16::from_be_bytes(*length));
    if let Wanted::Part(part) = range::parse(&String::from_utf8_lossy(header), length) {
        assert!(!part.is_empty() && part.end <= length);
    }
}

/// Commands of members: a JSON message means the same in CBOR, and a fault says what is wrong.
fn interact(bytes: &[u8]) {
    let check = |parsed: &Result<command::Command, command::Fault>| {
        if let Err(fault) = parsed {
            assert!(fault.refusal.status >= 400 && !fault.refusal.detail.is_empty());
        }
    };
    let parsed = command::parse(bytes);
    check(&parsed);
    check(&command::parse_cbor(bytes));
    if let Some(cbor) = event::to_cbor(bytes)
        && parsed.is_ok()
        && cbor.len() <= COMMAND_BYTES_MAX
    {
        assert_eq!(command::parse_cbor(&cbor), parsed);
    }
}

/// Configuration files: every fault is one line with its place.
fn node_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for role in [Role::Origin, Role::Edge, Role::Dev] {
        if let Err(node::config::Error::Faults(faults)) =
            node::config::Config::read("node.toml", &text, role, &[])
        {
            assert!(!faults.is_empty());
            for fault in faults {
                let line = fault.to_string();
                assert!(
                    line.starts_with("node.toml:") && !line.contains('\n'),
                    "{line}"
                );
            }
        }
    }
}

/// Playlists of any server.
fn probe_playlist(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(list) = Multivariant::parse(&text) {
        assert!(list.uris().len() <= list.variants.len() + list.audio.len());
    }
    let list = Playlist::parse(&text);
    assert!(list.position() <= Some(list.next_position()));
    let _any_answer = (list.end_us(), list.merged_onto(&list));
}

/// Control messages of the relay: what decodes is encoded to bytes that decode to the same.
fn relay_control(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(message)) = control::take(&mut buffer) {
        let mut again = BytesMut::from(&message.encode()[..]);
        assert_eq!(control::take(&mut again), Ok(Some(message)));
    }
}

/// Questions and answers of the relay: what is taken survives being encoded and taken again.
fn relay_questions(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(asked)) = Asked::take(&mut buffer) {
        let again = asked.clone().encode().concat();
        assert_eq!(
            Asked::take(&mut BytesMut::from(&again[..])),
            Ok(Some(asked))
        );
    }
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(answered)) = Answered::take(&mut buffer) {
        let again = answered.clone().encode().concat();
        assert_eq!(
            Answered::take(&mut BytesMut::from(&again[..])),
            Ok(Some(answered))
        );
    }
}

/// Group streams of the relay: the portions in which they arrive make no difference.
fn relay_stream(bytes: &[u8]) {
    let read = |portion: usize| {
        let mut decoder = stream::Decoder::new();
        let mut items = Vec::new();
        for portion in bytes.chunks(portion) {
            decoder.push(portion);
            loop {
                match decoder.poll() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(error) => return (items, Some(error)),
                }
            }
        }
        (items, None)
    };
    assert_eq!(read(7), read(bytes.len().max(1)));
}

/// A whole connection behind its handshake, with the tags it carries: memory stays in its bound,
/// and a closed session takes nothing more.
fn rtmp_session(bytes: &[u8]) {
    let mut session = rtmp::Session::new(rtmp::Limits::default());
    let mut input = BytesMut::from(&[3][..]);
    input.resize(1 + 2 * 1536, 0);
    let mut now = Duration::ZERO;
    for piece in std::iter::once(&[][..]).chain(bytes.chunks(1000)) {
        input.extend_from_slice(piece);
        session.handle_bytes(now, &mut input);
        assert!(session.held_bytes() <= rtmp::HELD_BYTES_MAX);
        now += Duration::from_millis(100);
        session.handle_timeout(now);
        loop {
            match session.poll_output() {
                rtmp::Output::Send(_) => {}
                rtmp::Output::Event(event) => take(&mut session, event),
                rtmp::Output::Timeout(_) => break,
                rtmp::Output::Closed(reason) => {
                    assert!(!reason.to_string().is_empty());
                    assert_eq!(session.held_bytes(), 0);
                    return;
                }
            }
        }
    }
}

fn take(session: &mut rtmp::Session, event: rtmp::Event) {
    match event {
        rtmp::Event::PublishRequested(_) => session.accept_publish(),
        rtmp::Event::Media(media) => {
            let _any_answer = match media.kind {
                rtmp::MediaKind::Audio => read::audio(media.body),
                rtmp::MediaKind::Video => read::video(media.body),
            };
        }
        rtmp::Event::Data(data) => {
            let _any_answer = read::script(&data);
        }
        rtmp::Event::Connected { .. } | rtmp::Event::Unpublished => {}
    }
}

/// A member's WebSocket: however it is cut into reads, the same is read, and what was read can be
/// answered.
fn websocket(bytes: &[u8]) {
    let read = |portion: usize| {
        let mut reader = websocket::Reader::default();
        let mut events = Vec::new();
        let result = bytes
            .chunks(portion)
            .try_for_each(|piece| reader.read(piece, &mut events));
        (events, result)
    };
    let (events, result) = read(7);
    assert_eq!((&events, &result), (&read(1 << 20).0, &read(1 << 20).1));
    for event in events {
        if let websocket::Event::Ping(payload) = event {
            assert!(websocket::pong(&payload).len() <= 2 + websocket::CONTROL_BYTES_MAX);
        }
    }
}
