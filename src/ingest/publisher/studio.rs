//! A simulated encoder and its room, for the tests of this room.

use std::net::SocketAddr;

use bytes::Bytes;

use tokio::sync::watch;

use crate::ingest::publisher::access::Unit;
use crate::ingest::publisher::metrics::Instruments;
use crate::ingest::publisher::room::{House, Place, Room};
use crate::ingest::publisher::{Config, Now, Request};
use crate::live::broadcast;
use crate::live::track::{Event, Start};
use crate::live::{Config as LiveConfig, Store};
use crate::media::Frame;
use crate::media::RoomName;
use crate::media::broadcast::{Info, Kind, Timing};
use crate::media::codec::{AudioCodec, AudioConfig, VideoCodec, VideoConfig};
use crate::media::group::Head;
use crate::registry::Registry;
use crate::telemetry::Metrics;

/// A group as a reader has seen it.
pub(super) struct Read {
    pub(super) head: Head,
    pub(super) frames: Vec<Frame>,
}

impl Read {
    /// Frames by part: cut after the marks, and around stretches without media.
    pub(super) fn parts(&self) -> Vec<&[Frame]> {
        self.frames
            .chunk_by(|before, after| !before.ends_part() && !after.is_gap())
            .collect()
    }

    pub(super) fn is_gap(&self) -> bool {
        self.frames.iter().all(Frame::is_gap)
    }

    pub(super) fn ticks(&self) -> i64 {
        self.frames.last().unwrap().end_dts() - self.head.dts
    }
}

/// An encoder and its room, on a clock of their own.
pub(super) struct Studio {
    pub(super) room: Room,
    pub(super) place: Place,
    pub(super) now: Now,
    pub(super) broadcast: broadcast::Consumer,
    /// What the encoder adds to its stamps.
    pub(super) stamp_offset: u32,
    pub(super) frames_per_second: f64,
    pub(super) gop_frames: u64,
    pub(super) sample_rate: u32,
    pub(super) video_frames: u64,
    pub(super) audio_frames: u64,
    pub(super) with_video: bool,
    pub(super) with_audio: bool,
    pub(super) store: Store,
    config: Config,
}

impl Studio {
    pub(super) fn new(frames_per_second: f64, gop_seconds: f64, sample_rate: u32) -> Self {
        Self::with(
            Config::default(),
            frames_per_second,
            gop_seconds,
            sample_rate,
        )
    }

    pub(super) fn with(config: Config, rate: f64, gop_seconds: f64, sample_rate: u32) -> Self {
        let store = Store::new(LiveConfig {
            window_seconds: 600,
            ..LiveConfig::default()
        });
        let now = Now {
            us: 5_000_000,
            unix_us: 1_700_000_000_000_000,
        };
        let producer = store
            .publish(Info {
                room: RoomName::parse("r").unwrap(),
                kind: Kind::Show,
                epoch: "e".into(),
                started_us: now.unix_us,
                timing: config.profile.timing(),
            })
            .unwrap();
        let broadcast = producer.consumer();
        let mut room = Room::new(producer, None, config.clone(), house(&store), now);
        let place = room
            .join(&request(None), watch::channel(None).0, now)
            .unwrap();
        let mut studio = Self {
            room,
            place,
            now,
            broadcast,
            stamp_offset: 0,
            frames_per_second: rate,
            gop_frames: (gop_seconds * rate).round() as u64,
            sample_rate,
            video_frames: 0,
            audio_frames: 0,
            with_video: true,
            with_audio: true,
            store,
            config,
        };
        studio.configure();
        studio
    }

    /// An encoder that sends no video.
    pub(super) fn audio_only(sample_rate: u32) -> Self {
        let mut studio = Self::new(30.0, 2.0, sample_rate);
        studio.with_video = false;
        studio
    }

    pub(super) fn configure(&mut self) {
        self.room
            .video_config(self.place, video_config(self.frames_per_second, 1))
            .unwrap();
        self.room
            .audio_config(self.place, audio_config(self.sample_rate))
            .unwrap();
    }

    /// Lets `ms` pass without a frame.
    pub(super) fn wait(&mut self, ms: i64) {
        let until = self.now.us + ms * 1000;
        while self.now.us < until {
            let look = self.room.poll(false, self.now).unwrap_or(until).min(until);
            self.advance_to(look.max(self.now.us + 1));
        }
        self.room.poll(false, self.now);
    }

