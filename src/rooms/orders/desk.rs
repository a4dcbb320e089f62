//! The desk: where orders come in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::admission::{Admission, Place, Refused};
use super::contact::Contact;
use super::life;
use super::metrics::Metrics;
use super::outbox::{Outbox, Recorded, now};
use super::view::{self, OrderView};
use super::wish;
use super::{Change, Config, Filter, State};
use crate::ledger::order::Id;
use crate::ledger::{self, Entry, Ledger, Order, Put};
use crate::media::RoomName;
use crate::protocol::interact::question::OrderAnswer;
use crate::protocol::interact::{Event, Member, command};
use crate::runtime::{TaskScope, clock};
use crate::telemetry;

/// Changes that wait for the room; deliveries pause when they are not taken.
const CHANGES_MAX: usize = 4096;

/// The most orders that a buyer is told when he comes.
const RECENT_MAX: usize = 20;

/// Takes orders and passes them on. Clones share it.
#[derive(Debug, Clone)]
pub struct Desk {
    outbox: Arc<Outbox>,
    admission: Arc<Admission>,
    scope: TaskScope,
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
    Ledger(#[from] ledger::Error),
}

impl Desk {
    /// Opens the desk, and takes up the orders that the ledger holds.
    #[must_use]
    pub fn start(
        config: &Config,
        ledger: Ledger,
        metrics: &telemetry::Metrics,
        scope: &TaskScope,
    ) -> (Self, mpsc::Receiver<Change>) {
        let (changes, receiver) = mpsc::channel(CHANGES_MAX);
        let contact = Contact::new(metrics.conditions().clone());
        let metrics = Metrics::register(metrics);
        let desk = Self {
            outbox: Arc::new(Outbox::new(config, ledger, metrics, contact, changes)),
            admission: Admission::new(config.in_flight_max, config.buyer_per_second),
            scope: scope.clone(),
        };
        scope.spawn("orders.outbox", desk.outbox.clone().run(scope.clone()));
        (desk, receiver)
    }

    /// Takes an order: stores it, answers, passes it on. Dropping the future gives up the answer
    /// only.
    pub async fn submit(
        &self,
        room: &RoomName,
        buyer: &Member,
        wish: &command::Order,
        load: bool,
    ) -> OrderAnswer {
        let started = clock::now();
        let answer = match self.enter(room, buyer, wish, load) {
            Ok(answer) => answer.await.unwrap_or_else(|_| stopping(&wish.key)),
            Err(refused) => refused,
        };
        self.outbox
            .metrics
            .answered(answer.status, started.elapsed());
        answer
    }

    /// What is known of an order; 404 to all but its buyer.
    pub async fn state(&self, room: &RoomName, buyer: &Member, key: &str) -> OrderAnswer {
        let id = Id {
            room: room.clone(),
            key: key.into(),
        };
        match self.outbox.ledger.order(&id).await {
            Ok(Some(entry)) if entry.order.buyer == buyer.id => view::state(&entry.order),
            Ok(_) => view::unknown(&id),
            Err(error) => unavailable(key, &error),
        }
    }

    /// The newest orders of a buyer as class 0 events, oldest first.
    pub async fn recent(&self, room: &RoomName, buyer: &str) -> Vec<Event> {
        match self.outbox.ledger.by_buyer(room, buyer, RECENT_MAX).await {
            Ok(entries) => entries
                .iter()
                .rev()
                .map(|entry| view::event(&entry.order))
                .collect(),
            Err(error) => {
                tracing::debug!(%room, %error, "a buyer is not told of his orders");
                Vec::new()
            }
        }
    }

    /// Orders for the operator, the newest change first.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<OrderView>, ledger::Error> {
        let entries = self.outbox.ledger.list(filter).await?;
        Ok(entries
            .into_iter()
            .map(|entry| entry.order.into())
            .collect())
    }

    /// Sends undecided orders to the merchant anew: those of the filter's state, which is `unknown`
    /// unless it says otherwise. How many.
    pub async fn redrive(&self, filter: &Filter) -> Result<usize, ledger::Error> {
        let state = filter.state.unwrap_or(State::Unknown);
        let filter = Filter {
            state: Some(state),
            ..filter.clone()
        };
        let mut driven = 0;
        for entry in self.outbox.ledger.list(&filter).await? {
            let again = |order: &Order| {
                let waits = order.state == state && !state.is_final();
                waits.then(|| life::driven_again(order, now()))
            };
            if let Recorded::Done(_) = self.outbox.record(entry, again).await? {
                driven += 1;
            }
        }
        Ok(driven)
    }

