//! What buyers and operators are told of an order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Change, State};
use crate::ledger::Order;
use crate::ledger::order::Id;
use crate::media::{Class, RoomName};
use crate::protocol::interact::Event;
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::OrderAnswer;

/// An order, as the operator sees it. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    /// The room.
    pub room: RoomName,
    /// The key.
    pub key: Arc<str>,
    /// The pseudonymous id of who buys.
    pub buyer: Arc<str>,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// What else the merchant wants to know.
    pub attributes: Map<String, Value>,
    /// From a load test.
    pub load: bool,
    /// What is known of it.
    pub state: State,
    /// The merchant's reason, or why it is left to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The merchant's own name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was taken.
    pub at: i64,
    /// When `state` changed.
    pub changed: i64,
    /// How often the merchant was tried.
    pub attempts: u32,
    /// When he is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            room: order.id.room,
            key: order.id.key,
            buyer: order.buyer,
            sku: order.sku,
            quantity: order.quantity,
            attributes: order.attributes,
            load: order.load,
            state: order.state,
            reason: order.reason,
            reference: order.reference,
            at: order.at,
            changed: order.changed,
            attempts: order.attempts,
            due: order.due,
        }
    }
}

/// The body of the answer that is stored with an order.
pub(super) fn accepted(order: &Order) -> String {
    body(order).to_string()
}

/// The present state, for the buyer.
pub(super) fn state(order: &Order) -> OrderAnswer {
    OrderAnswer {
        status: 200,
        body: body(order).to_string(),
        retry_after_s: None,
    }
}

/// An answer that is not stored.
pub(super) fn refusal(status: u16, key: &str, code: &str, detail: &str) -> OrderAnswer {
    let retry = matches!(status, 409 | 429 | 503);
    OrderAnswer {
        status,
        body: json!({ "key": key, "code": code, "detail": detail }).to_string(),
        retry_after_s: retry.then_some(1),
    }
}

/// Of an order that nobody has, or that somebody else has: which one is not told.
pub(super) fn unknown(id: &Id) -> OrderAnswer {
    refusal(404, &id.key, "no_order", "there is no such order of yours")
}

/// The event that tells the buyer.
pub(super) fn event(order: &Order) -> Event {
    let id = order.id.key.clone();
    let mut event = Event::new(Kind::Order, Class::Order, id, order.changed, body(order));
    event.to = Some(order.buyer.clone());
    event
}

/// The change that the room passes on.
pub(super) fn change(order: &Order) -> Change {
    Change {
        room: order.id.room.clone(),
        buyer: order.buyer.clone(),
        event: event(order),
    }
}

/// Without attributes: what a buyer says of himself goes to the merchant alone.
fn body(order: &Order) -> Value {
    let mut body = json!({
        "key": order.id.key,
        "state": order.state,
        "sku": order.sku,
        "quantity": order.quantity,
        "at": order.at,
        "changed": order.changed,
    });
    // Why an order waits for the operator is between him and the merchant.
    let reason = order.reason.as_ref().filter(|_| order.state.is_final());
    for (name, text) in [("reason", reason), ("reference", order.reference.as_ref())] {
        if let Some(text) = text {
            body[name] = Value::from(text.as_str());
        }
    }
    body
}
