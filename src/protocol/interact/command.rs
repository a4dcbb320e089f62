//! Envelopes on their way up: what a member wants.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::protocol::interact::parse::*;

/// One command of a member, checked in form and bounds (not in rights).
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// `ref`: named by the member, carried by the one answer; at most 64 bytes.
    pub reference: Arc<str>,
    /// What is wanted.
    pub action: Action,
}

/// What a member can want.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `comment`.
    Comment(Comment),
    /// `like`.
    Like(Like),
    /// `order`.
    Order(Order),
    /// `card`, `pin`, `stock`, `sale`, `pk`, `notice`: hosts only.
    Program(Program),
    /// `mod`: moderators only.
    Moderation(Moderation),
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// At most 500 characters and 2 KB (R5.6).
    pub text: String,
    /// The member's playhead, in milliseconds of the broadcast's timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_ms: Option<i64>,
}

/// Taps since the last batch. `session` and `n` make it idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Like {
    /// How many.
    pub count: u32,
    /// The member's like session, 1 to 64 bytes, chosen at random.
    pub session: String,
    /// The batch's number in the session, from 1.
    pub n: u64,
}

/// A wish to buy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The idempotency key, made by the client before it sends: 8 to 64 of `a-z A-Z 0-9 _ -`.
    pub key: Arc<str>,
    /// What, in the merchant's words; 1 to 128 bytes.
    pub sku: String,
    /// How many; at least 1.
    pub quantity: u32,
    /// Anything else the merchant wants to know. The whole order is at most 16 KB.
    #[serde(default)]
    pub attributes: Map<String, Value>,
}

/// Something for everybody, at a media time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// `card`, `pin`, `stock`, `sale`, `pk` or `notice`.
    #[serde(rename = "type")]
    pub kind: super::event::Kind,
    /// When to show it; none: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_ms: Option<i64>,
    /// What it says (docs/INTERACTION.md); at most 4 KB.
    pub body: Map<String, Value>,
}

/// What moderators do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Moderation {
    /// The user may not comment for a while.
    Mute {
        /// Whom.
        user: Arc<str>,
        /// For how long, in seconds.
        seconds: u32,
    },
    /// The user may comment again.
    Unmute {
        /// Whom.
        user: Arc<str>,
    },
    /// The user is sent away for a while.
    Ban {
        /// Whom.
        user: Arc<str>,
        /// For how long, in seconds.
        seconds: u32,
    },
    /// The user may come back.
    Unban {
        /// Whom.
        user: Arc<str>,
    },
    /// A comment is taken back everywhere.
    Retract {
        /// The comment's id.
        id: Arc<str>,
    },
    /// One comment of each user in this many seconds; 0 ends it.
    Slow {
        /// 0 to 120 (R5.6).
        seconds: u32,
    },
}
