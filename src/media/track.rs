//! A track: one rendition of one kind of content.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Class;

/// The longest track name, in bytes.
pub const TRACK_NAME_BYTES_MAX: usize = 32;

/// The name of the pictures of a plain push: what a viewer gets who names no rendition.
pub const VIDEO: &str = "video";

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pictures; groups start at key frames.
    Video,
    /// Sound; every frame stands alone.
    Audio,
    /// Events of one class; each frame is one event.
    Data(Class),
}

/// What every node knows of a track. It never changes while the broadcast lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The rendition's name in URLs: `video` and `audio` for a plain push, `720p` for `ROOM@720p`;
    /// the alphabet of room names, at most [`TRACK_NAME_BYTES_MAX`] bytes.
    pub name: Arc<str>,
    /// What it carries.
    pub kind: Kind,
    /// Ticks per second of every time in the track: [`super::VIDEO_TIMESCALE`], or the audio sample
    /// rate.
    pub timescale: u32,
}
