use std::net::SocketAddr;

use bytes::Bytes;

use super::*;
use crate::live::track::{Event, Start};
use crate::live::{Config as LiveConfig, Store};
use crate::media::broadcast::{Info, Profile, Timing};
use crate::media::codec::{AudioCodec, VideoCodec};
use crate::media::group::Head;
use crate::media::{Frame, rescale};
use crate::telemetry::Metrics;

/// A group as a reader has seen it.
struct Read {
    head: Head,
    frames: Vec<Frame>,
}

impl Read {
    /// Frames by part.
    fn parts(&self) -> Vec<&[Frame]> {
        self.frames.split_inclusive(Frame::ends_part).collect()
    }

    fn is_gap(&self) -> bool {
        self.frames.iter().all(Frame::is_gap)
    }

    fn ticks(&self) -> i64 {
        self.frames.last().unwrap().end_dts() - self.head.dts
    }
}

/// An encoder and its room, on a clock of their own.
struct Studio {
    room: Room,
    place: Place,
    now: Now,
    broadcast: broadcast::Consumer,
    /// What the encoder adds to its stamps.
    stamp_offset: u32,
    frames_per_second: f64,
    gop_frames: u64,
    sample_rate: u32,
    video_frames: u64,
    audio_frames: u64,
    with_video: bool,
    with_audio: bool,
    store: Store,
}

impl Studio {
    fn new(frames_per_second: f64, gop_seconds: f64, sample_rate: u32) -> Self {
        Self::with(
            Config::default(),
            frames_per_second,
            gop_seconds,
            sample_rate,
        )
    }

    fn with(config: Config, rate: f64, gop_seconds: f64, sample_rate: u32) -> Self {
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
                epoch: "e".into(),
                started_us: now.unix_us,
                timing: config.profile.timing(),
            })
            .unwrap();
        let broadcast = producer.consumer();
        let instruments = Instruments::register(&Metrics::default());
        let mut room = Room::new(producer, config, instruments, now);
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
        };
        studio.configure();
        studio
    }

    fn audio_only(sample_rate: u32) -> Self {
        let mut studio = Self::new(30.0, 2.0, sample_rate);
        studio.with_video = false;
        let broadcast = studio.broadcast.clone();
        // The video track of the full studio has no frame and no group: a room without it.
        drop(broadcast);
        studio
    }

    fn configure(&mut self) {
        self.room
            .video_config(self.place, video_config(self.frames_per_second, 1))
            .unwrap();
        self.room
            .audio_config(self.place, audio_config(self.sample_rate))
            .unwrap();
    }

    /// Lets `ms` pass without a frame.
    fn wait(&mut self, ms: i64) {
        let until = self.now.us + ms * 1000;
        while self.now.us < until {
            let look = self.room.poll(self.now).unwrap_or(until).min(until);
            self.advance_to(look.max(self.now.us + 1));
        }
        self.room.poll(self.now);
    }

    fn advance_to(&mut self, us: i64) {
        let by = us - self.now.us;
        self.now.us += by;
        self.now.unix_us += by;
    }

    /// Encodes for `seconds`, each frame arriving at its time.
    fn run(&mut self, seconds: f64) {
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
            self.room.poll(self.now);
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

    fn video(&mut self, stamp: u32, key: bool) {
        let payload = Bytes::from_static(&[0, 0, 0, 1, 0x41]);
        let unit = self.unit(stamp, key, payload);
        self.room.video(self.place, unit, self.now).unwrap();
    }

    fn audio(&mut self, stamp: u32) {
        let unit = self.unit(stamp, true, Bytes::from_static(&[0x21; 8]));
        self.room.audio(self.place, unit, self.now).unwrap();
    }

    fn unit(&self, stamp: u32, key: bool, payload: Bytes) -> Unit {
        Unit {
            stamp: stamp.wrapping_add(self.stamp_offset),
            composition_ms: 0,
            key,
            payload,
        }
    }

    /// The connection is lost and another one comes.
    fn reconnect(&mut self) {
        self.room.leave(self.place, false, self.now);
        self.join();
    }

    fn join(&mut self) {
        self.place = self
            .room
            .join(&request(None), watch::channel(None).0, self.now)
            .unwrap();
        (self.video_frames, self.audio_frames) = (0, 0);
        self.configure();
    }

    /// All groups of a track so far.
    fn read(&self, track: &str) -> Vec<Read> {
        let mut events = Vec::new();
        let track = self.broadcast.track(track).unwrap();
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

    /// What holds for every track whatever happens; returns video and audio.
    fn check(&self) -> (Vec<Read>, Vec<Read>) {
        let timing = self.room.config.profile.timing();
        let (video, audio) = (self.read("video"), self.read("audio"));
        check_track(&video, 90_000, &timing);
        check_track(&audio, self.sample_rate, &timing);
        (video, audio)
    }
}

fn request(rendition: Option<&str>) -> Request {
    Request {
        room: RoomName::parse("r").unwrap(),
        rendition: rendition.map(str::to_owned),
        backup: false,
        peer: SocketAddr::from(([127, 0, 0, 1], 9)),
    }
}

fn video_config(frames_per_second: f64, version: u8) -> VideoConfig {
    VideoConfig {
        codec: VideoCodec::H265,
        record: Bytes::from(vec![version; 30]),
        width: 1280,
        height: 720,
        frame_rate_milli: (frames_per_second * 1000.0).round() as u32,
        name: "hvc1.1.6.L93.90".into(),
    }
}

fn audio_config(sample_rate: u32) -> AudioConfig {
    let record: &[u8] = match sample_rate {
        44_100 => &[0x12, 0x10],
        _ => &[0x11, 0x90],
    };
    AudioConfig::parse(AudioCodec::Aac, Bytes::from_static(record)).unwrap()
}

fn check_track(groups: &[Read], timescale: u32, timing: &Timing) {
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
            let gaps = part.iter().filter(|frame| frame.is_gap()).count();
            assert!(gaps == 0 || part.len() == 1, "a part holds media or none");
        }
        let ms = group.ticks() * 1000 / i64::from(timescale);
        assert!(
            ms < i64::from(timing.segment_ms) + 500,
            "group {} of {ms} ms",
            head.id
        );
    }
}

