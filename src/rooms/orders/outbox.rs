//! The outbox: takes stored orders to the merchant until he has them.
//!
//! An attempt is claimed in the ledger before it begins, with the time at which it is given up for
//! dead: so two nodes do not try one order at once, and an attempt that dies with its process is
//! made again.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, timeout};

use super::contact::Contact;
use super::life::{self, Outcome};
use super::metrics::Metrics;
use super::sink::Sink;
use super::{Change, Config, Decision, State, view};
use crate::ledger::order::{LIST_MAX, Revision};
use crate::ledger::{Entry, Error, Filter, Ledger, Order, Put};
use crate::runtime::{TaskScope, clock};

/// How often the ledger is asked for orders that are due.
const POLL_MS: u64 = 250;

/// The most orders that are claimed at once.
const CLAIMS_MAX: usize = 256;

/// Time for what an attempt came to to be stored, beyond the attempt's own.
const RECORD_MS: i64 = 5000;

/// How often a change is tried against others of the same order.
const RECORD_TRIES: usize = 8;

/// Decisions from so short before the start are told again: the process may have died between the
/// ledger and the room.
const TOLD_AGAIN_MS: i64 = 60_000;

/// A place at the merchant's.
pub(super) type Place = OwnedSemaphorePermit;

/// The way to the merchant.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) ledger: Ledger,
    pub(super) metrics: Arc<Metrics>,
    config: Config,
    sink: Sink,
    contact: Contact,
    places: Arc<Semaphore>,
    changes: mpsc::Sender<Change>,
}

impl Outbox {
    pub(super) fn new(
        config: &Config,
        ledger: Ledger,
        metrics: Arc<Metrics>,
        contact: Contact,
        changes: mpsc::Sender<Change>,
    ) -> Self {
        Self {
            ledger,
            metrics,
            config: config.clone(),
            sink: Sink::new(config),
            contact,
            places: Arc::new(Semaphore::new(config.deliveries_max)),
            changes,
        }
    }

    /// Takes due orders to the merchant until a stop is asked for.
    pub(super) async fn run(self: Arc<Self>, scope: TaskScope) {
        let mut poll = tokio::time::interval(Duration::from_millis(POLL_MS));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let working = async {
            self.tell_again().await;
            loop {
                poll.tick().await;
                while self.claim_due(&scope).await.unwrap_or_else(|error| {
                    tracing::debug!(%error, "the outbox waits for the ledger");
                    false
                }) {}
            }
        };
        tokio::select! {
            () = working => {}
            () = self.contact.watch(&self.sink) => {}
            () = scope.shutdown().requested() => {}
        }
    }

    /// A new order as it is to be stored: with its first attempt claimed, when there is a place at
    /// the merchant's.
    pub(super) fn first_claim(&self, mut order: Order) -> (Order, Option<Place>) {
        if !order.load && matches!(self.sink, Sink::None) {
            order.due = None;
            return (order, None);
        }
        match self.places.clone().try_acquire_owned() {
            Ok(place) => (life::claimed(&order, self.claim_ends()), Some(place)),
            Err(_) => (order, None),
        }
    }

    /// Makes the attempt that is claimed in `order`, version `revision`. The place is held until
    /// the buyer is told, so a slow room slows deliveries down.
    pub(super) async fn deliver(&self, order: Order, revision: Revision, _place: Place) {
        let started = clock::now();
        self.metrics.with_merchant.inc();
        let outcome = self.attempt(&order).await;
        self.metrics.with_merchant.dec();
        self.metrics.attempted(&outcome, started.elapsed());

        let (id, attempts) = (order.id.clone(), order.attempts);
        let random = random();
        let recorded = self
            .record(Entry { order, revision }, |order| {
                life::attempted(order, &outcome, &self.config, now(), random)
            })
            .await;
        let (room, key) = (&id.room, &id.key);
        match (recorded, &outcome) {
            (Err(error), _) => {
                tracing::warn!(%room, %key, %error, "an attempt is made again: not recorded");
            }
            (Ok(Recorded::Done(next)), Outcome::Later { why, .. } | Outcome::Never { why }) => {
                if next.state == State::Unknown {
                    tracing::warn!(%room, %key, attempts, why, "order left to the operator");
                } else {
                    tracing::debug!(%room, %key, attempts, why, "order waits for the merchant");
                }
            }
            (Ok(Recorded::Nothing(found)), Outcome::Decided(decision)) => {
                self.compare(&found, decision);
            }
            (Ok(_), _) => {}
        }
    }

