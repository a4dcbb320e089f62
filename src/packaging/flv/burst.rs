//! Fast start with catch-up: what a new viewer gets at once.
//!
//! A viewer that joins in the middle of a group of pictures needs all frames since the key frame,
//! but must not play them at their own pace: it would stay that far behind for good. Waiting for
//! the next key frame shows nothing for up to a whole group. So the frames so far go out at once
//! with their times pressed together: they end at the live edge, where the newest frame keeps its
//! true time, and start at most [`BURST_SPAN_MS`] before it. The player shows its first picture as
//! soon as it has decoded one, runs through the rest in that span, and is live from then on;
//! every later tag is the one that all viewers share.
//!
//! The map of time: decode times of the burst are spread evenly by rank over the span; between two
//! of them time is linear, after the last it is true. The map never goes back, and presentation
//! times go through the same map as decode times, so pictures keep their order (B-frames too) and
//! none is shown before it is decoded. The true rhythm of a B-frame stream is kept where
//! presentation times lie on the grid of decode times, as all encoders put them; two others may
//! fall on one millisecond.
//!
//! Sound is not pressed together: it starts with the frames of the span, at their true times, so
//! both tracks begin together and no player has to fill a hole.
//!
//! Limits: a step is at least 1 ms, since FLV counts milliseconds and MSE players (mpegts.js) take
//! sample durations from the differences: a group of 300 frames spans 300 ms. All of them have to
//! be sent and decoded; a phone that decodes 200 pictures a second needs 1.5 s for a group of 10 s,
//! whatever the timestamps say. ffplay drops what comes late, mpegts.js decodes ahead of its clock.

use std::sync::Arc;

use super::{Source, Tag, Times, config_tag_at, tag_at, wrap};
use crate::container::flv::write;
use crate::media::codec::{AudioCodec, Config, VideoCodec};
use crate::media::{Frame, ticks_to_ms};

/// How far before the live edge a burst starts at most, in milliseconds: nine frames at 60 a
/// second, so a short stall of the player's start; less than players buffer anyway.
pub const BURST_SPAN_MS: i64 = 150;

/// What a new viewer gets after the file header: metadata, configurations, and the burst.
///
/// `video` holds the frames from the newest key frame to the live edge, `audio` the newest sound of
/// at least the last [`BURST_SPAN_MS`] (older frames are left out; all of it in an audio-only
/// stream). No frames (`?start=live`): metadata and configurations alone. The frames after the
/// last ones given follow as [`super::tag`]s.
#[must_use]
pub fn opening(video: Option<Source<'_>>, audio: Option<Source<'_>>) -> Vec<Tag> {
    let mut timed = Vec::new();
    let mut start_ms = i64::MIN;
    if let Some(video) = video {
        let squeeze = Squeeze::new(&video);
        start_ms = squeeze.start_ms().unwrap_or(start_ms);
        for frame in video.frames.iter().filter(|frame| !frame.is_gap()) {
            let at = squeeze.times(frame);
            timed.push((at.dts_ms, tag_at(video.config, frame, at)));
        }
    }
    if let Some(audio) = audio {
        for frame in audio.frames.iter().filter(|frame| !frame.is_gap()) {
            let dts_ms = ticks_to_ms(frame.dts, audio.info.timescale);
            if dts_ms >= start_ms {
                let at = Times {
                    dts_ms,
                    pts_ms: dts_ms,
                };
                timed.push((dts_ms, tag_at(audio.config, frame, at)));
            }
        }
    }
    // Stable, so each track keeps its order and a picture stands before the sound of its time.
    timed.sort_by_key(|&(at_ms, _)| at_ms);
    let start_ms = timed.first().map(|&(at_ms, _)| at_ms);
    let first_ms = wrap(start_ms.unwrap_or(0));
    let configs = [video, audio].into_iter().flatten();
    let configs: Vec<&Config> = configs.map(|source| source.config).collect();
    let mut tags = Vec::with_capacity(1 + configs.len() + timed.len());
    tags.push(metadata(&configs, start_ms));
    tags.extend(configs.iter().map(|config| config_tag_at(config, first_ms)));
    tags.extend(timed.into_iter().map(|(_, tag)| tag));
    tags
}

