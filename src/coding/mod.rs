//! The ground: value encodings and byte lists. Knows no container and no protocol.
#![deny(clippy::disallowed_types)] // pure room

pub mod amf0;
mod chunks;
mod cursor;
pub mod form;
mod varint;

pub use chunks::Chunks;
pub use cursor::{Cursor, Truncated};
pub use varint::{VARINT_BYTES_MAX, put_prefixed, put_signed, put_varint};
