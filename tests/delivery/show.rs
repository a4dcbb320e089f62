//! A show fed by hand, and a service that answers from it.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rushlane::delivery::{Config, Delivery, Parts};
use rushlane::live::{self, Store, broadcast, track};
use rushlane::media::broadcast::{Info as BroadcastInfo, Kind as Holds, Profile};
use rushlane::media::codec::{self, AudioCodec, AudioConfig, VideoCodec, VideoConfig};
use rushlane::media::frame::{Flags, Frame, Stamps};
use rushlane::media::group::{Head, Id};
use rushlane::media::track::{Info, Kind};
use rushlane::media::{RoomName, VIDEO_TIMESCALE};
use rushlane::net::http::{Body, Protocol, Reply, Request, Response, Service};
use rushlane::runtime::{Shutdown, TaskScope};
use rushlane::shed::Gauge;
use rushlane::telemetry::access::{self, Log, Slip};
use rushlane::telemetry::{Metrics, otlp};
use tokio::task::LocalSet;

/// Pictures in a group, at 30 a second: 2 s.
pub const GROUP: u64 = 60;
/// Pictures in a part.
pub const PART: u64 = 10;
/// Ticks of a picture.
pub const PICTURE: i64 = 3000;

/// The configuration record that x264 makes at 320x180, High, level 1.3.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x41,
    0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42,
    0x99, 0x60, 0x01, 0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];

/// Runs `test` where a worker runs: one thread, one `LocalSet`.
pub async fn on_worker<F: Future>(test: F) -> F::Output {
    let local = LocalSet::new();
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, local.run_until(test))
        .await
        .expect("the test ends")
}

/// A broadcast with a picture and a sound track, and the service of one worker.
pub struct Show {
    pub store: Store,
    pub delivery: Delivery,
    pub metrics: Metrics,
    pub service: Rc<dyn Service>,
    pub broadcast: broadcast::Producer,
    pub video: track::Producer,
    pub audio: track::Producer,
    open: Option<(track::GroupProducer, track::GroupProducer)>,
    /// The next picture.
    pub number: u64,
    /// The next frame of sound.
    sound: i64,
    pub init_id: u32,
    pub discontinuities: u32,
    /// When pictures arrive at the origin, in microseconds since 1970; 0 = not told.
    pub ingest_us: i64,
}

/// Takes notes of nothing.
fn log(metrics: &Metrics) -> Log {
    let (lines, traces) = (access::Config::default(), otlp::Config::default());
    Log::start(&lines, &traces, "edge-1", metrics).unwrap()
}

impl Show {
    pub fn start() -> Self {
        Self::with(Config::default(), live::Config::default())
    }

    pub fn with(config: Config, live: live::Config) -> Self {
        let store = Store::new(live);
        let metrics = Metrics::default();
        let media = TaskScope::under(&Shutdown::new());
        let runtime = tokio::runtime::Handle::current();
        let parts = Parts {
            store: store.clone(),
            shedding: Gauge::default(),
            media,
            runtime,
            log: log(&metrics),
        };
        let delivery = Delivery::new(&config, parts, &metrics, "edge-1");
        let broadcast = store
            .publish(BroadcastInfo {
                room: RoomName::parse("r").unwrap(),
                kind: Holds::Show,
                epoch: "e1".into(),
                started_us: 1_000_000,
                timing: Profile::Low.timing(),
            })
            .unwrap();
        let track = |name: &str, kind, timescale| {
            let name = name.into();
            broadcast
                .create_track(Info {
                    name,
                    kind,
                    timescale,
                })
                .unwrap()
        };
        Self {
            video: track("video", Kind::Video, VIDEO_TIMESCALE),
            audio: track("audio", Kind::Audio, 48_000),
            service: delivery.service(0),
            store,
            delivery,
            metrics,
            broadcast,
            open: None,
            number: 0,
            sound: 0,
            init_id: 0,
            discontinuities: 0,
            ingest_us: 0,
        }
    }

    /// Feeds `count` pictures, and the sound up to their end.
    pub fn pictures(&mut self, count: u64) {
        for _ in 0..count {
            if self.number.is_multiple_of(GROUP) {
                self.next_group();
            }
            self.picture();
        }
    }

    /// Feeds whole groups.
    pub fn groups(&mut self, count: u64) {
        self.pictures(count * GROUP);
    }

