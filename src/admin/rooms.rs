//! A room as the admin API shows it: measured from the frames of its live window.

use serde_json::{Value, json};

use crate::admin::Sources;
use crate::live::{broadcast, track};
use crate::media::codec::Config;
use crate::media::frame::Stamps;
use crate::media::group::Id;
use crate::media::track::Kind;
use crate::media::{Frame, ticks_to_ms};
use crate::runtime::clock;

/// How many of the newest complete groups the figures are taken from: about ten seconds.
const GROUPS_MEASURED: u64 = 5;

/// One line of `/api/v1/rooms`.
pub(super) fn summary(broadcast: &broadcast::Consumer, sources: &Sources) -> Value {
    let info = broadcast.info();
    json!({
        "room": info.room,
        "epoch": info.epoch,
        "since_ms": info.started_us / 1000,
        "ended": broadcast.is_ended(),
        "tracks": broadcast.tracks().iter().map(|t| t.info().name.clone()).collect::<Vec<_>>(),
        "viewers": viewers(broadcast, sources),
    })
}

/// What a report tells of a room, besides its audience.
pub(super) fn glance(broadcast: &broadcast::Consumer, sources: &Sources) -> Value {
    let info = broadcast.info();
    let tracks = broadcast.tracks();
    let video = tracks.iter().find(|t| t.info().kind == Kind::Video);
    let shown = video.or_else(|| tracks.first());
    let frames = shown.map(recent_frames).unwrap_or_default();
    let measured = shown.and_then(|track| {
        let info = track.info();
        Measured::of(&frames, info.timescale, info.kind)
    });
    let newest = shown.and_then(track::Consumer::newest_frame);
    let desk = sources.publishers.as_ref();
    json!({
        "room": info.room,
        "epoch": info.epoch,
        "since_ms": info.started_us / 1000,
        "ended": broadcast.is_ended(),
        "measured": measured.map(|measured| measured.json()),
        "newest_frame_age_ms": newest.map(|frame| {
            (clock::unix_us() - frame.stamps.ingest_us) / 1000
        }),
        "publishers": desk.and_then(|desk| desk.status(&info.room)).map(|room| room.publishers),
    })
}

/// `/api/v1/rooms/ROOM`.
pub(super) fn detail(broadcast: &broadcast::Consumer, sources: &Sources) -> Value {
    let info = broadcast.info();
    let ingest = sources
        .publishers
        .as_ref()
        .and_then(|desk| desk.status(&info.room));
    json!({
        "room": info.room,
        "epoch": info.epoch,
        "since_ms": info.started_us / 1000,
        "ended": broadcast.is_ended(),
        "timing": info.timing,
        "ingest": ingest,
        "tracks": broadcast.tracks().iter().map(describe_track).collect::<Vec<_>>(),
        "viewers": viewers(broadcast, sources),
        "interaction": interaction(info.room.as_str(), sources),
    })
}

/// Members: over all edges where the room's origin is, else those of this node.
fn interaction(room: &str, sources: &Sources) -> Value {
    let authority = sources.rooms.as_ref();
    if let Some(status) = authority.and_then(|authority| authority.status(room)) {
        return json!(status);
    }
    let doors = sources.doors.as_ref();
    doors.map_or(Value::Null, |doors| json!(doors.presence(room)))
}

fn viewers(broadcast: &broadcast::Consumer, sources: &Sources) -> Value {
    let delivery = sources.delivery.as_ref();
    delivery.map_or(Value::Null, |delivery| {
        json!(delivery.viewers(broadcast.info().room.as_str()))
    })
}

fn describe_track(consumer: &track::Consumer) -> Value {
    let info = consumer.info();
    let status = consumer.status();
    let frames = recent_frames(consumer);
    json!({
        "name": info.name,
        "kind": info.kind,
        "codec": consumer.newest_head().and_then(|head| describe_codec(head.init.clone())),
        "readers": status.readers,
        "groups": status.groups,
        "window_bytes": status.bytes,
        "range": status.range.map(|(first, last)| json!([first.0, last.0])),
        "measured": Measured::of(&frames, info.timescale, info.kind).map(|m| m.json()),
        "newest_frame_age_ms": consumer
            .newest_frame()
            .map(|frame| (clock::unix_us() - frame.stamps.ingest_us) / 1000),
        "latency_ms": latency_by_hop(&frames),
    })
}

