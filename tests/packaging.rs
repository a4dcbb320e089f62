//! What we package must open in ffmpeg, and decode to the pictures that went in.
//!
//! ffmpeg makes a clip; its access units become frames with cut marks; ours goes back to ffmpeg.
//! Skipped where ffmpeg is not installed. Set `RUSHLANE_FFMPEG9` to an ffmpeg 6.1 or later for the
//! codecs of enhanced FLV.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::{Any, Codec, DecodeMaybe, Encode, Moof, Moov, Trex};
use rushlane::media::broadcast::Profile;
use rushlane::media::codec::{AudioCodec, AudioConfig, Config, VideoCodec, VideoConfig};
use rushlane::media::frame::{Flags, Frame, Stamps};
use rushlane::media::group::{Head, Id};
use rushlane::media::track::{Info, Kind};
use rushlane::packaging::flv::{self, Source};
use rushlane::packaging::hls::{Offer, Rendition, Skip, Terms, Timeline, multivariant};

/// 2026-11-11T12:00:00Z.
const WALL_US: i64 = 1_794_398_400_000_000;
const SECONDS: u32 = 5;

/// A group: its head and its frames.
type Cut = (Arc<Head>, Vec<Arc<Frame>>);

/// A clip as the origin would have cut it.
struct Clip {
    info: Info,
    config: Config,
    groups: Vec<Cut>,
    /// What ffmpeg wrote.
    file: Vec<u8>,
}

fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("-version").stdout(Stdio::null());
    command
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a program to its end and returns its output; its complaint is the panic.
fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {complaint}"
    );
    assert!(complaint.is_empty(), "{program} {arguments:?}: {complaint}");
    output.stdout
}

/// Encodes a test source with `options` and takes the one-frame fragments apart.
fn clip(source: &str, options: &[&str]) -> Clip {
    let duration = SECONDS.to_string();
    let mut arguments = vec!["-v", "error", "-f", "lavfi", "-i", source, "-t", &duration];
    arguments.extend(options);
    arguments.extend(["-movflags", "delay_moov+frag_every_frame+default_base_moof"]);
    arguments.extend(["-f", "mp4", "-"]);
    let file = run("ffmpeg", &arguments);
    let (moov, frames) = take_apart(&file);
    let media = &moov.trak[0].mdia;
    let timescale = media.mdhd.timescale;
    let config = config(media.minf.stbl.stsd.codecs[0].clone());
    let groups = cut(&config, timescale, frames);
    let kind = match config {
        Config::Video(_) => Kind::Video,
        Config::Audio(_) => Kind::Audio,
    };
    let info = Info {
        name: if kind == Kind::Video {
            "video"
        } else {
            "audio"
        }
        .into(),
        kind,
        timescale,
    };
    Clip {
        info,
        config,
        groups,
        file,
    }
}

/// The movie header and the frames of a file with one frame a fragment.
fn take_apart(file: &[u8]) -> (Moov, Vec<Frame>) {
    let mut input = std::io::Cursor::new(file);
    let (mut movie, mut next) = (None, None);
    let mut frames: Vec<Frame> = Vec::new();
    while let Some(atom) = Any::decode_maybe(&mut input).unwrap() {
        match atom {
            Any::Moov(moov) => movie = Some(moov),
            Any::Moof(moof) => next = Some(moof),
            Any::Mdat(mdat) => {
                let defaults = &movie
                    .as_ref()
                    .and_then(|movie| movie.mvex.as_ref())
                    .unwrap()
                    .trex;
                frames.push(frame(&next.take().unwrap(), &defaults[0], mdat.data.into()));
            }
            _ => {}
        }
    }
    (movie.unwrap(), frames)
}

fn frame(moof: &Moof, defaults: &Trex, payload: Bytes) -> Frame {
    let traf = &moof.traf[0];
    let sample = traf.trun[0].samples.get(0).unwrap();
    let duration = sample.duration.or(traf.tfhd.default_sample_duration);
    let flags = sample.flags.or(traf.tfhd.default_sample_flags);
    let is_inter = flags.unwrap_or(defaults.default_sample_flags) & 0x1_0000 != 0;
    let dts = traf.tfdt.as_ref().unwrap().base_media_decode_time;
    Frame {
        dts: i64::try_from(dts).unwrap(),
        composition: i32::try_from(sample.cts.unwrap_or(0)).unwrap(),
        duration: duration.unwrap_or(defaults.default_sample_duration),
        flags: if is_inter {
            Flags::default()
        } else {
            Flags::KEY
        },
        stamps: Stamps::default(),
        payload,
    }
}

