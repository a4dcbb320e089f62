//! What is fuzzed: one function for each parser that meets strangers. It may not panic, and it may
//! not break what it asserts.
//!
//! The fuzzer runs them (`make fuzz T=NAME`), and `tests/fuzz_corpus.rs` replays the files of
//! `corpus/NAME/` (seeds) and `regressions/NAME/` (what once broke it) in every test run. A new
//! target is a function and a line in [`TARGETS`] here, a file of `fuzz_targets/`, a `[[bin]]` in
//! `Cargo.toml`, and a few seeds of real bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rushlane::coding::amf0;
use rushlane::container::flv::read::{self, Tag};
use rushlane::protocol::rtmp;
use rushlane::relay::wire::{control, stream};

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("amf0", amf0),
    ("flv_tag", flv_tag),
    ("relay_control", relay_control),
    ("relay_stream", relay_stream),
    ("rtmp_session", rtmp_session),
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

/// Control messages of the relay: what decodes is encoded to bytes that decode to the same.
fn relay_control(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(message)) = control::take(&mut buffer) {
        let mut again = BytesMut::from(&message.encode()[..]);
        assert_eq!(control::take(&mut again), Ok(Some(message)));
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
