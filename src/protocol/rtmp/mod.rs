//! RTMP and Enhanced RTMP, sans-IO: the server's side of a publisher, and a publisher's side.
//!
//! Knows nothing of sockets, TLS, FLV or rooms that are live: media messages leave as they came,
//! and the driver says whether a publisher may have the room it asks for. Time is what has passed
//! since the connection opened.
//!
//! Invariants:
//! - After every `handle_*` and every answer, `poll_output` is drained to [`Output::Timeout`] or
//!   [`Output::Closed`].
//! - A session holds at most [`HELD_BYTES_MAX`] of unfinished messages, whatever is announced.
//! - Every close has a [`CloseReason`], and whatever the encoder should be shown is sent first.
//!
//! Spec: Adobe RTMP 1.0 (2012; section numbers at each type), Enhanced RTMP v2 (Veovera, 2026-01).

mod chunk;
mod client;
mod close_reason;
mod command;
mod handshake;
mod kind;
mod message;
mod meter;
mod publish;
mod session;
mod stream_key;

use std::time::Duration;

use bytes::Bytes;

pub use chunk::{CHUNK_BYTES_MAX, CHUNK_STREAMS_MAX, Error as ChunkError, HELD_BYTES_MAX};
pub use client::{Client, ClientEvent, ClientOutput};
pub use close_reason::CloseReason;
pub use session::Session;
pub use stream_key::{Secret, StreamKey, StreamKeyError};

/// How long a session waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the whole handshake. 5 s: three packets over the slowest link.
    pub handshake: Duration,
    /// From the handshake to `publish`. 10 s: encoders send it within three round trips.
    pub opening: Duration,
    /// For the next byte. 30 s: a host that stalls for 10 s keeps its room.
    pub idle: Duration,
    /// For the rest of a message. 30 s: a stall may fall into the middle of one.
    pub message: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            opening: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            message: Duration::from_secs(30),
        }
    }
}

/// What a session wants done next.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes.
    Send(Bytes),
    /// Something happened.
    Event(Event),
    /// Nothing more to do before this time, or before bytes arrive.
    Timeout(Duration),
    /// Write what was sent before this, then close. Final.
    Closed(CloseReason),
}

/// What a publisher did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// `connect` was accepted.
    Connected {
        /// `flashVer`: the name the encoder gives itself, at most 64 characters.
        encoder: String,
        /// It announced Enhanced RTMP; tags of either kind may follow whatever it said.
        enhanced: bool,
    },
    /// Answer with [`Session::accept_publish`] or [`Session::refuse_publish`].
    PublishRequested(StreamKey),
    /// One audio or video message; only after [`Event::PublishRequested`].
    Media(Media),
    /// A data message (`@setDataFrame` or `onMetaData` and what follows), still in AMF0.
    Data(Bytes),
    /// The publisher said that it is done. The connection stays open and may publish again.
    Unpublished,
}

/// One audio or video message: the body of an FLV tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Audio or video.
    pub kind: MediaKind,
    /// In milliseconds, wrapping at 32 bits, from an origin of the encoder's choosing.
    pub timestamp_ms: u32,
    /// The FLV tag body, one contiguous buffer.
    pub body: Bytes,
}

/// What a media message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// Message type 8.
    Audio,
    /// Message type 9.
    Video,
}
