//! Packaging: frames and their cut marks to parts, segments, playlists and FLV tags.
//!
//! A pure function of what the origin decided, so every node makes the same bytes under the same
//! names (D1). Knows no clock, socket, viewer or token; cuts nothing by itself but to keep its
//! bounds. [`cmaf`] makes media, [`hls`] the playlists that name it, [`flv`] the tags of a stream
//! without either.
//!
//! Invariants: payloads are shared, never copied; a part's bytes depend only on its own frames and
//! its group's head; a segment's bytes are those of its parts, one after the other.
//! Spec: docs/PROTOCOLS.md.
#![deny(clippy::disallowed_types)] // pure room

#[cfg(test)]
mod clip;
pub mod cmaf;
pub mod flv;
pub mod hls;

use crate::container::mp4;
use crate::media::codec;

/// Why a track cannot be packaged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The group's initialization is not one this version knows.
    #[error("initialization {init_id} cannot be decoded: {reason}")]
    Init {
        /// Its number.
        init_id: u32,
        /// Why.
        reason: codec::DecodeError,
    },
    /// The initialization segment cannot be made.
    #[error("initialization {init_id} cannot be packaged: {reason}")]
    Container {
        /// Its number.
        init_id: u32,
        /// Why.
        reason: mp4::Error,
    },
}