/// Puts a group at each key frame that is two seconds after the last, and parts into it.
fn cut(config: &Config, timescale: u32, frames: Vec<Frame>) -> Vec<Cut> {
    let part_ticks = i64::from(timescale) * 334 / 1000;
    let mut groups: Vec<Cut> = Vec::new();
    let mut part_start = 0;
    for mut frame in frames {
        let started = groups.last().map(|(head, _)| head.dts);
        let full = started.is_none_or(|dts| frame.dts - dts >= 2 * i64::from(timescale));
        if frame.is_key() && full {
            let wall_us = WALL_US + frame.dts * 1_000_000 / i64::from(timescale);
            let head = Head {
                id: Id(groups.len() as u64),
                discontinuities: 0,
                init_id: 0,
                init: config.encode(),
                wall_us,
                dts: frame.dts,
                independent: true,
            };
            groups.push((Arc::new(head), Vec::new()));
            part_start = frame.dts;
        }
        if frame.end_dts() + i64::from(frame.duration) - part_start > part_ticks {
            frame.flags = frame.flags.with(Flags::PART_END);
            part_start = frame.end_dts();
        }
        groups.last_mut().unwrap().1.push(Arc::new(frame));
    }
    groups
}

/// The configuration in a sample entry that ffmpeg wrote.
fn config(entry: Codec) -> Config {
    fn record(atom: &impl Encode) -> Bytes {
        let mut bytes = Vec::new();
        atom.encode(&mut bytes).unwrap();
        bytes.split_off(8).into()
    }
    let video = |codec, record, name: &str, visual: &mp4_atom::Visual| {
        Config::Video(VideoConfig {
            codec,
            record,
            width: visual.width.into(),
            height: visual.height.into(),
            frame_rate_milli: 30_000,
            name: name.into(),
        })
    };
    let audio = |codec, record, name: &str| {
        Config::Audio(AudioConfig {
            codec,
            record,
            sample_rate: 48_000,
            channels: 2,
            name: name.into(),
        })
    };
    match entry {
        Codec::Avc1(entry) => {
            let avcc = record(&entry.avcc);
            video(VideoCodec::H264, avcc, "avc1.64000d", &entry.visual)
        }
        Codec::Hvc1(entry) => {
            let hvcc = record(&entry.hvcc);
            video(VideoCodec::H265, hvcc, "hvc1.1.6.L60.90", &entry.visual)
        }
        Codec::Av01(entry) => {
            let av1c = record(&entry.av1c);
            video(VideoCodec::Av1, av1c, "av01.0.00M.08", &entry.visual)
        }
        Codec::Mp4a(entry) => {
            let specific = entry.esds.es_desc.dec_config.dec_specific.unwrap();
            audio(AudioCodec::Aac, specific.raw.into(), "mp4a.40.2")
        }
        Codec::Opus(entry) => {
            let mut head = b"OpusHead\x01".to_vec();
            head.push(entry.dops.output_channel_count);
            head.extend(entry.dops.pre_skip.to_le_bytes());
            head.extend(entry.dops.input_sample_rate.to_le_bytes());
            head.extend([0, 0, 0]);
            audio(AudioCodec::Opus, head.into(), "opus")
        }
        other => panic!("{other:?}"),
    }
}

impl Clip {
    fn timeline(&self) -> Timeline {
        let mut timeline = Timeline::new(&self.info, &terms());
        for (head, frames) in &self.groups {
            timeline.open_group(head).unwrap();
            for frame in frames {
                timeline.push(frame);
            }
            timeline.close_group();
        }
        timeline.end();
        timeline
    }

    fn frames(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.groups.iter().flat_map(|(_, frames)| frames)
    }

    /// Presentation times in milliseconds, in decode order.
    fn pts_ms(&self) -> Vec<i64> {
        let scale = i64::from(self.info.timescale);
        let pts = |frame: &Arc<Frame>| frame.dts + i64::from(frame.composition);
        self.frames()
            .map(|frame| (pts(frame) * 1000 + scale / 2) / scale)
            .collect()
    }
}

fn terms() -> Terms {
    Terms::new(Profile::Low.timing(), 30)
}

