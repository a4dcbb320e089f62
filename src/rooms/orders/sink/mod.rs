//! Where orders go: the merchant's system.

mod nats;
mod webhook;

use std::time::Duration;

use serde_json::json;

use super::Config;
use super::life::Outcome;
use crate::ledger::Order;

/// The merchant's system.
#[derive(Debug)]
pub(super) enum Sink {
    /// There is none: orders wait for an answer through the admin API.
    None,
    /// A web service.
    Webhook(Box<webhook::Sink>),
    /// A JetStream stream.
    Nats(Box<nats::Sink>),
}

impl Sink {
    pub(super) fn new(config: &Config) -> Self {
        match (&config.webhook, &config.nats) {
            (Some(webhook), _) => Self::Webhook(Box::new(webhook::Sink::new(webhook))),
            (None, Some(nats)) => Self::Nats(Box::new(nats::Sink::new(nats))),
            (None, None) => Self::None,
        }
    }

    /// The longest that one attempt takes; none without a merchant.
    pub(super) fn timeout(&self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Webhook(sink) => Some(sink.timeout()),
            Self::Nats(sink) => Some(sink.timeout()),
        }
    }

    /// Looks whether somebody is there, without a word of an order. Errors: why not.
    pub(super) async fn reach(&self) -> Result<(), String> {
        match self {
            Self::None => Ok(()),
            Self::Webhook(sink) => sink.reach().await,
            Self::Nats(sink) => sink.reach().await,
        }
    }

    /// Takes `order` to the merchant once, in at most [`Self::timeout`].
    pub(super) async fn attempt(&self, order: &Order) -> Outcome {
        match self {
            Self::None => Outcome::Later {
                why: "there is no merchant".into(),
                after: None,
            },
            Self::Webhook(sink) => sink.attempt(order).await,
            Self::Nats(sink) => sink.attempt(order).await,
        }
    }
}

/// An order as merchants read it. Attempts of one order differ in `attempt` alone.
fn request(order: &Order) -> String {
    json!({
        "key": order.id.key,
        "room": order.id.room,
        "buyer": order.buyer,
        "sku": order.sku,
        "quantity": order.quantity,
        "attributes": order.attributes,
        "at": order.at,
        "attempt": order.attempts,
    })
    .to_string()
}
