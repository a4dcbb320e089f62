//! Where orders go: the merchant's system.

mod webhook;

use std::time::Duration;

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
}

impl Sink {
    pub(super) fn new(config: &Config) -> Self {
        match &config.webhook {
            Some(webhook) => Self::Webhook(Box::new(webhook::Sink::new(webhook))),
            None => Self::None,
        }
    }

    /// The longest that one attempt takes; none without a merchant.
    pub(super) fn timeout(&self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Webhook(sink) => Some(sink.timeout()),
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
        }
    }
}
