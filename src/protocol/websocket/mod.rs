//! WebSocket, the server's side of RFC 6455 sections 5 to 7: bytes to messages and back.
//!
//! Heads are read and written by `tungstenite`. Its connection type is not used: it holds 128 KiB
//! to read into and a buffer to write from for each socket, and copies each message for each
//! receiver; here a socket that is silent holds nothing, and a message is framed once for all.
//!
//! Deliberately knows no handshake (the HTTP front does it), no socket and no meaning of messages.
//! Extensions are never agreed to, so reserved bits are faults.
//!
//! Invariant: a peer makes a reader hold at most one message of [`MESSAGE_BYTES_MAX`], twice.

mod reader;
mod writer;

pub use reader::{Event, Fault, Reader};
pub use writer::{CONTROL_BYTES_MAX, close, frame, head, ping, pong};

/// The longest message of a peer, in bytes: an order of 16 KB with every byte escaped twice.
pub const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// Why a connection ends, for the peer: section 7.4, and this service's own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// All is said.
    Normal = 1000,
    /// The peer gives no sign of life.
    Away = 1001,
    /// The peer breaks the rules of WebSocket.
    Protocol = 1002,
    /// A text is not UTF-8.
    NotUtf8 = 1007,
    /// A message is too long.
    TooLong = 1009,
    /// The node goes down: come back to another one.
    Restart = 1012,
    /// The node cannot do it just now: come back in a while.
    TryAgain = 1013,
    /// Too many messages in a row made no sense.
    Malformed = 4400,
    /// A moderator has sent the user away.
    Banned = 4403,
    /// The room has closed.
    NoRoom = 4404,
    /// The peer takes too little: come back and resume.
    TooSlow = 4408,
    /// The peer sends too much, and does not stop when told.
    Flooding = 4429,
}
