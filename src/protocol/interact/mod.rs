//! What members and rooms say to each other: the envelope of INTERFACE "Interact", and the
//! questions that edges put to the origin of a room.
//!
//! - [`member`]: who speaks, and what he may do.
//! - [`event`]: down, from the room to its members.
//! - [`command`]: up, from a member to the room.
//! - [`question`]: between nodes, carried by `live::Exchange`, opaque to the relay.
//!
//! Pure: bytes in, values out. Knows no socket, no rule of a room and no store. Invariant: what a
//! stranger sends is bounded before it is parsed, and cannot panic.
#![deny(clippy::disallowed_types)] // pure

pub mod command;
pub mod event;
pub mod member;
mod parse;
pub mod question;
pub mod text;

pub use command::Command;
pub use event::Event;
pub use member::{Member, MemberFault, Role};
pub use question::{Answer, Question};

/// The version in every envelope.
pub const VERSION: u32 = 1;
