//! Frames for the tests of this room, cut as the origin cuts them.

use std::sync::Arc;

use bytes::Bytes;

use crate::media::broadcast::{Profile, Timing};
use crate::media::codec::{AudioCodec, AudioConfig, Config, VideoCodec, VideoConfig};
use crate::media::frame::{Flags, Frame, Stamps};
use crate::media::group::{Group, Head, Id};
use crate::media::track::{Info, Kind};

/// 2026-11-11T12:00:00Z.
pub(super) const WALL_US: i64 = 1_794_398_400_000_000;

/// The configuration record that x264 makes at 320x180, High, level 1.3.
pub(super) const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x41,
    0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42,
    0x99, 0x60, 0x01, 0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];

pub(super) fn video_config() -> Config {
    Config::Video(VideoConfig {
        codec: VideoCodec::H264,
        record: Bytes::from_static(AVCC),
        width: 320,
        height: 180,
        frame_rate_milli: 30_000,
        name: "avc1.64000d".into(),
    })
}

pub(super) fn audio_config() -> Config {
    Config::Audio(AudioConfig {
        codec: AudioCodec::Aac,
        record: Bytes::from_static(&[0x11, 0x90]),
        sample_rate: 48_000,
        channels: 2,
        name: "mp4a.40.2".into(),
    })
}

pub(super) fn video_info() -> Info {
    Info {
        name: "video".into(),
        kind: Kind::Video,
        timescale: 90_000,
    }
}

pub(super) fn audio_info() -> Info {
    Info {
        name: "audio".into(),
        kind: Kind::Audio,
        timescale: 48_000,
    }
}

pub(super) fn timing() -> Timing {
    Profile::Low.timing()
}

/// A group of H.264 at 30 pictures a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clip {
    pub(super) frame_ticks: u32,
    pub(super) frames_per_group: u64,
    pub(super) frames_per_part: u64,
    /// Every second picture is a B picture, shown before the one decoded ahead of it.
    pub(super) reordered: bool,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            frame_ticks: 3000,
            frames_per_group: 60,
            frames_per_part: 10,
            reordered: false,
        }
    }
}

impl Clip {
    pub(super) fn head(&self, id: u64) -> Head {
        let dts = (id * self.frames_per_group * u64::from(self.frame_ticks)) as i64;
        Head {
            id: Id(id),
            discontinuities: 0,
            init_id: 0,
            init: video_config().encode(),
            wall_us: WALL_US + dts * 1000 / 90,
            dts,
            independent: true,
        }
    }

    pub(super) fn frame(&self, group: u64, index: u64) -> Arc<Frame> {
        let number = group * self.frames_per_group + index;
        let dts = (number * u64::from(self.frame_ticks)) as i64;
        let mut flags = Flags::default();
        if index == 0 {
            flags = flags.with(Flags::KEY);
        }
        if (index + 1).is_multiple_of(self.frames_per_part) {
            flags = flags.with(Flags::PART_END);
        }
        // Decode order I P B P B ...: a P is shown two frames later, a B at once.
        let delay = match (self.reordered, index % 2) {
            (false, _) => 0,
            (true, 0) if index > 0 => 0,
            (true, 0) => 1,
            (true, _) => 2,
        };
        Arc::new(Frame {
            dts,
            composition: (delay * self.frame_ticks) as i32,
            duration: self.frame_ticks,
            flags,
            stamps: Stamps {
                capture_us: WALL_US + dts * 1000 / 90,
                ingest_us: WALL_US + dts * 1000 / 90 + 5000,
                ..Stamps::default()
            },
            payload: payload(number, if index == 0 { 4000 } else { 500 }),
        })
    }

    pub(super) fn group(&self, id: u64) -> Group {
        Group {
            head: Arc::new(self.head(id)),
            frames: (0..self.frames_per_group)
                .map(|index| self.frame(id, index))
                .collect(),
        }
    }
}

/// A part without media: `ticks` from `dts`.
pub(super) fn gap(dts: i64, ticks: u32) -> Arc<Frame> {
    Arc::new(Frame {
        dts,
        composition: 0,
        duration: ticks,
        flags: Flags::GAP.with(Flags::PART_END),
        stamps: Stamps::default(),
        payload: Bytes::new(),
    })
}

/// One NAL unit of `bytes` bytes that differs from frame to frame.
fn payload(number: u64, bytes: u32) -> Bytes {
    let mut out = bytes.to_be_bytes().to_vec();
    out.extend((0..bytes).map(|index| (number as u8).wrapping_add(index as u8)));
    out.into()
}
