//! Orders as the ledger keeps them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::media::RoomName;

/// The version of the stored form.
const VERSION: u32 = 1;

/// What is known of an order (INTERFACE, "Order answers").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has arrived, and is not stored yet.
    Received,
    /// It is stored, and waits for the merchant.
    Accepted,
    /// The merchant has it, and has not decided.
    Forwarded,
    /// The merchant took it.
    Confirmed,
    /// The merchant refused it.
    Rejected,
    /// All attempts to reach the merchant failed; whether he has heard of it is not known. Waits
    /// for the operator.
    Unknown,
}

impl State {
    /// All states that a stored order can have.
    pub const STORED: [Self; 5] = [
        Self::Accepted,
        Self::Forwarded,
        Self::Confirmed,
        Self::Rejected,
        Self::Unknown,
    ];

    /// True when the merchant has decided: nothing changes it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Rejected)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Forwarded => "forwarded",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }
}

/// What names an order: a key is the buyer's choice, and counts in its room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// The room.
    pub room: RoomName,
    /// The idempotency key: 8 to 64 of `a-z A-Z 0-9 _ -`.
    pub key: Arc<str>,
}

/// One order. Stored as JSON; times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The version of this form.
    v: u32,
    /// Its name.
    #[serde(flatten)]
    pub id: Id,
    /// The pseudonymous id of who buys.
    pub buyer: Arc<str>,
    /// What, in the merchant's words.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// What else the merchant wants to know. May say who the buyer is: never logged or broadcast.
    #[serde(default)]
    pub attributes: Map<String, Value>,
    /// From a load test: never reaches the merchant.
    #[serde(default)]
    pub load: bool,
    /// When it was taken.
    pub at: i64,
    /// SHA-256 over buyer and wish, hex: tells a repetition from another order under one key.
    pub digest: String,
    /// The body of the answer to the buyer, the same for each repetition.
    pub answer: String,
    /// What is known of it.
    pub state: State,
    /// The merchant's reason, when he gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The merchant's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When `state` changed.
    pub changed: i64,
    /// How often the merchant was tried since it was accepted or driven again.
    #[serde(default)]
    pub attempts: u32,
    /// When he is tried next; while an attempt is under way, when that one is given up for dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
}

impl Order {
    /// An accepted order that waits for its first attempt at `at`.
    #[must_use]
    pub fn accepted(id: Id, buyer: Arc<str>, at: i64) -> Self {
        Self {
            v: VERSION,
            id,
            buyer,
            sku: String::new(),
            quantity: 1,
            attributes: Map::new(),
            load: false,
            at,
            digest: String::new(),
            answer: String::new(),
            state: State::Accepted,
            reason: None,
            reference: None,
            changed: at,
            attempts: 0,
            due: Some(at),
        }
    }
}

/// Which version of an order is meant; 0 is "there is none". Grows with each change.
pub type Revision = u64;

/// An order as found.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What is stored.
    pub order: Order,
    /// Of which version.
    pub revision: Revision,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// It is durable, as this version.
    Done(Revision),
    /// Somebody else was first; this is what stands there now.
    Changed(Option<Box<Entry>>),
}

/// Which orders are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of one room.
    pub room: Option<RoomName>,
    /// In one state.
    pub state: Option<State>,
    /// At most this many, the newest change first.
    pub max: usize,
}

/// The most orders in one list.
pub const LIST_MAX: usize = 1000;

impl Default for Filter {
    fn default() -> Self {
        Self {
            room: None,
            state: None,
            max: 100,
        }
    }
}

/// How many orders wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Waiting for the merchant to take them.
    pub accepted: u64,
    /// Waiting for his decision.
    pub forwarded: u64,
    /// Waiting for the operator.
    pub unknown: u64,
    /// Since when the oldest of the accepted ones is.
    pub oldest: Option<i64>,
}

impl Depth {
    pub(super) const fn enter(&mut self, state: State) {
        if let Some(count) = self.count(state) {
            *count += 1;
        }
    }

    pub(super) const fn leave(&mut self, state: State) {
        if let Some(count) = self.count(state) {
            *count = count.saturating_sub(1);
        }
    }

    const fn count(&mut self, state: State) -> Option<&mut u64> {
        match state {
            State::Accepted => Some(&mut self.accepted),
            State::Forwarded => Some(&mut self.forwarded),
            State::Unknown => Some(&mut self.unknown),
            State::Received | State::Confirmed | State::Rejected => None,
        }
    }
}