#[test]
fn parts_and_groups_keep_their_lengths_at_every_rate() {
    let film = 24_000.0 / 1001.0;
    let ntsc = 30_000.0 / 1001.0;
    for rate in [film, 24.0, 25.0, ntsc, 30.0, 50.0, 2.0 * ntsc, 60.0] {
        for gop_seconds in [1.0, 2.0, 4.0, 10.0] {
            for sample_rate in [44_100, 48_000] {
                check_rules(rate, gop_seconds, sample_rate);
            }
        }
    }
}

fn check_rules(rate: f64, gop_seconds: f64, sample_rate: u32) {
    let mut studio = Studio::new(rate, gop_seconds, sample_rate);
    studio.run(31.0);
    let case = format!("{rate} fps, GOP {gop_seconds} s, {sample_rate} Hz");
    let (video, audio) = studio.check();
    let timing = Profile::Low.timing();
    assert_eq!(video.len(), audio.len(), "{case}");
    for (group, timescale) in video
        .iter()
        .map(|group| (group, 90_000))
        .chain(audio.iter().map(|group| (group, sample_rate)))
    {
        assert_eq!(group.head.discontinuities, 0);
        assert_eq!(group.head.init_id, 0);
        let parts = group.parts();
        for part in &parts[..parts.len() - 1] {
            let ticks = part.last().unwrap().end_dts() - part[0].dts;
            let floor = i64::from(timing.part_ms) * i64::from(timescale) * 85 / 100_000;
            assert!(
                ticks >= floor,
                "{case}: part of {ticks} in group {}",
                group.head.id
            );
        }
        for pair in group.frames.windows(2) {
            assert_eq!(pair[1].dts, pair[0].end_dts(), "{case}");
        }
    }
    for (video, audio) in video.iter().zip(&audio) {
        assert_eq!(video.head.id, audio.head.id);
        let apart_us = (video.head.wall_us - audio.head.wall_us).abs();
        assert!(apart_us < 45_000, "{case}: groups {apart_us} us apart");
    }
    let keyed = video.iter().filter(|group| group.head.independent).count();
    let keys = (31.0 / gop_seconds).ceil() as usize;
    assert_eq!(keyed, keys.min(video.len()), "{case}");
    if gop_seconds <= 2.0 {
        assert_eq!(
            keyed,
            video.len(),
            "{case}: every group begins with a key frame"
        );
    }
    let total: i64 = video[..video.len() - 1].iter().map(Read::ticks).sum();
    assert_eq!(
        total,
        video.last().unwrap().head.dts,
        "{case}: no time is lost"
    );
}