    pub(super) fn advance_to(&mut self, us: i64) {
        let by = us - self.now.us;
        self.now.us += by;
        self.now.unix_us += by;
    }

    /// Encodes for `seconds`, each frame arriving at its time.
    pub(super) fn run(&mut self, seconds: f64) {
        let start_us = self.now.us;
        let video_ms = |n: u64, rate: f64| n as f64 * 1000.0 / rate;
        let audio_ms = |n: u64, rate: u32| n as f64 * 1_024_000.0 / f64::from(rate);
        let (video_zero, audio_zero) = (self.video_frames, self.audio_frames);
        loop {
            let video = video_ms(self.video_frames - video_zero, self.frames_per_second);
            let audio = audio_ms(self.audio_frames - audio_zero, self.sample_rate);
            let is_video = self.with_video && (video <= audio || !self.with_audio);
            let at = if is_video { video } else { audio };
            if at >= seconds * 1000.0 {
                return;
            }
            self.advance_to(start_us + (at * 1000.0) as i64);
            self.room.poll(false, self.now);
            if is_video {
                let stamp = video_ms(self.video_frames, self.frames_per_second);
                let key = self.video_frames.is_multiple_of(self.gop_frames);
                self.video(stamp as u32, key);
                self.video_frames += 1;
            } else {
                let stamp = audio_ms(self.audio_frames, self.sample_rate);
                self.audio(stamp as u32);
                self.audio_frames += 1;
            }
        }
    }

    pub(super) fn video(&mut self, stamp: u32, key: bool) {
        let payload = Bytes::from_static(&[0, 0, 0, 1, 0x41]);
        let unit = self.unit(stamp, key, payload);
        self.room.video(self.place, unit, self.now).unwrap();
    }

    pub(super) fn audio(&mut self, stamp: u32) {
        let unit = self.unit(stamp, true, Bytes::from_static(&[0x21; 8]));
        self.room.audio(self.place, unit, self.now).unwrap();
    }

    pub(super) fn unit(&self, stamp: u32, key: bool, payload: Bytes) -> Unit {
        Unit {
            stamp: stamp.wrapping_add(self.stamp_offset),
            composition_ms: 0,
            key,
            payload,
        }
    }

    /// The connection is lost and another one comes.
    pub(super) fn reconnect(&mut self) {
        self.room.leave(self.place, self.now);
        self.join();
    }

    pub(super) fn join(&mut self) {
        self.place = self
            .room
            .join(&request(None), watch::channel(None).0, self.now)
            .unwrap();
        (self.video_frames, self.audio_frames) = (0, 0);
        self.configure();
    }

    /// All groups of a track so far.
    pub(super) fn read(&self, track: &str) -> Vec<Read> {
        read(&self.broadcast, track)
    }

    /// What holds for every track whatever happens; returns video and audio.
    pub(super) fn check(&self) -> (Vec<Read>, Vec<Read>) {
        let timing = self.config.profile.timing();
        let (video, audio) = (self.read("video"), self.read("audio"));
        check_track(&video, 90_000, &timing);
        check_track(&audio, self.sample_rate, &timing);
        (video, audio)
    }
}

/// What rooms in `store` share.
pub(super) fn house(store: &Store) -> House {
    House {
        store: store.clone(),
        registry: Registry::default(),
        instruments: Instruments::register(&Metrics::default()),
    }
}

/// One of several encoders of a room: 30 frames per second, a key frame every two seconds.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) place: Place,
    /// It is connected and sends nothing.
    pub(super) muted: bool,
    stamp_offset: u32,
    pictures: u64,
    sounds: u64,
}

impl Encoder {
    /// Connects; `stamp_offset` sets its clock apart from those of others.
    pub(super) fn join(room: &mut Room, request: &Request, stamp_offset: u32, now: Now) -> Self {
        let place = room.join(request, watch::channel(None).0, now).unwrap();
        room.video_config(place, video_config(30.0, 1)).unwrap();
        room.audio_config(place, audio_config(48_000)).unwrap();
        Self {
            place,
            muted: false,
            stamp_offset,
            pictures: 0,
            sounds: 0,
        }
    }

