//! Protocols as state machines: bytes and time in; events, bytes and deadlines out.
#![deny(clippy::disallowed_types)] // pure room

pub mod cmcd;
pub mod cmsd;
pub mod interact;
pub mod rtmp;
pub mod websocket;