/// Writes the playlist of a clip and all that it names below `folder`.
fn publish(clip: &Clip, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let timeline = clip.timeline();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("media.m3u8", &timeline.render(Skip::No, &[], &[]));
    write("init-0.mp4", &timeline.init(0).unwrap());
    for msn in 0..clip.groups.len() as u64 {
        let segment = timeline.segment(msn).unwrap();
        write(&format!("{msn}.m4s"), &segment.bytes.to_bytes());
        for part in &segment.parts {
            write(&format!("{msn}.{}.m4s", part.index), &part.bytes.to_bytes());
        }
    }
}

/// The checksum of each decoded frame, in order.
fn decoded(file: &str) -> Vec<String> {
    let listing = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-copyts",
            "-i",
            file,
            "-fps_mode",
            "passthrough",
            "-f",
            "framemd5",
            "-",
        ],
    );
    let listing = String::from_utf8(listing).unwrap();
    let frames = listing.lines().filter(|line| !line.starts_with('#'));
    frames
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

/// `pts` and `dts` of each packet in milliseconds, as `ffmpeg` reads the file.
fn packets(ffmpeg: &str, file: &str) -> Vec<(i64, i64)> {
    let arguments = [
        "-v", "error", "-copyts", "-i", file, "-c", "copy", "-f", "framecrc", "-",
    ];
    let listing = String::from_utf8(run(ffmpeg, &arguments)).unwrap();
    let number = |text: &str| text.trim().parse::<i64>().unwrap();
    let mut per_second = 0;
    let mut seen = Vec::new();
    for line in listing.lines() {
        if let Some(scale) = line.strip_prefix("#tb 0: 1/") {
            per_second = number(scale);
        } else if !line.starts_with('#') {
            let columns: Vec<&str> = line.split(',').collect();
            let time = |text| (number(text) * 1000 + per_second / 2) / per_second;
            seen.push((time(columns[2]), time(columns[1])));
        }
    }
    seen
}

const PICTURE: &str = "testsrc2=size=320x180:rate=30";
const SOUND: &str = "sine=frequency=440:sample_rate=48000";
const H264: &[&str] = &[
    "-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-pix_fmt", "yuv420p",
];
const HEVC: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-g",
    "60",
    "-pix_fmt",
    "yuv420p",
    "-tag:v",
    "hvc1",
    "-x265-params",
    "log-level=none:keyint=60:open-gop=0",
];
const AV1: &[&str] = &[
    "-c:v",
    "libaom-av1",
    "-cpu-used",
    "8",
    "-usage",
    "realtime",
    "-g",
    "60",
    "-pix_fmt",
    "yuv420p",
];
const AAC: &[&str] = &["-c:a", "aac", "-ac", "2"];
const OPUS: &[&str] = &["-c:a", "libopus", "-ac", "2"];

/// The clip in our playlist decodes to what the same frames decode to in ffmpeg's own file.
fn check_segments(source: &str, options: &[&str]) {
    if !is_installed("ffmpeg") {
        return;
    }
    let clip = clip(source, options);
    let folder = tempfile::tempdir().unwrap();
    publish(&clip, folder.path());
    let playlist = folder.path().join("media.m3u8");
    let frames = decoded(playlist.to_str().unwrap());
    if clip.info.kind == Kind::Video {
        let original = folder.path().join("original.mp4");
        std::fs::write(&original, &clip.file).unwrap();
        assert_eq!(decoded(original.to_str().unwrap()), frames);
    }
    // A sound decoder may keep its first frame for itself.
    let spare = usize::from(clip.info.kind == Kind::Audio);
    assert!(frames.len() + spare >= clip.frames().count());

    // Part by part is the same stream as segment by segment.
    let mut parts = std::fs::read(folder.path().join("init-0.mp4")).unwrap();
    for msn in 0..clip.groups.len() {
        for index in 0.. {
            match std::fs::read(folder.path().join(format!("{msn}.{index}.m4s"))) {
                Ok(part) => parts.extend(part),
                Err(_) => break,
            }
        }
    }
    let joined = folder.path().join("parts.mp4");
    std::fs::write(&joined, parts).unwrap();
    assert_eq!(decoded(joined.to_str().unwrap()), frames);
    let seen = packets("ffmpeg", joined.to_str().unwrap());
    let seen: Vec<i64> = seen.iter().map(|&(pts, _)| pts).collect();
    assert_eq!(seen, clip.pts_ms(), "no time is lost or shifted");
}

