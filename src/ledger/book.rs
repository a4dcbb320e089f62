//! The book, whichever store it is kept in.

use std::sync::Arc;

use bytes::Bytes;

use super::metrics::Metrics;
use super::order::{Depth, Entry, Filter, Id, Order, Put, Revision};
use super::{Backend, Config, Error};
use super::{embedded, jetstream};
use crate::media::RoomName;
use crate::protocol::interact::question::Audit;
use crate::runtime::TaskScope;
use crate::telemetry;

/// The book. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Store>);

#[derive(Debug)]
enum Store {
    Embedded(embedded::Book),
    Jetstream(jetstream::Book),
}

impl Ledger {
    /// Opens the book. A store that cannot be opened now is no error: it is reported and tried
    /// again. Errors: [`Error::Setup`] when the configuration is of no use.
    pub async fn open(
        config: &Config,
        metrics: &telemetry::Metrics,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        let metrics = Metrics::register(metrics);
        Ok(Self(Arc::new(match config.backend {
            Backend::Embedded => {
                Store::Embedded(embedded::Book::open(config, &metrics, scope).await)
            }
            Backend::Jetstream => {
                Store::Jetstream(jetstream::Book::open(config, &metrics, scope).await?)
            }
        })))
    }

    /// Why the book cannot be used just now.
    pub fn is_healthy(&self) -> Result<(), String> {
        match &*self.0 {
            Store::Embedded(book) => book.is_healthy(),
            Store::Jetstream(book) => book.is_healthy(),
        }
    }

    /// How many orders wait.
    #[must_use]
    pub fn depth(&self) -> Depth {
        match &*self.0 {
            Store::Embedded(book) => book.depth(),
            Store::Jetstream(book) => book.depth(),
        }
    }

    /// One order.
    pub async fn order(&self, id: &Id) -> Result<Option<Entry>, Error> {
        match &*self.0 {
            Store::Embedded(book) => book.order(id).await,
            Store::Jetstream(book) => book.order(id).await,
        }
    }

    /// Stores `order` in place of version `expected` (0: there is none), durably.
    pub async fn put(&self, order: &Order, expected: Revision) -> Result<Put, Error> {
        match &*self.0 {
            Store::Embedded(book) => book.put(order, expected).await,
            Store::Jetstream(book) => book.put(order, expected).await,
        }
    }

    /// At most `max` orders that are due at `now` (milliseconds since 1970), the longest due first.
    pub async fn due(&self, now: i64, max: usize) -> Result<Vec<Entry>, Error> {
        match &*self.0 {
            Store::Embedded(book) => book.due(now, max).await,
            Store::Jetstream(book) => book.due(now, max).await,
        }
    }

    /// At most `max` orders of a buyer, the newest first.
    pub async fn by_buyer(
        &self,
        room: &RoomName,
        buyer: &str,
        max: usize,
    ) -> Result<Vec<Entry>, Error> {
        match &*self.0 {
            Store::Embedded(book) => book.by_buyer(room, buyer, max).await,
            Store::Jetstream(book) => book.by_buyer(room, buyer, max).await,
        }
    }

    /// Orders by room and state, the newest change first.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        match &*self.0 {
            Store::Embedded(book) => book.list(filter).await,
            Store::Jetstream(book) => book.list(filter).await,
        }
    }

    /// The states of all rooms, as saved.
    pub async fn load_rooms(&self) -> Result<Vec<(RoomName, Bytes)>, Error> {
        match &*self.0 {
            Store::Embedded(book) => book.load_rooms().await,
            Store::Jetstream(book) => book.load_rooms().await,
        }
    }

    /// Saves a room's state in place of the one before, durably.
    pub async fn save_room(&self, room: &RoomName, state: Bytes) -> Result<(), Error> {
        match &*self.0 {
            Store::Embedded(book) => book.save_room(room, state).await,
            Store::Jetstream(book) => book.save_room(room, state).await,
        }
    }

    /// Appends to a room's audit trail, durably; `records` oldest first.
    pub async fn append_audit(&self, room: &RoomName, records: Vec<Audit>) -> Result<(), Error> {
        match &*self.0 {
            Store::Embedded(book) => book.append_audit(room, records).await,
            Store::Jetstream(book) => book.append_audit(room, records).await,
        }
    }

    /// At most `max` decisions in a room from before `before_ms`, the newest first.
    pub async fn audit(
        &self,
        room: &RoomName,
        before_ms: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, Error> {
        match &*self.0 {
            Store::Embedded(book) => book.audit(room, before_ms, max).await,
            Store::Jetstream(book) => book.audit(room, before_ms, max).await,
        }
    }
}
