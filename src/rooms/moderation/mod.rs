//! Moderation: what may be said, how often, and by whom.
//!
//! [`Rules`] are an edge's: a comment is normalised, then held against the speaker's rate, links,
//! filtered words, repetitions and, where configured, the operator's own review. [`Sanctions`] are
//! a room's, the same on every node: who is muted, who is banned, how slowly all speak.
//!
//! Deliberately knows no socket, no relay and no ledger: every decision becomes an audit record,
//! which travels to the room's origin as a question and is stored there.
//!
//! Invariants:
//! - A comment is decided within [`Config::review`]'s limit, whatever the reviewer does.
//! - A list of words that cannot be read never replaces one that could.
//! - Memory is bounded whatever is said and by however many.
//!
//! Spec: R5.6; docs/INTERACTION.md, "Moderation".

mod buckets;
mod config;
mod journal;
mod links;
mod list;
mod metrics;
mod normalise;
mod recent;
mod repeats;
mod review;
mod rules;
mod sanctions;
mod squeezed;
mod words;

use crate::protocol::interact::question::Refusal;

pub use config::{Config, Fallback, Links, Review};
pub use rules::{Error, Parts, Rules, check};
pub use sanctions::{SANCTIONS_MAX, Sanctions};
pub use words::ListError;

/// What becomes of a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be said.
    Allow {
        /// As it is to be shown.
        text: String,
        /// Many say the same just now; see `Question::Comment`.
        chorus: bool,
    },
    /// It may not.
    Refuse {
        /// What its author is told.
        refusal: Refusal,
        /// The rule that refused it: `rate`, `links`, `words` ...
        rule: &'static str,
    },
}
