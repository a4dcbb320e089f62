//! Callbacks: signed posts to the operator's own services (INTERFACE, "Callbacks").
//!
//! [`Hooks::ask`] waits a short time for a decision, with a fallback when none comes;
//! [`Hooks::tell`] puts an event into a bounded queue and goes on. Also the [`signature`] of every
//! post that leaves a node, and the [`Breaker`] in front of services that do not answer.
//!
//! Deliberately knows no encoder, no viewer and no order: texts and JSON come in.
//!
//! Invariants:
//! - Nobody waits longer than [`Config::timeout_ms`] for a service of the operator's.
//! - What is told is bounded in memory; what does not fit is dropped and counted.
//! - Each event has one id over all its attempts, so that its receiver can tell them from others.
//!
//! Spec: docs/CALLBACKS.md.

mod breaker;
mod event;
mod line;
mod metrics;
mod post;
mod queue;
pub mod signature;

use serde::{Deserialize, Serialize};

pub use breaker::Breaker;
pub use event::{Event, Kind};
pub use line::{Error, Hooks};

/// The operator's services.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What posts are signed with: at least 16 bytes.
    #[serde(skip_serializing)]
    pub secret: String,
    /// Asked before a publisher is let in.
    pub on_publish: Option<String>,
    /// Told when a publisher has left.
    pub on_unpublish: Option<String>,
    /// Asked when a viewer begins: with the first playlist, or with a live stream.
    pub on_play: Option<String>,
    /// Told of each stored order. The merchant's own service is `orders.webhook`.
    pub on_order: Option<String>,
    /// Told of each comment that was taken.
    pub on_comment: Option<String>,
    /// How long a decision is waited for, in milliseconds. 200: a start is not felt to be slow.
    pub timeout_ms: u32,
    /// What is decided when no decision comes in time.
    pub fallback: Fallback,
    /// Questions that wait for their decision at once; further ones get the fallback.
    pub in_flight_max: usize,
    /// Events that wait to be told; further ones are dropped. 10,000: minutes of a busy room.
    pub queue_max: usize,
    /// How often an event is tried, with pauses that grow to a minute. 8: some four minutes.
    pub attempts_max: u32,
}

/// A decision where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// A service that is down stops no show.
    #[default]
    Allow,
    /// Nobody enters whom the service has not let in.
    Deny,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret: String::new(),
            on_publish: None,
            on_unpublish: None,
            on_play: None,
            on_order: None,
            on_comment: None,
            timeout_ms: 200,
            fallback: Fallback::default(),
            in_flight_max: 256,
            queue_max: 10_000,
            attempts_max: 8,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}
