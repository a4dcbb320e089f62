//! The clip that the bench's host sends: made by ffmpeg's own sources, read from FLV, sent in a
//! loop.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use bytes::Bytes;

/// What makes the clip. 16 s are a whole number of video frames (480), of AAC frames (750) and of
/// closed GOPs of 1 s, so that the loop has no seam. Noise keeps the encoder at its ceiling, so
/// that video plus audio are 2 Mbit/s without filler, which servers may drop.
const FFMPEG: &str = "-f lavfi -i testsrc2=size=1280x720:rate=30 \
    -f lavfi -i sine=frequency=440:sample_rate=48000 -t 16 -vf noise=alls=16:allf=t+u \
    -c:v libx264 -preset veryfast -profile:v high -pix_fmt yuv420p -bf 0 \
    -g 30 -keyint_min 30 -sc_threshold 0 -b:v 1900k -minrate 1900k -maxrate 1900k \
    -bufsize 600k -c:a aac -b:a 96k -ac 2 -f flv -flvflags no_duration_filesize";

/// Length of the loop, in milliseconds.
pub const LOOP_MS: u32 = 16_000;

/// A media message of RTMP, which is an FLV tag body.
#[derive(Debug, Clone)]
pub struct Message {
    /// 8 audio, 9 video, 18 data: the same numbers in RTMP and FLV.
    pub kind: u8,
    /// From the start of the clip.
    pub at_ms: u32,
    /// The body.
    pub body: Bytes,
}

impl Message {
    /// True for a coded picture, false for sequence headers and everything else.
    pub fn is_frame(&self) -> bool {
        self.kind == 9 && self.body.get(1) == Some(&1)
    }

    fn is_config(&self) -> bool {
        self.kind != 18 && self.body.get(1) == Some(&0)
    }
}

/// A clip in memory.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Metadata and sequence headers, sent once.
    pub head: Vec<Message>,
    /// Frames in the order of sending.
    pub frames: Vec<Message>,
}

impl Clip {
    /// Makes the clip at `path`, unless it is there, and reads it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::make(path, FFMPEG)
    }

    /// As [`Self::open`], at an eighth of the rate.
    pub fn open_thin(path: &Path) -> anyhow::Result<Self> {
        let words = FFMPEG.replace("1900k", "240k").replace("600k", "80k");
        Self::make(path, &words)
    }

    fn make(path: &Path, words: &str) -> anyhow::Result<Self> {
        if !path.exists() {
            let made = Command::new("ffmpeg")
                .args(["-hide_banner", "-loglevel", "error", "-y"])
                .args(words.split_whitespace())
                .arg(path)
                .status()
                .context("ffmpeg cannot be started")?;
            if !made.success() {
                bail!("ffmpeg did not make {}", path.display());
            }
        }
        Self::parse(&Bytes::from(std::fs::read(path)?))
    }

    /// Reads FLV (FLV 10.1, annex E): 9 bytes and a back pointer, then tags.
    fn parse(bytes: &Bytes) -> anyhow::Result<Self> {
        let (mut at, mut head, mut frames) = (13, Vec::new(), Vec::new());
        while let Some(tag) = bytes.get(at..at + 11) {
            let length = usize::from(tag[1]) << 16 | usize::from(tag[2]) << 8 | usize::from(tag[3]);
            let at_ms = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
            let kind = tag[0];
            if bytes.len() < at + 11 + length {
                bail!("the clip ends in the middle of a tag");
            }
            let body = bytes.slice(at + 11..at + 11 + length);
            let message = Message { kind, at_ms, body };
            // AVC end of sequence (packet type 2) is not sent: the clip has no end.
            if kind == 18 || message.is_config() {
                head.push(message);
            } else if (kind != 9 || message.is_frame()) && at_ms < LOOP_MS {
                frames.push(message);
            }
            at += 11 + length + 4;
        }
        if frames.is_empty() {
            bail!("the clip has no frames");
        }
        Ok(Self { head, frames })
    }
}
