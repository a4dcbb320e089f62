//! What real encoders sent, byte for byte (the seeds of the fuzzer), through session and tags.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use rushlane::container::flv::read::{self, Tag};
use rushlane::protocol::rtmp::{Event, Limits, MediaKind, Output, Session};

/// Kinds of tags with their count and the span of their timestamps.
#[derive(Default)]
struct Summary(BTreeMap<String, (u32, u32, u32)>);

impl Summary {
    fn count(&mut self, tag: Tag, timestamp_ms: u32) {
        let name = match tag {
            Tag::VideoConfig { codec, .. } => format!("{codec:?} config"),
            Tag::Video {
                codec, key: true, ..
            } => format!("{codec:?} key"),
            Tag::Video { codec, .. } => format!("{codec:?}"),
            Tag::VideoEnd => "video end".into(),
            Tag::AudioConfig { codec, .. } => format!("{codec:?} config"),
            Tag::Audio { codec, .. } => format!("{codec:?}"),
            Tag::Metadata(_) => "metadata".into(),
            Tag::Ignored => "ignored".into(),
        };
        let entry = self.0.entry(name).or_insert((0, timestamp_ms, 0));
        entry.0 += 1;
        entry.2 = timestamp_ms;
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.0.iter();
        let lines =
            lines.map(|(name, (count, first, last))| format!("{name} x{count} {first}..{last}"));
        lines.collect()
    }
}

fn replay(capture: &[u8]) -> Vec<String> {
    let mut session = Session::new(Limits::default());
    let mut input = BytesMut::from(&[3][..]);
    input.resize(1 + 2 * 1536, 0);
    let mut summary = Summary::default();
    for piece in capture.chunks(700) {
        input.extend_from_slice(piece);
        session.handle_bytes(Duration::ZERO, &mut input);
        loop {
            match session.poll_output() {
                Output::Event(Event::PublishRequested(key)) => {
                    assert_eq!(key.room.as_str(), "r");
                    session.accept_publish();
                }
                Output::Event(Event::Media(media)) => {
                    let tag = match media.kind {
                        MediaKind::Audio => read::audio(media.body),
                        MediaKind::Video => read::video(media.body),
                    };
                    summary.count(tag.unwrap(), media.timestamp_ms);
                }
                Output::Event(Event::Data(data)) => summary.count(read::script(&data).unwrap(), 0),
                Output::Event(Event::Connected { .. } | Event::Unpublished) | Output::Send(_) => {}
                Output::Timeout(_) => break,
                Output::Closed(reason) => panic!("{reason}"),
            }
        }
    }
    summary.lines()
}

fn check(name: &str, expect: &[&str]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/rtmp_session");
    let capture = std::fs::read(format!("{folder}/{name}")).expect("a capture");
    assert_eq!(replay(&capture), expect, "{name}");
}

#[test]
fn captures_hold_what_their_encoders_sent() {
    check(
        "ffmpeg5_h264_aac",
        &[
            "Aac x20 59..464",
            "Aac config x1 0..0",
            "H264 x9 40..360",
            "H264 config x1 0..0",
            "H264 key x1 0..0",
            "metadata x1 0..0",
            "video end x1 360..360",
        ],
    );
    check(
        "ffmpeg9_hevc_aac",
        &[
            "Aac x20 59..464",
            "Aac config x1 0..0",
            "H265 x9 40..360",
            "H265 config x1 0..0",
            "H265 key x1 0..0",
            "ignored x1 0..0",
            "metadata x1 0..0",
        ],
    );
    check(
        "ffmpeg9_av1_opus",
        &[
            "Av1 x9 47..367",
            "Av1 config x1 0..0",
            "Av1 key x1 7..7",
            "Opus x21 0..401",
            "Opus config x1 0..0",
            "ignored x2 0..7",
            "metadata x1 0..0",
        ],
    );
    check(
        "gstreamer_librtmp",
        &[
            "Aac x10 0..208",
            "Aac config x1 0..0",
            "H264 x5 40..200",
            "H264 config x1 0..0",
            "H264 key x1 0..0",
            "metadata x3 0..0",
            "video end x1 208..208",
        ],
    );
}

/// The clock passes 0xffffff ms, where timestamps move to the extended field.
#[test]
fn large_timestamps_of_ffmpeg_are_read() {
    check(
        "ffmpeg9_large_timestamps",
        &[
            "Aac x20 16777079..16777484",
            "Aac config x1 0..0",
            "H264 x9 16777140..16777460",
            "H264 config x1 0..0",
            "H264 key x1 16777100..16777100",
            "metadata x1 0..0",
            "video end x1 16777460..16777460",
        ],
    );
}

/// Two video and two audio tracks: the default ones are taken, the others passed over.
#[test]
fn multitrack_publisher_is_taken_for_its_default_tracks() {
    check(
        "ffmpeg9_multitrack",
        &[
            "Aac x20 0..405",
            "Aac config x1 0..0",
            "H264 x9 61..381",
            "H264 config x1 0..0",
            "H264 key x1 21..21",
            "ignored x33 0..405",
            "metadata x1 0..0",
            "video end x2 381..381",
        ],
    );
}