    /// Stores what `change` makes of the order, and tells the buyer.
    pub(super) async fn record(
        &self,
        mut entry: Entry,
        change: impl Fn(&Order) -> Option<Order>,
    ) -> Result<Recorded, Error> {
        for _ in 0..RECORD_TRIES {
            let Some(next) = change(&entry.order) else {
                return Ok(Recorded::Nothing(entry.order));
            };
            match self.ledger.put(&next, entry.revision).await? {
                Put::Done(_) => {
                    if next.state != entry.order.state {
                        self.metrics.entered(next.state);
                        self.tell(&next).await;
                    }
                    return Ok(Recorded::Done(next));
                }
                Put::Changed(Some(found)) => entry = *found,
                Put::Changed(None) => return Ok(Recorded::Nothing(entry.order)),
            }
        }
        Err(Error::Busy(RECORD_TRIES))
    }

    /// True when `decision` is what `order` was decided to; a contradiction is counted.
    pub(super) fn compare(&self, order: &Order, decision: &Decision) -> bool {
        let same = order.state == decision.state;
        if !same {
            self.metrics.contradictions.inc();
            let (room, key) = (&order.id.room, &order.id.key);
            let (first, second) = (order.state.as_str(), decision.state.as_str());
            tracing::warn!(%room, %key, first, second, "the merchant contradicts himself");
        }
        same
    }

    async fn attempt(&self, order: &Order) -> Outcome {
        if order.load {
            self.metrics.load.inc();
            return Outcome::Decided(Decision {
                state: State::Confirmed,
                reason: Some("load test".into()),
                reference: None,
            });
        }
        let longest = self.sink.timeout().unwrap_or_default();
        let late = |_| Outcome::Later {
            why: "no answer in time".into(),
            after: None,
        };
        let outcome = timeout(longest, self.sink.attempt(order)).await;
        let outcome = outcome.unwrap_or_else(late);
        self.contact.attempted(&outcome);
        outcome
    }

    /// Claims and sends off as many due orders as there are places; true when more may be due.
    async fn claim_due(self: &Arc<Self>, scope: &TaskScope) -> Result<bool, Error> {
        let place = self.places.clone().acquire_owned().await;
        let mut places = vec![place.expect("nobody closes the semaphore")];
        while places.len() < CLAIMS_MAX {
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                break;
            };
            places.push(place);
        }
        let wanted = places.len();
        let due = self.ledger.due(now(), wanted).await?;
        let found = due.len();
        let until = self.claim_ends();
        let claims = due
            .into_iter()
            .zip(places)
            .map(|(entry, place)| async move {
                let order = life::claimed(&entry.order, until);
                match self.ledger.put(&order, entry.revision).await {
                    Ok(Put::Done(revision)) => Some((order, revision, place)),
                    Ok(Put::Changed(_)) | Err(_) => None,
                }
            });
        let claimed: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
        let more = found == wanted && !claimed.is_empty();
        for (order, revision, place) in claimed {
            let outbox = self.clone();
            scope.spawn("orders.delivery", async move {
                outbox.deliver(order, revision, place).await;
            });
        }
        Ok(more)
    }

    /// Tells what was decided just before the start.
    async fn tell_again(&self) {
        let since = now() - TOLD_AGAIN_MS;
        for state in [State::Confirmed, State::Rejected] {
            let filter = Filter {
                room: None,
                state: Some(state),
                max: LIST_MAX,
            };
            let decided = self.ledger.list(&filter).await.unwrap_or_default();
            let recent = decided.iter().filter(|entry| entry.order.changed >= since);
            for entry in recent {
                self.tell(&entry.order).await;
            }
        }
    }

    /// Hands the news to the room. Waits when the room is slow: news of orders is never dropped.
    async fn tell(&self, order: &Order) {
        let _room_is_gone = self.changes.send(view::change(order)).await.is_err();
    }

    fn claim_ends(&self) -> i64 {
        let longest = self.sink.timeout().unwrap_or_default().as_millis();
        now() + i64::try_from(longest).unwrap_or(i64::MAX / 2) + RECORD_MS
    }
}

/// What came of a change.
#[derive(Debug)]
pub(super) enum Recorded {
    /// This is stored now.
    Done(Order),
    /// There was nothing to change about this.
    Nothing(Order),
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    clock::unix_us() / 1000
}

/// 0 to 1.
fn random() -> f64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_i64(clock::unix_us());
    let random = u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX);
    f64::from(random) / f64::from(u32::MAX)
}