fn describe_codec(init: bytes::Bytes) -> Option<Value> {
    Some(match Config::decode(init).ok()? {
        Config::Video(video) => json!({
            "name": video.name,
            "width": video.width,
            "height": video.height,
            "frame_rate": f64::from(video.frame_rate_milli) / 1000.0,
        }),
        Config::Audio(audio) => json!({
            "name": audio.name,
            "sample_rate": audio.sample_rate,
            "channels": audio.channels,
        }),
    })
}

/// The media frames of the newest complete groups, oldest first.
fn recent_frames(consumer: &track::Consumer) -> Vec<std::sync::Arc<Frame>> {
    let Some((first, last)) = consumer.range() else {
        return Vec::new();
    };
    let from = last.0.saturating_sub(GROUPS_MEASURED).max(first.0);
    (from..=last.0)
        .filter_map(|id| consumer.group(Id(id)))
        .flat_map(|group| group.frames)
        .filter(|frame| !frame.is_gap())
        .collect()
}

/// Rates over the recent frames.
struct Measured {
    bitrate_kbps: i64,
    frame_rate: f64,
    key_interval_ms: Option<i64>,
}

impl Measured {
    fn of(frames: &[std::sync::Arc<Frame>], timescale: u32, kind: Kind) -> Option<Self> {
        let (first, last) = (frames.first()?, frames.last()?);
        let span_ms = ticks_to_ms(last.end_dts() - first.dts, timescale);
        if span_ms <= 0 {
            return None;
        }
        let bytes: usize = frames.iter().map(|frame| frame.payload.len()).sum();
        let keys: Vec<i64> = frames
            .iter()
            .filter(|f| f.is_key())
            .map(|f| f.dts)
            .collect();
        let intervals = i64::try_from(keys.len()).ok()? - 1;
        let key_interval_ms = (kind == Kind::Video && intervals > 0)
            .then(|| ticks_to_ms(keys[keys.len() - 1] - keys[0], timescale) / intervals);
        Some(Self {
            bitrate_kbps: i64::try_from(bytes).ok()? * 8 / span_ms,
            frame_rate: frames.len() as f64 * 1000.0 / span_ms as f64,
            key_interval_ms,
        })
    }

    fn json(&self) -> Value {
        json!({
            "bitrate_kbps": self.bitrate_kbps,
            "frame_rate": (self.frame_rate * 100.0).round() / 100.0,
            "key_interval_ms": self.key_interval_ms,
        })
    }
}

/// The median of each leg a frame has taken to this node, in milliseconds: host to origin, then one
/// entry per relay hop (corrected by the link's clock offset) and the wait at the node before it.
fn latency_by_hop(frames: &[std::sync::Arc<Frame>]) -> Value {
    let Some(hops) = frames.last().map(|frame| frame.stamps.hops.len()) else {
        return Value::Null;
    };
    let same_path: Vec<&Stamps> = frames
        .iter()
        .map(|frame| &frame.stamps)
        .filter(|s| s.hops.len() == hops)
        .collect();
    let median = |leg: &dyn Fn(&Stamps) -> i64| {
        let mut times: Vec<i64> = same_path.iter().map(|stamps| leg(stamps)).collect();
        times.sort_unstable();
        times.get(times.len() / 2).map(|&us| us as f64 / 1000.0)
    };
    let relay: Vec<Value> = (0..hops)
        .map(|hop| {
            json!({
                "before_ms": median(&|s: &Stamps| s.hops[hop].sent_us - arrival_us(s, hop)),
                "link_ms": median(&|s: &Stamps| {
                    let at = s.hops[hop];
                    at.received_us - i64::from(at.offset_us) - at.sent_us
                }),
            })
        })
        .collect();
    json!({
        "capture_to_ingest": median(&|s: &Stamps| s.ingest_us - s.capture_us),
        "relay": relay,
    })
}

/// When the frame came to the node that sent it over `hop`, by that node's clock.
fn arrival_us(stamps: &Stamps, hop: usize) -> i64 {
    match hop.checked_sub(1) {
        Some(before) => stamps.hops[before].received_us,
        None => stamps.ingest_us,
    }
}