#[test]
fn decode_times_lie_on_the_exact_grid() {
    let mut studio = Studio::new(30_000.0 / 1001.0, 2.0, 48_000);
    studio.run(20.0);
    let (video, audio) = studio.check();
    for (n, frame) in video.iter().flat_map(|group| &group.frames).enumerate() {
        assert_eq!(frame.dts, n as i64 * 3003);
        assert_eq!(frame.duration, 3003);
    }
    for (n, frame) in audio.iter().flat_map(|group| &group.frames).enumerate() {
        assert_eq!(frame.dts, n as i64 * 1024);
    }
}

#[test]
fn pictures_out_of_order_are_shown_on_the_grid() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    // I P B B P B B …: shown two frames after the decoder begins.
    for (n, shown) in [2, 5, 3, 4, 8, 6, 7].into_iter().enumerate() {
        let stamp = (n as f64 * 1000.0 / 30.0) as u32;
        let unit = Unit {
            composition_ms: (f64::from(shown) * 1000.0 / 30.0) as i32 - stamp as i32,
            ..studio.unit(stamp, n == 0, Bytes::from_static(&[1; 10]))
        };
        studio.room.video(studio.place, unit, studio.now).unwrap();
    }
    let shown: Vec<i64> = studio.read("video")[0]
        .frames
        .iter()
        .map(|frame| frame.dts + i64::from(frame.composition))
        .collect();
    assert_eq!(shown, [2, 5, 3, 4, 8, 6, 7].map(|n| n * 3000));
}

#[test]
fn irregular_frames_keep_parts_whole_and_pictures_on_time() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    let mut random = 7_u64;
    let mut stamp = 0;
    let mut stamps = Vec::new();
    for n in 0..600 {
        studio.video(stamp, n % 30 == 0);
        stamps.push(i64::from(stamp) * 90);
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let step = [16, 33, 34, 50, 66, 120, 400][(random >> 33) as usize % 7];
        studio.advance_to(studio.now.us + i64::from(step) * 1000);
        stamp += step;
    }
    let groups = studio.read("video");
    check_track(&groups, 90_000, &Profile::Low.timing());
    let frames: Vec<_> = groups.iter().flat_map(|group| &group.frames).collect();
    assert_eq!(frames.len(), stamps.len());
    for (frame, stamp) in frames.iter().zip(stamps) {
        let shown = frame.dts + i64::from(frame.composition);
        assert!(
            (shown - stamp).abs() <= 180,
            "shown at {shown}, stamped {stamp}"
        );
    }
}

#[test]
fn audio_waits_for_the_first_picture() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    for n in 0..20 {
        studio.audio(n * 21);
    }
    assert!(studio.read("audio").is_empty());
    studio.video(430, false);
    assert!(studio.read("video").is_empty(), "nothing decodes it");
    studio.video(460, true);
    studio.audio(450);
    studio.audio(471);
    let (video, audio) = studio.check();
    assert_eq!(video[0].head.id.0, 0);
    assert_eq!(audio[0].head.id.0, 0);
    assert_eq!(
        audio[0].frames.len(),
        1,
        "audio before the picture is left out"
    );
}

#[test]
fn room_without_video_is_led_by_audio() {
    for sample_rate in [44_100, 48_000] {
        let mut studio = Studio::audio_only(sample_rate);
        studio.run(30.0);
        let audio = studio.read("audio");
        check_track(&audio, sample_rate, &Profile::Low.timing());
        assert!(audio.len() > 10);
        for group in &audio[..audio.len() - 1] {
            let ms = group.ticks() * 1000 / i64::from(sample_rate);
            assert!((1800..=2100).contains(&ms), "{ms}");
        }
    }
}

#[test]
fn late_video_takes_the_lead_and_begins_with_the_group_of_the_moment() {
    let mut studio = Studio::audio_only(48_000);
    studio.run(13.0);
    let before = studio.read("audio").last().unwrap().head.id;
    studio.with_video = true;
    studio.video_frames = 13 * 30;
    studio.gop_frames = 13 * 30;
    studio.run(1.0);
    studio.gop_frames = 60;
    studio.video_frames = 420;
    studio.run(6.0);
    let (video, audio) = studio.check();
    assert_eq!(video[0].head.id, before.next());
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
}

#[test]
fn late_audio_begins_with_the_group_of_the_moment() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.with_audio = false;
    studio.run(5.0);
    studio.with_audio = true;
    studio.audio_frames = 5 * 48_000 / 1024;
    studio.run(5.0);
    let (video, audio) = studio.check();
    assert_eq!(audio[0].head.id.0, 2);
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
}

