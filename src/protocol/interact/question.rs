//! Between the edge of a member and the origin of the room, as JSON in `live::Question::body`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Member;
use super::command::{Moderation, Order, Program};
use super::event::Event;

/// What an edge asks or reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "q", rename_all = "snake_case")]
pub enum Question {
    /// A comment that has passed the edge's rules. Class 3. Answer: [`Answer::Taken`].
    Comment {
        /// Who says it.
        from: Member,
        /// What; normalised.
        text: String,
        /// The member's playhead.
        #[serde(default)]
        media_ms: Option<i64>,
        /// Many say the same just now: shown when there is room to spare.
        #[serde(default)]
        chorus: bool,
    },
    /// An order. Class 0; may be asked again any number of times. Answer: [`Answer::Order`].
    Order {
        /// Who buys.
        buyer: Member,
        /// What.
        order: Order,
        /// From a load test, proven by a signed mark: never reaches the merchant.
        load: bool,
    },
    /// The present state of one order. Class 0. Answer: [`Answer::Order`].
    OrderState {
        /// Who asks; only the buyer and the operator are told.
        buyer: Member,
        /// The order.
        key: Arc<str>,
    },
    /// The newest orders of a buyer. Class 0. Answer: [`Answer::Events`].
    Orders {
        /// Whose.
        buyer: Member,
    },
    /// A host's word. Class 1. Answer: [`Answer::Taken`].
    Program {
        /// Who.
        by: Member,
        /// What.
        program: Program,
    },
    /// A moderator's word. Class 0. Answer: [`Answer::Taken`].
    Moderate {
        /// Who.
        by: Member,
        /// What.
        moderation: Moderation,
    },
    /// Likes since the last report. Class 4. Answer: [`Answer::Likes`].
    Likes(Likes),
    /// Who is here. Class 4. Answer: [`Answer::Done`].
    Presence(Presence),
    /// The room's state, for members who come anew. Class 1. Answer: [`Answer::Snapshot`].
    Snapshot,
    /// What the edge's rules decided. Class 3. Answer: [`Answer::Done`].
    Audit {
        /// Oldest first.
        records: Vec<Audit>,
    },
}

/// What the origin answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "a", rename_all = "snake_case")]
pub enum Answer {
    /// Done; nothing to tell.
    Done,
    /// Taken; this is the event as all will see it.
    Taken {
        /// With its id, time and number.
        event: Event,
    },
    /// The answer to an order.
    Order(OrderAnswer),
    /// Events for one member.
    Events {
        /// Oldest first.
        events: Vec<Event>,
    },
    /// What counts now.
    Likes(LikesTaken),
    /// The room's state.
    Snapshot(Box<Snapshot>),
    /// Not done, and why.
    Refused(Refusal),
}

/// The answer to an order, as the buyer gets it over whichever door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAnswer {
    /// 200, 202, 404, 409, 422, 429 or 503 (INTERFACE, "Order answers").
    pub status: u16,
    /// The body: JSON, the very bytes that were stored.
    pub body: String,
    /// When to try again, in seconds, with 429 and 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// As an HTTP status: 400, 403, 404, 409, 413, 422, 429, 503.
    pub status: u16,
    /// A short word for programs: `slow_mode`, `muted`, `banned`, `no_room` ...
    pub code: String,
    /// A sentence for people.
    pub detail: String,
    /// When to try again, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// One edge's likes of one room. Sums are absolute, so a report may be lost, late or repeated.
///
/// An edge counts each batch above the last one that it has counted of the session, and answers at
/// once. Batches that it has counted without a hole, from one connection, are a run (each HTTP post
/// is one of its own). A member has one batch under way at a time, and sends it through another
/// edge when no answer comes: so only the first batch of a run can have been counted elsewhere too.
/// The origin sees it in the runs and takes it off again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Likes {
    /// The edge process: node name and start, so that a restarted edge counts anew beside its old
    /// self.
    pub edge: Arc<str>,
    /// All likes that this process has counted in this room.
    pub total: u64,
    /// Runs that have begun or grown since they were last reported and answered: hash of the
    /// session, first batch, its likes, last batch. The growth of a run that goes on may be told a
    /// few seconds late. To another origin process than before all runs of the last minutes are
    /// told again, those that are over too.
    pub runs: Vec<(u64, u64, u32, u64)>,
}

/// What the origin made of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikesTaken {
    /// The room's total. After a restart of the origin it may be less than it was, until all edges
    /// have reported.
    pub total: u64,
    /// The origin process.
    pub origin: Arc<str>,
}

/// One edge's members of one room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// As in [`Likes::edge`].
    pub edge: Arc<str>,
    /// Connections now.
    pub online: u64,
    /// Different users since the room opened: a mergeable sketch, base64.
    pub sketch: String,
}

/// The state of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The epoch of the room's events; sequences count from 1 in each.
    pub epoch: Arc<str>,
    /// The last number given in class 0 and in class 1; the state holds all up to them.
    pub seq: [u64; 2],
    /// The `body` of a `snapshot` event: `cards`, `pin`, `sale`, `stock`, `pk`, `likes`,
    /// `presence`, `comments` (at most 50, oldest first), `slow_seconds`.
    pub body: Value,
    /// Who may not speak or be here: user, until (milliseconds since 1970), true for a ban. Edges
    /// keep it to themselves.
    pub sanctions: Vec<(Arc<str>, i64, bool)>,
}

/// One decision of moderation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The node that decided.
    pub node: Arc<str>,
    /// The rule or the moderator.
    pub by: Arc<str>,
    /// `allow`, `refuse`, `mute`, `ban`, `retract` ...
    pub action: Arc<str>,
    /// Whom it concerns.
    pub user: Arc<str>,
    /// The comment's text or the reason, shortened to 500 characters.
    pub text: String,
}