    fn next_group(&mut self) {
        self.finish_group();
        let id = Id(self.number / GROUP);
        let head = |dts, config: codec::Config| Head {
            id,
            discontinuities: self.discontinuities,
            init_id: self.init_id,
            init: config.encode(),
            wall_us: 1_794_398_400_000_000 + dts * 1000 / 90,
            dts,
            independent: true,
        };
        let video = head(self.number as i64 * PICTURE, video_config());
        let audio = head(self.sound * 1024, audio_config());
        let open = (self.video.group(video), self.audio.group(audio));
        self.open = open.0.zip(open.1);
    }

    pub fn finish_group(&mut self) {
        if let Some((video, audio)) = self.open.take() {
            video.finish();
            audio.finish();
        }
    }

    fn picture(&mut self) {
        let index = self.number % GROUP;
        let dts = self.number as i64 * PICTURE;
        let mut flags = Flags::default();
        if index == 0 {
            flags = flags.with(Flags::KEY);
        }
        if (index + 1).is_multiple_of(PART) {
            flags = flags.with(Flags::PART_END);
        }
        let bytes = if index == 0 { 4000 } else { 500 };
        let mut frame = frame(dts, PICTURE as u32, flags, payload(self.number, bytes));
        frame.stamps.ingest_us = self.ingest_us;
        self.number += 1;
        let end_ms = self.number as i64 * PICTURE / 90;
        let (video, _) = self.open.as_ref().expect("a group is open");
        video.append(frame);
        while (self.sound + 1) * 1024 * 1000 / 48_000 <= end_ms {
            self.sounds(1);
        }
    }

    /// Feeds `count` frames of sound.
    pub fn sounds(&mut self, count: u64) {
        let (_, audio) = self.open.as_ref().expect("a group is open");
        for _ in 0..count {
            let flags = match (self.sound + 1) % 15 {
                0 => Flags::KEY.with(Flags::PART_END),
                _ => Flags::KEY,
            };
            let bytes = payload(self.sound as u64, 100);
            audio.append(frame(self.sound * 1024, 1024, flags, bytes));
            self.sound += 1;
        }
    }

    /// One request.
    pub fn request(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Reply {
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            fields.append(name, HeaderValue::try_from(*value).unwrap());
        }
        self.service.call(Request {
            method,
            uri: target.parse().unwrap(),
            headers: fields,
            protocol: Protocol::H1,
            secure: false,
            peer: ([127, 0, 0, 1], 1234).into(),
            body: Bytes::new(),
            upgrade: None,
            extensions: http::Extensions::new(),
            direct: None,
            slip: Slip::default(),
        })
    }

    /// The answer to a GET, waited for.
    pub async fn get(&self, target: &str) -> Answer {
        self.get_with(target, &[]).await
    }

    pub async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        Answer::of(match self.request(Method::GET, target, headers) {
            Reply::Ready(response) => response,
            Reply::Later(later) => later.await,
        })
    }

    /// True when a GET must wait.
    pub fn waits(&self, target: &str) -> bool {
        matches!(self.request(Method::GET, target, &[]), Reply::Later(_))
    }

    /// Waits until the playlists name `msn` and `part` of both tracks.
    pub async fn warm(&self, msn: u64, part: u64) {
        for track in ["video", "audio"] {
            let target = media(track, &format!("?_HLS_msn={msn}&_HLS_part={part}"));
            assert_eq!(self.get(&target).await.status, 200, "{target}");
        }
    }
}

/// The media playlist of `track` with `query`.
pub fn media(track: &str, query: &str) -> String {
    format!("/live/r/e1/{track}/media.m3u8{query}")
}

/// A reply whose body is at hand.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let Body::Chunks(chunks) = body else {
            panic!("a live body");
        };
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: chunks.to_bytes(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub fn video_config() -> codec::Config {
    codec::Config::Video(VideoConfig {
        codec: VideoCodec::H264,
        record: Bytes::from_static(AVCC),
        width: 320,
        height: 180,
        frame_rate_milli: 30_000,
        name: "avc1.64000d".into(),
    })
}

pub fn audio_config() -> codec::Config {
    codec::Config::Audio(AudioConfig {
        codec: AudioCodec::Aac,
        record: Bytes::from_static(&[0x11, 0x90]),
        sample_rate: 48_000,
        channels: 2,
        name: "mp4a.40.2".into(),
    })
}

fn frame(dts: i64, duration: u32, flags: Flags, payload: Bytes) -> Frame {
    Frame {
        dts,
        composition: 0,
        duration,
        flags,
        stamps: Stamps::default(),
        payload,
    }
}

/// One NAL unit of `bytes` bytes that differs from frame to frame.
fn payload(number: u64, bytes: u32) -> Bytes {
    let mut out = bytes.to_be_bytes().to_vec();
    out.extend((0..bytes).map(|index| (number as u8).wrapping_add(index as u8)));
    out.into()
}