#[test]
fn h264_with_b_frames_decodes() {
    check_segments(PICTURE, H264);
}

#[test]
fn hevc_decodes() {
    check_segments(PICTURE, HEVC);
}

#[test]
fn av1_decodes() {
    check_segments(PICTURE, AV1);
}

#[test]
fn aac_decodes() {
    check_segments(SOUND, AAC);
}

#[test]
fn opus_decodes() {
    check_segments(SOUND, OPUS);
}

#[test]
fn the_multivariant_playlist_opens_with_both_tracks() {
    if !is_installed("ffprobe") {
        return;
    }
    let clips = [clip(PICTURE, H264), clip(SOUND, AAC)];
    let folder = tempfile::tempdir().unwrap();
    for clip in &clips {
        publish(clip, &folder.path().join("e1").join(&*clip.info.name));
    }
    let timelines = clips.each_ref().map(Clip::timeline);
    let renditions = [0, 1].map(|index| Rendition {
        name: &clips[index].info.name,
        config: &clips[index].config,
        independent: timelines[index].is_independent(),
        measured: timelines[index].bandwidth(),
        declared_bps: None,
    });
    let index = folder.path().join("index.m3u8");
    std::fs::write(
        &index,
        multivariant(&terms(), "e1", &renditions, Offer::default()),
    )
    .unwrap();
    let arguments = [
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name",
        "-of",
        "csv=p=0",
    ];
    let streams = run(
        "ffprobe",
        &[&arguments[..], &[index.to_str().unwrap()]].concat(),
    );
    let streams = String::from_utf8(streams).unwrap();
    assert!(
        streams.contains("h264") && streams.contains("aac"),
        "{streams}"
    );
}

/// A viewer that joins at frame `join` of the newest group: opening, then the rest as it comes.
fn flv_file(clip: &Clip, join: usize) -> (Vec<u8>, i64) {
    let (_, frames) = clip.groups.last().unwrap();
    let (burst, rest) = frames.split_at(join);
    let source = Source {
        info: &clip.info,
        config: &clip.config,
        frames: burst,
    };
    let is_video = clip.info.kind == Kind::Video;
    let mut file = flv::file_header(is_video, !is_video).to_vec();
    let tags = if is_video {
        flv::opening(Some(source), None)
    } else {
        flv::opening(None, Some(source))
    };
    let rest = rest
        .iter()
        .filter_map(|frame| flv::tag(&clip.info, &clip.config, frame));
    for tag in tags.into_iter().chain(rest) {
        for piece in [tag.head, tag.payload, tag.tail] {
            file.extend(piece);
        }
    }
    let edge = frames[join - 1].dts * 1000 / i64::from(clip.info.timescale);
    (file, edge)
}

/// ffmpeg reads the burst, keeps its order and decodes all of it.
fn check_flv(ffmpeg: &str, source: &str, options: &[&str]) {
    let clip = clip(source, options);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.flv");
    let frames = clip.groups.last().unwrap().1.len();
    for join in [1, 2, frames / 2, frames] {
        let (file, edge) = flv_file(&clip, join);
        std::fs::write(&path, file).unwrap();
        let seen = packets(ffmpeg, path.to_str().unwrap());
        assert_eq!(seen.len(), frames, "joined at {join}");
        assert!(
            seen.windows(2).all(|pair| pair[0].1 < pair[1].1),
            "decode times grow"
        );
        assert!(seen.iter().all(|&(pts, dts)| pts >= dts));
        if clip.info.kind == Kind::Video {
            let behind = edge - seen[0].1;
            assert!(
                behind <= flv::BURST_SPAN_MS + 1,
                "starts {behind} ms behind"
            );
        }
    }
}

#[test]
fn flv_bursts_open_in_ffmpeg() {
    if !is_installed("ffmpeg") {
        return;
    }
    check_flv("ffmpeg", PICTURE, H264);
    check_flv("ffmpeg", SOUND, AAC);
}

#[test]
fn enhanced_flv_opens_in_a_recent_ffmpeg() {
    let Ok(recent) = std::env::var("RUSHLANE_FFMPEG9") else {
        return;
    };
    if is_installed("ffmpeg") && is_installed(&recent) {
        check_flv(&recent, PICTURE, HEVC);
        check_flv(&recent, PICTURE, AV1);
        check_flv(&recent, SOUND, OPUS);
    }
}