    /// Sends what a thirtieth of a second brings.
    pub(super) fn send(&mut self, room: &mut Room, now: Now) {
        let ms = self.pictures * 1000 / 30;
        let key = self.pictures.is_multiple_of(60);
        self.pictures += 1;
        if !self.muted {
            let payload = Bytes::from_static(&[0, 0, 0, 1, 0x41]);
            let unit = self.unit(ms, key, payload);
            room.video(self.place, unit, now).unwrap();
        }
        while self.sounds * 1_024 <= ms * 48 {
            let sound_ms = self.sounds * 1_024 / 48;
            self.sounds += 1;
            if !self.muted {
                let unit = self.unit(sound_ms, true, Bytes::from_static(&[0x21; 8]));
                room.audio(self.place, unit, now).unwrap();
            }
        }
    }

    fn unit(&self, ms: u64, key: bool, payload: Bytes) -> Unit {
        Unit {
            stamp: self.stamp_offset.wrapping_add(ms as u32),
            composition_ms: 0,
            key,
            payload,
        }
    }
}

/// All groups of a track so far.
pub(super) fn read(broadcast: &broadcast::Consumer, track: &str) -> Vec<Read> {
    let mut events = Vec::new();
    let track = broadcast.track(track).unwrap();
    track.read_from(Start::Oldest).read(&mut events, usize::MAX);
    let mut groups: Vec<Read> = Vec::new();
    for event in events {
        match event {
            Event::Group(head) => groups.push(Read {
                head: (*head).clone(),
                frames: Vec::new(),
            }),
            Event::Frame(frame) => {
                groups.last_mut().unwrap().frames.push((*frame).clone());
            }
            Event::GroupEnd | Event::Ended => {}
            Event::Skipped => panic!("a group is missing"),
        }
    }
    groups
}

pub(super) fn backup_request() -> Request {
    Request {
        backup: true,
        ..request(None)
    }
}

pub(super) fn request(rendition: Option<&str>) -> Request {
    Request {
        room: RoomName::parse("r").unwrap(),
        rendition: rendition.map(str::to_owned),
        backup: false,
        peer: SocketAddr::from(([127, 0, 0, 1], 9)),
    }
}

pub(super) fn video_config(frames_per_second: f64, version: u8) -> VideoConfig {
    VideoConfig {
        codec: VideoCodec::H265,
        record: Bytes::from(vec![version; 30]),
        width: 1280,
        height: 720,
        frame_rate_milli: (frames_per_second * 1000.0).round() as u32,
        name: "hvc1.1.6.L93.90".into(),
    }
}

pub(super) fn audio_config(sample_rate: u32) -> AudioConfig {
    let record: &[u8] = match sample_rate {
        44_100 => &[0x12, 0x10],
        _ => &[0x11, 0x90],
    };
    AudioConfig::parse(AudioCodec::Aac, Bytes::from_static(record)).unwrap()
}

pub(super) fn check_track(groups: &[Read], timescale: u32, timing: &Timing) {
    let mut last_dts = -1;
    let mut last_head: Option<&Head> = None;
    for group in groups {
        let head = &group.head;
        assert_eq!(group.frames[0].dts, head.dts);
        let first = &group.frames[0];
        assert_eq!(first.is_key() || first.is_gap(), head.independent);
        if let Some(last) = last_head.replace(head) {
            assert_eq!(head.id, last.id.next());
            assert!(
                (last.discontinuities..=last.discontinuities + 1).contains(&head.discontinuities)
            );
            assert!((last.init_id..=last.init_id + 1).contains(&head.init_id));
        }
        for frame in &group.frames {
            assert!(frame.dts > last_dts, "{} after {last_dts}", frame.dts);
            assert!(frame.dts + i64::from(frame.composition) >= 0);
            last_dts = frame.dts;
        }
        for part in group.parts() {
            let ticks = part.last().unwrap().end_dts() - part[0].dts;
            let limit = i64::from(timing.part_ms) * i64::from(timescale);
            assert!(
                ticks * 1000 <= limit,
                "part of {ticks} ticks in {}",
                head.id
            );
        }
        let ms = group.ticks() * 1000 / i64::from(timescale);
        assert!(
            ms < i64::from(timing.segment_ms) + 500,
            "group {} of {ms} ms at {timescale}",
            head.id
        );
    }
}
