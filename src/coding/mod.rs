//! The ground: cursors, bits, varints and byte lists. Knows no format.
#![deny(clippy::disallowed_types)] // pure room

mod chunks;

pub use chunks::Chunks;
