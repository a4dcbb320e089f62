//! What members and rooms say to each other: the envelope of INTERFACE "Interact", and the
//! questions that edges put to the origin of a room.
//!
//! - [`event`]: down, from the room to its members.
//! - [`command`]: up, from a member to the room.
//! - [`question`]: between nodes, carried by `live::Exchange`, opaque to the relay.
//!
//! Pure: bytes in, values out. Knows no socket, no rule of a room and no store. Invariant: what a
//! stranger sends is bounded before it is parsed, and cannot panic.
#![deny(clippy::disallowed_types)] // pure

pub mod command;
pub mod event;
pub mod question;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use command::Command;
pub use event::Event;
pub use question::{Answer, Question};

/// The version in every envelope.
pub const VERSION: u32 = 1;

/// What somebody may do in a room. Later ones may all that earlier ones may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watches, likes, comments, orders.
    #[default]
    Viewer,
    /// A viewer who has bought in this room; said by the platform's token.
    Buyer,
    /// Mutes, bans and retracts.
    Moderator,
    /// Shows cards, pins, opens sales.
    Host,
    /// The operator.
    Admin,
}

/// Somebody in a room, as the others see him.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Pseudonymous; 1 to 64 printable characters.
    pub id: Arc<str>,
    /// Shown beside what he says; at most 32 characters.
    pub name: Arc<str>,
    /// What he may do.
    pub role: Role,
}