#[test]
fn silence_goes_on_without_media_and_ends_with_a_discontinuity() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(4.5);
    studio.wait(2000);
    let (video, audio) = studio.check();
    assert!(video.last().unwrap().is_gap() && audio.last().unwrap().is_gap());
    assert!(studio.room.status(studio.now).unwrap().stalled);
    studio.wait(3500);
    // Both clocks saw the silence; the next key frame is due half a second later.
    studio.video_frames += 165;
    studio.audio_frames += 5500 * 48 / 1024;
    studio.run(6.0);
    let (video, audio) = studio.check();
    assert!(!studio.room.status(studio.now).unwrap().stalled);
    for (groups, timescale) in [(&video, 90_000), (&audio, 48_000)] {
        let last = groups.last().unwrap();
        assert_eq!(last.head.discontinuities, 1);
        assert_eq!(last.head.init_id, 0);
        assert!(groups.iter().filter(|group| group.is_gap()).count() >= 2);
        let end = rescale(last.frames.last().unwrap().end_dts(), timescale, 1000);
        assert!((15_900..16_100).contains(&end), "{end}");
    }
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
}

#[test]
fn clock_that_stood_still_is_moved_behind_the_gap() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(4.0);
    studio.wait(6000);
    studio.run(8.0);
    let (video, _) = studio.check();
    assert_eq!(video.last().unwrap().head.discontinuities, 1);
    let status = studio.room.status(studio.now).unwrap();
    assert_eq!(status.publishers[0].repairs.stall, 1);
    let end_ms = video.last().unwrap().frames.last().unwrap().end_dts() / 90;
    assert!((17_500..18_500).contains(&end_ms), "{end_ms}");
}

#[test]
fn what_was_kept_during_a_silence_is_left_out_when_its_time_has_passed() {
    let mut studio = Studio::new(30.0, 1.0, 48_000);
    studio.run(4.0);
    studio.wait(5000);
    // Five seconds of frames at once.
    for n in 120..270 {
        studio.video(n * 1000 / 30, n % 30 == 0);
    }
    studio.video_frames = 270;
    studio.audio_frames = 9 * 48_000 / 1024;
    studio.run(3.0);
    let (video, _) = studio.check();
    let status = studio.room.status(studio.now).unwrap();
    assert_eq!(status.publishers[0].repairs.stall, 0);
    let last = video.last().unwrap().frames.last().unwrap();
    assert!(
        (11_900..12_100).contains(&(last.end_dts() / 90)),
        "live again"
    );
}

#[test]
fn lost_connection_resumes_with_the_next_group() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(5.0);
    studio.room.leave(studio.place, false, studio.now);
    studio.wait(8000);
    studio.join();
    studio.run(5.0);
    let (video, audio) = studio.check();
    for groups in [&video, &audio] {
        let last = &groups.last().unwrap().head;
        assert_eq!((last.discontinuities, last.init_id), (1, 1));
    }
    assert_eq!(video.last().unwrap().head.id, audio.last().unwrap().head.id);
    assert!(!studio.broadcast.is_ended());
}

#[test]
fn quick_reconnect_does_not_go_back() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.reconnect();
    studio.run(3.0);
    let (video, audio) = studio.check();
    assert_eq!(video.last().unwrap().head.discontinuities, 1);
    assert_eq!(audio.last().unwrap().head.init_id, 1);
}

#[test]
fn room_ends_when_nobody_comes_back() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.room.leave(studio.place, false, studio.now);
    studio.wait(29_000);
    assert!(!studio.broadcast.is_ended());
    studio.wait(1500);
    assert!(studio.broadcast.is_ended());
    assert!(
        studio
            .broadcast
            .tracks()
            .iter()
            .all(|track| track.is_ended())
    );
    studio.check();
    assert!(studio.store.room("r").is_some(), "players read the end");
    studio.wait(61_000);
    assert!(studio.store.room("r").is_none());
}

#[test]
fn silent_encoder_is_sent_away_in_the_end() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.wait(59_000);
    assert!(!studio.broadcast.is_ended());
    studio.wait(2000);
    assert!(studio.broadcast.is_ended());
    let unit = studio.unit(0, true, Bytes::from_static(&[1; 10]));
    let refused = studio.room.video(studio.place, unit, studio.now);
    assert_eq!(refused, Err(Error::Revoked(Revoked::Ended)));
}

#[test]
fn goodbye_ends_the_show_at_once() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    studio.room.leave(studio.place, true, studio.now);
    assert!(studio.broadcast.is_ended());
}