    /// The merchant's decision on an order that he has. The first one stands; the same again is
    /// fine.
    pub async fn answer(
        &self,
        room: &RoomName,
        key: &str,
        decision: Decision,
    ) -> Result<OrderView, AnswerError> {
        if !decision.state.is_final() {
            return Err(AnswerError::NoDecision(decision.state));
        }
        let id = Id {
            room: room.clone(),
            key: key.into(),
        };
        let entry = self.outbox.ledger.order(&id).await?;
        let entry = entry.ok_or(AnswerError::NoOrder)?;
        let decide = |order: &Order| life::decided(order, &decision, now());
        match self.outbox.record(entry, decide).await? {
            Recorded::Done(order) => Ok(order.into()),
            Recorded::Nothing(order) if self.outbox.compare(&order, &decision) => Ok(order.into()),
            Recorded::Nothing(order) => Err(AnswerError::Decided(order.state)),
        }
    }

    /// Checks and admits; the answer comes from a task of the order's own.
    fn enter(
        &self,
        room: &RoomName,
        buyer: &Member,
        wish: &command::Order,
        load: bool,
    ) -> Result<oneshot::Receiver<OrderAnswer>, OrderAnswer> {
        let key = &wish.key;
        if let Some(fault) = wish::fault(wish) {
            return Err(view::refusal(400, key, "bad_order", &fault));
        }
        let id = Id {
            room: room.clone(),
            key: key.clone(),
        };
        let place = self.admission.admit(&id, &buyer.id);
        let place = place.map_err(|refused| refusal(refused, key))?;

        let mut order = Order::accepted(id, buyer.id.clone(), now());
        order.sku.clone_from(&wish.sku);
        order.quantity = wish.quantity;
        order.attributes.clone_from(&wish.attributes);
        order.load = load;
        order.digest = wish::digest_of(&buyer.id, wish);
        order.answer = view::accepted(&order);

        let (reply, answer) = oneshot::channel();
        let outbox = self.outbox.clone();
        self.scope
            .spawn("orders.take", take(outbox, order, place, reply));
        Ok(answer)
    }
}

/// Stores an order, answers it, and makes the first attempt.
async fn take(
    outbox: Arc<Outbox>,
    order: Order,
    place: Place,
    reply: oneshot::Sender<OrderAnswer>,
) {
    let (order, at_merchant) = outbox.first_claim(order);
    let put = outbox.ledger.put(&order, 0).await;
    drop(place);
    let answer = match &put {
        Ok(Put::Done(_)) => OrderAnswer {
            status: 202,
            body: order.answer.clone(),
            retry_after_s: None,
        },
        Ok(Put::Changed(found)) => repeated(&order, found.as_deref()),
        Err(error) => unavailable(&order.id.key, error),
    };
    // Who gave up waiting finds the order under its key.
    let _gone = reply.send(answer).is_err();
    if let Ok(Put::Done(revision)) = put {
        outbox.metrics.entered(order.state);
        if let Some(at_merchant) = at_merchant {
            outbox.deliver(order, revision, at_merchant).await;
        }
    }
}

/// The answer under a key that is taken.
fn repeated(order: &Order, found: Option<&Entry>) -> OrderAnswer {
    let key = &order.id.key;
    match found {
        Some(entry) if entry.order.digest == order.digest => OrderAnswer {
            status: 200,
            body: entry.order.answer.clone(),
            retry_after_s: None,
        },
        Some(_) => view::refusal(422, key, "key_reused", "this key names another order"),
        None => view::refusal(
            503,
            key,
            "ledger",
            "the order was swept just now: send it again",
        ),
    }
}

fn refusal(refused: Refused, key: &str) -> OrderAnswer {
    match refused {
        Refused::SameKey => {
            let detail = "the order is being stored: ask again";
            view::refusal(409, key, "in_flight", detail)
        }
        Refused::Buyer => view::refusal(429, key, "too_many", "these are too many orders of yours"),
        Refused::Full => view::refusal(503, key, "busy", "too many orders are being stored"),
    }
}

fn unavailable(key: &str, error: &ledger::Error) -> OrderAnswer {
    tracing::debug!(key, %error, "an order is put off");
    view::refusal(
        503,
        key,
        "ledger",
        "orders cannot be stored just now: send it again",
    )
}

fn stopping(key: &str) -> OrderAnswer {
    view::refusal(503, key, "stopping", "the node is stopping: send it again")
}
