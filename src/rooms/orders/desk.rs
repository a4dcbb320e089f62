//! The desk: where orders come in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use super::{Change, Config, Filter, State};
use crate::ledger::Ledger;
use crate::media::RoomName;
use crate::protocol::interact::question::OrderAnswer;
use crate::protocol::interact::{Event, Member, command};
use crate::runtime::TaskScope;
use crate::telemetry::Metrics;

/// Changes that wait for the room; deliveries pause when they are not taken.
const CHANGES_MAX: usize = 4096;

/// Takes orders and passes them on. Clones share it.
#[derive(Debug, Clone)]
pub struct Desk {
    _changes: mpsc::Sender<Change>,
}

/// An order, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    /// The room.
    pub room: RoomName,
    /// The key.
    pub key: Arc<str>,
    /// The pseudonymous id of who buys.
    pub buyer: Arc<str>,
    /// What is known of it.
    pub state: State,
}

/// A decision that comes by itself: `POST /api/v1/orders/ROOM/KEY/answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// `confirmed` or `rejected`.
    pub state: State,
    /// Why; shown to the buyer.
    #[serde(default)]
    pub reason: Option<String>,
    /// The merchant's own name of the order; shown to the buyer.
    #[serde(default)]
    pub reference: Option<String>,
}

/// Why a decision does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Nothing is known of the order.
    #[error("there is no such order")]
    NoOrder,
    /// `state` is no decision.
    #[error("a decision is `confirmed` or `rejected`, not `{}`", .0.as_str())]
    NoDecision(State),
    /// The order was decided otherwise before.
    #[error("the order is already {}", .0.as_str())]
    Decided(State),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::Error),
}

#[expect(clippy::unused_async, reason = "the ledger behind it waits")]
impl Desk {
    /// Opens the desk, and takes up the orders that the ledger holds.
    #[must_use]
    pub fn start(
        _config: &Config,
        _ledger: Ledger,
        _metrics: &Metrics,
        _scope: &TaskScope,
    ) -> (Self, mpsc::Receiver<Change>) {
        let (changes, receiver) = mpsc::channel(CHANGES_MAX);
        (Self { _changes: changes }, receiver)
    }

    /// Takes an order: stores it, answers, passes it on. Dropping the future gives up the answer
    /// only.
    pub async fn submit(
        &self,
        _room: &RoomName,
        _buyer: &Member,
        order: &command::Order,
        _load: bool,
    ) -> OrderAnswer {
        OrderAnswer {
            status: 503,
            body: json!({ "key": order.key, "state": State::Received }).to_string(),
            retry_after_s: Some(1),
        }
    }

    /// What is known of an order; 404 to all but its buyer.
    pub async fn state(&self, _room: &RoomName, _buyer: &Member, key: &str) -> OrderAnswer {
        OrderAnswer {
            status: 404,
            body: json!({ "key": key }).to_string(),
            retry_after_s: None,
        }
    }

    /// The newest orders of a buyer as class 0 events, oldest first.
    pub async fn recent(&self, _room: &RoomName, _buyer: &str) -> Vec<Event> {
        Vec::new()
    }

    /// Orders for the operator, the newest change first.
    pub async fn list(&self, _filter: &Filter) -> Result<Vec<OrderView>, crate::ledger::Error> {
        Ok(Vec::new())
    }

    /// Sends orders in state `unknown` to the merchant anew; how many.
    pub async fn redrive(&self, _filter: &Filter) -> Result<usize, crate::ledger::Error> {
        Ok(0)
    }

    /// The merchant's decision on an order that he has. The first one stands; the same again is
    /// fine.
    pub async fn answer(
        &self,
        _room: &RoomName,
        _key: &str,
        _decision: Decision,
    ) -> Result<OrderView, AnswerError> {
        Err(AnswerError::NoOrder)
    }
}
