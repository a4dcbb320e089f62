//! Containers: frames to bytes and back.
#![deny(clippy::disallowed_types)] // pure room

pub mod flv;
pub mod mp4;