/// The map of a burst's time.
struct Squeeze {
    timescale: u32,
    /// Decode times in ticks, and where they go in milliseconds; both grow.
    points: Vec<(i64, i64)>,
}

impl Squeeze {
    fn new(video: &Source<'_>) -> Self {
        let timescale = video.info.timescale;
        let media = video.frames.iter().filter(|frame| !frame.is_gap());
        let decoded: Vec<i64> = media.map(|frame| frame.dts).collect();
        let true_ms = |dts: &i64| ticks_to_ms(*dts, timescale);
        let edge_ms = decoded.last().map_or(0, true_ms);
        let natural_ms = edge_ms - decoded.first().map_or(0, true_ms);
        let steps = i64::try_from(decoded.len().saturating_sub(1)).unwrap_or(i64::MAX);
        let span_ms = BURST_SPAN_MS.max(steps);
        let points = if natural_ms <= span_ms {
            decoded.iter().map(|dts| (*dts, true_ms(dts))).collect()
        } else {
            let at = |rank: i64| edge_ms - span_ms + rank * span_ms / steps;
            (0..)
                .zip(decoded)
                .map(|(rank, dts)| (dts, at(rank)))
                .collect()
        };
        Self { timescale, points }
    }

    fn start_ms(&self) -> Option<i64> {
        self.points.first().map(|&(_, ms)| ms)
    }

    fn times(&self, frame: &Arc<Frame>) -> Times {
        let pts = frame.dts.saturating_add(i64::from(frame.composition));
        Times {
            dts_ms: self.map(frame.dts),
            pts_ms: self.map(pts),
        }
    }

    fn map(&self, ticks: i64) -> i64 {
        let after = self.points.partition_point(|&(from, _)| from <= ticks);
        let (Some(&(from, from_ms)), Some(&(to, to_ms))) = (
            self.points.get(after.wrapping_sub(1)),
            self.points.get(after),
        ) else {
            // Before the first point nothing is shown; after the last one time is true.
            return match self.points.first() {
                Some(&(first, first_ms)) if ticks < first => first_ms,
                _ => ticks_to_ms(ticks, self.timescale),
            };
        };
        let [ticks, from, to] = [ticks, from, to].map(i128::from);
        let passed_ms = (ticks - from) * i128::from(to_ms - from_ms) / (to - from).max(1);
        from_ms.saturating_add(i64::try_from(passed_ms).unwrap_or(0))
    }
}

/// `onMetaData`. The frame rate matters: ffplay would guess it from the first tags, which are
/// pressed together. `mediastartms` is the time of the first tag: players count from 0, and need it
/// to show an event of the room at its media time.
fn metadata(configs: &[&Config], start_ms: Option<i64>) -> Tag {
    let mut properties = vec![("encoder", "rushlane".into())];
    if let Some(start_ms) = start_ms {
        properties.push(("mediastartms", (start_ms as f64).into()));
    }
    for config in configs {
        match config {
            Config::Video(video) => {
                properties.push(("width", f64::from(video.width).into()));
                properties.push(("height", f64::from(video.height).into()));
                if video.frame_rate_milli > 0 {
                    let rate = f64::from(video.frame_rate_milli) / 1000.0;
                    properties.push(("framerate", rate.into()));
                }
                properties.push(("videocodecid", video_codec_id(video.codec).into()));
            }
            Config::Audio(audio) => {
                properties.push(("audiosamplerate", f64::from(audio.sample_rate).into()));
                properties.push(("stereo", (audio.channels > 1).into()));
                properties.push(("audiocodecid", audio_codec_id(audio.codec).into()));
            }
        }
    }
    write::metadata_tag(&properties)
}

/// `videocodecid`: the legacy number, or the FourCC as a number (Enhanced RTMP, "Metadata Frame").
fn video_codec_id(codec: VideoCodec) -> f64 {
    match codec {
        VideoCodec::H264 => 7.0,
        VideoCodec::H265 => u32::from_be_bytes(*b"hvc1").into(),
        VideoCodec::Av1 => u32::from_be_bytes(*b"av01").into(),
    }
}

fn audio_codec_id(codec: AudioCodec) -> f64 {
    match codec {
        AudioCodec::Aac => 10.0,
        AudioCodec::Opus => u32::from_be_bytes(*b"Opus").into(),
    }
}

#[cfg(test)]
#[path = "burst_test.rs"]
mod tests;
