//! The ground: value encodings and byte lists. Knows no container and no protocol.
#![deny(clippy::disallowed_types)] // pure room

pub mod amf0;
mod chunks;

pub use chunks::Chunks;
