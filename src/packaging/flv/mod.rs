//! HTTP-FLV: the tags of a live stream, from the same frames as everything else.
//!
//! Pure pieces for a fan-out that builds each tag once for all its viewers: [`tag`] for a frame,
//! [`opening`] for what a new viewer gets first, [`config_tag`] when the initialization changes.
//! Knows no viewer and no socket. H.264 and AAC go as legacy tags, the rest as enhanced ones.
//!
//! Timestamps are the broadcast's own time in milliseconds, modulo 2^32 as FLV has it, the same for
//! all viewers, so tags can be shared; players count from the first one they see.

mod burst;

use std::sync::Arc;

pub use burst::{BURST_SPAN_MS, opening};

use crate::container::flv::write;
use crate::media::codec::Config;
use crate::media::track::Info;
use crate::media::{Frame, ticks_to_ms};

pub use crate::container::flv::write::{Tag, file_header};

/// A track and some of its frames.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What the track is.
    pub info: &'a Info,
    /// The initialization in force for `frames`.
    pub config: &'a Config,
    /// Frames in decode order.
    pub frames: &'a [Arc<Frame>],
}

/// The tag of one frame at its own time. `None` for a gap, which FLV cannot say: timestamps jump.
#[must_use]
pub fn tag(info: &Info, config: &Config, frame: &Frame) -> Option<Tag> {
    let pts = frame.dts.saturating_add(i64::from(frame.composition));
    let at = Times {
        dts_ms: ticks_to_ms(frame.dts, info.timescale),
        pts_ms: ticks_to_ms(pts, info.timescale),
    };
    (!frame.is_gap()).then(|| tag_at(config, frame, at))
}

/// The tag that carries the configuration record: before the first frame, and in-line before the
/// first frame of a group with a new `Head::init_id`. `dts` is that frame's, in ticks of `info`.
#[must_use]
pub fn config_tag(info: &Info, config: &Config, dts: i64) -> Tag {
    let timestamp_ms = wrap(ticks_to_ms(dts, info.timescale));
    config_tag_at(config, timestamp_ms)
}

/// When a tag is decoded and shown, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    dts_ms: i64,
    pts_ms: i64,
}

fn tag_at(config: &Config, frame: &Frame, at: Times) -> Tag {
    let timestamp_ms = wrap(at.dts_ms);
    let payload = frame.payload.clone();
    match config {
        Config::Video(video) => {
            let composition = at.pts_ms.saturating_sub(at.dts_ms);
            let composition_ms = i32::try_from(composition).unwrap_or(0);
            let key = frame.is_key();
            write::video_tag(video.codec, key, composition_ms, timestamp_ms, payload)
        }
        Config::Audio(audio) => write::audio_tag(audio.codec, timestamp_ms, payload),
    }
}

fn config_tag_at(config: &Config, timestamp_ms: u32) -> Tag {
    match config {
        Config::Video(video) => write::video_config_tag(video, timestamp_ms),
        Config::Audio(audio) => write::audio_config_tag(audio, timestamp_ms),
    }
}

/// FLV's timestamps are 32 bits and wrap after 49 days.
fn wrap(milliseconds: i64) -> u32 {
    (milliseconds & i64::from(u32::MAX)) as u32
}
