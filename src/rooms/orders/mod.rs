//! Orders: from the buyer's wish to the merchant's answer.
//!
//! The [`Desk`] stores an order before it acknowledges it, and then sees to it that the merchant
//! hears of it: at least once, always under the same key. Whatever changes goes into the ledger
//! first and comes out as a [`Change`] then. Deliberately knows no socket of a buyer; stock, price
//! and payment are the merchant's.
//!
//! Invariants:
//! - No order that was answered with 202 is lost; none is another one under the same key.
//! - The merchant's first decision stands.
//! - One order that waits for the merchant holds up no other one.
//! - Orders of load tests never reach the merchant.
//!
//! Spec: docs/MERCHANTS.md, INTERFACE "Order answers".

mod admission;
mod contact;
mod desk;
mod life;
mod metrics;
mod outbox;
mod sink;
mod view;
mod wish;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::media::RoomName;
use crate::nats;
use crate::protocol::interact::Event;

pub use crate::ledger::order::{Filter, State};
pub use desk::{AnswerError, Decision, Desk};
pub use view::OrderView;

/// How orders are taken and passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The merchant's web service. Without it and `nats`, orders wait in state `accepted` for an
    /// answer through the admin API.
    pub webhook: Option<Webhook>,
    /// The merchant's stream, in place of `webhook`.
    pub nats: Option<Nats>,
    /// The most orders that are being stored at once; further ones get 503. 4096: two seconds at
    /// 2,000 orders/s.
    pub in_flight_max: usize,
    /// The most orders of one buyer in a second; further ones get 429.
    pub buyer_per_second: u32,
    /// The most orders that are with the merchant at once. 256: one that takes 100 ms gets 2,560
    /// orders/s.
    pub deliveries_max: usize,
    /// How often the merchant is tried before an order is left to the operator. 100: some four
    /// hours.
    pub attempts_max: u32,
    /// The first pause between attempts, in milliseconds; it doubles up to `retry_max_ms`.
    pub retry_ms: u64,
    /// The longest pause between attempts, in milliseconds.
    pub retry_max_ms: u64,
}

/// A web service that takes orders (docs/MERCHANTS.md).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// `https://...` or `http://...`.
    pub url: String,
    /// What requests are signed with.
    #[serde(skip_serializing)]
    pub secret: String,
    /// How long one request may take, in milliseconds.
    #[serde(default = "webhook_timeout_ms")]
    pub timeout_ms: u64,
}

/// A JetStream subject that takes orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// At least one.
    pub servers: nats::Servers,
    /// Where orders are published; a stream of the merchant's must hold it.
    pub subject: String,
}

impl fmt::Debug for Webhook {
    /// Neither the secret nor the address, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeout_ms = &self.timeout_ms;
        f.debug_struct("Webhook")
            .field("timeout_ms", timeout_ms)
            .finish_non_exhaustive()
    }
}

const fn webhook_timeout_ms() -> u64 {
    5000
}

impl Default for Config {
    fn default() -> Self {
        Self {
            webhook: None,
            nats: None,
            in_flight_max: 4096,
            buyer_per_second: 5,
            deliveries_max: 256,
            attempts_max: 100,
            retry_ms: 500,
            retry_max_ms: 300_000,
        }
    }
}

/// An order has a new state, and the ledger knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where.
    pub room: RoomName,
    /// Whose order it is.
    pub buyer: Arc<str>,
    /// The class 0 `order` event, with `to` = the buyer and without a `seq`.
    pub event: Event,
}

#[cfg(test)]
mod tests;