#[test]
fn other_configuration_opens_a_new_initialization_at_the_next_key_frame() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    let same = video_config(30.0, 1);
    studio.room.video_config(studio.place, same).unwrap();
    studio.run(2.0);
    assert_eq!(studio.read("video").last().unwrap().head.init_id, 0);
    let other = video_config(30.0, 2);
    studio.room.video_config(studio.place, other).unwrap();
    studio.run(3.0);
    let (video, audio) = studio.check();
    let changed = video
        .iter()
        .position(|group| group.head.init_id == 1)
        .unwrap();
    assert_eq!(video[changed].head.discontinuities, 1);
    assert_ne!(video[changed].head.init, video[changed - 1].head.init);
    assert_eq!(audio[changed].head.discontinuities, 1);
    assert_eq!(audio[changed].head.init_id, 0);
}

#[test]
fn second_publisher_is_refused_or_takes_over() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    let refused = studio
        .room
        .join(&request(None), watch::channel(None).0, studio.now);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("room r is being published to")
    );
    let config = Config {
        on_busy: OnBusy::Takeover,
        ..Config::default()
    };
    let mut studio = Studio::with(config, 30.0, 2.0, 48_000);
    studio.run(3.0);
    let old = studio.place;
    studio.join();
    let unit = studio.unit(0, true, Bytes::from_static(&[1; 10]));
    assert_eq!(
        studio.room.video(old, unit, studio.now),
        Err(Error::Revoked(Revoked::TakenOver))
    );
    studio.room.leave(old, true, studio.now);
    studio.run(3.0);
    let (video, _) = studio.check();
    let last = &video.last().unwrap().head;
    assert_eq!((last.discontinuities, last.init_id), (1, 1));
    assert!(!studio.broadcast.is_ended());
}

#[test]
fn renditions_share_group_numbers() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.run(3.0);
    let request = request(Some("720p"));
    let second = studio
        .room
        .join(&request, watch::channel(None).0, studio.now);
    let second = second.unwrap();
    studio
        .room
        .video_config(second, video_config(30.0, 3))
        .unwrap();
    for n in 90..330_u32 {
        let key = n % 60 == 0;
        let stamp = n * 1000 / 30;
        studio.video(stamp, key);
        let unit = studio.unit(stamp, key, Bytes::from_static(&[1; 10]));
        studio.room.video(second, unit, studio.now).unwrap();
        studio.advance_to(studio.now.us + 33_333);
    }
    let (lead, further) = (studio.read("video"), studio.read("720p"));
    check_track(&further, 90_000, &Profile::Low.timing());
    for group in &further {
        let twin = lead
            .iter()
            .find(|twin| twin.head.id == group.head.id)
            .unwrap();
        assert_eq!(twin.head.dts, group.head.dts);
        assert!(group.head.independent);
    }
    assert_eq!(
        lead.last().unwrap().head.id,
        further.last().unwrap().head.id
    );
    for name in ["1", "2", "3", "4", "5", "6"] {
        let join = studio.room.join(
            &self::request(Some(name)),
            watch::channel(None).0,
            studio.now,
        );
        assert!(join.is_ok());
    }
    let join = studio.room.join(
        &self::request(Some("7")),
        watch::channel(None).0,
        studio.now,
    );
    assert!(matches!(join, Err(Refusal::TooManyRenditions { .. })));
}

#[test]
fn jumps_and_wraps_of_the_encoder_do_not_show() {
    let mut studio = Studio::new(30.0, 2.0, 48_000);
    studio.stamp_offset = u32::MAX - 2500;
    studio.run(6.0);
    studio.stamp_offset = 77_000_000;
    studio.run(6.0);
    studio.stamp_offset = 5;
    studio.run(6.0);
    let (video, audio) = studio.check();
    assert_eq!(video.last().unwrap().head.discontinuities, 0);
    let repairs = studio.room.status(studio.now).unwrap().publishers[0].repairs;
    assert!(
        repairs.wrap >= 1 && repairs.jump >= 1 && repairs.backward >= 1,
        "{repairs:?}"
    );
    let ends = [(&video, 90_000), (&audio, 48_000)].map(|(groups, timescale)| {
        let last = groups.last().unwrap().frames.last().unwrap();
        rescale(last.end_dts(), timescale, 1000)
    });
    assert!((ends[0] - ends[1]).abs() < 80, "{ends:?}");
    assert!((17_900..18_200).contains(&ends[0]), "{ends:?}");
}
