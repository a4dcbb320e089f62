//! The book in its two volumes: orders and rooms in one file, the audit trail in one beside it.
//!
//! Every comment is a line of the trail. In a file of its own it neither delays an order nor takes
//! the memory that orders are looked up with.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::reading::Reading;
use super::store::{Store, Write, Written};
use super::volume::Volume;
use super::writer::{Keeps, Open};
use crate::ledger::metrics::Metrics;
use crate::ledger::order::{Depth, Entry, Filter, Id, LIST_MAX, Order, Put, Revision};
use crate::ledger::{Config, Error};
use crate::media::RoomName;
use crate::protocol::interact::question::Audit;
use crate::runtime::TaskScope;

/// Pages of orders kept in memory, in bytes: the tops of the trees, not the orders of a day.
const ORDERS_CACHE_BYTES: usize = 64 << 20;

/// The same of the trail, which is written at its end and hardly read.
const TRAIL_CACHE_BYTES: usize = 256 << 10;

/// The book in its files.
#[derive(Debug)]
pub(in crate::ledger) struct Book {
    orders: Volume,
    trail: Volume,
}

impl Book {
    /// Opens the files, or keeps trying to.
    pub(in crate::ledger) async fn open(
        config: &Config,
        metrics: &Arc<Metrics>,
        scope: &TaskScope,
    ) -> Self {
        let path: Option<PathBuf> = config.path.clone();
        if path.is_none() {
            tracing::warn!("the ledger is kept in memory: orders do not survive this process");
        }
        let beside = path.as_ref().map(|path| path.with_extension("audit.redb"));
        let orders = move || Store::open(path.as_deref(), ORDERS_CACHE_BYTES);
        let trail = move || Store::open(beside.as_deref(), TRAIL_CACHE_BYTES);
        Self::start((Arc::new(orders), Arc::new(trail)), config, metrics, scope).await
    }

    async fn start(
        (orders, trail): (Open, Open),
        config: &Config,
        metrics: &Arc<Metrics>,
        scope: &TaskScope,
    ) -> Self {
        let keeps = Keeps::Orders(metrics.clone());
        Self {
            orders: Volume::start(keeps, orders, config, scope).await,
            trail: Volume::start(Keeps::Trail, trail, config, scope).await,
        }
    }

    pub(in crate::ledger) fn is_healthy(&self) -> Result<(), String> {
        self.orders.is_healthy()?;
        let trail = self.trail.is_healthy();
        trail.map_err(|reason| format!("the audit trail: {reason}"))
    }

    pub(in crate::ledger) fn depth(&self) -> Depth {
        self.orders.depth()
    }

    pub(in crate::ledger) async fn put(
        &self,
        order: &Order,
        expected: Revision,
    ) -> Result<Put, Error> {
        let write = Write::Order(Box::new(order.clone()), expected);
        match self.orders.write(write).await? {
            Written::Order(put) => Ok(put),
            Written::Done => Err(Error::Down(
                "an order was answered as something else".into(),
            )),
        }
    }

    pub(in crate::ledger) async fn save_room(
        &self,
        room: &RoomName,
        state: Bytes,
    ) -> Result<(), Error> {
        self.orders.write(Write::Room(room.clone(), state)).await?;
        Ok(())
    }

    pub(in crate::ledger) async fn append_audit(
        &self,
        room: &RoomName,
        records: Vec<Audit>,
    ) -> Result<(), Error> {
        self.trail
            .write(Write::Audit(room.clone(), records))
            .await?;
        Ok(())
    }

    pub(in crate::ledger) async fn order(&self, id: &Id) -> Result<Option<Entry>, Error> {
        let id = id.clone();
        self.orders.read(move |reading| reading.order(&id)).await
    }

    pub(in crate::ledger) async fn due(&self, now: i64, max: usize) -> Result<Vec<Entry>, Error> {
        self.orders.read(move |reading| reading.due(now, max)).await
    }

    pub(in crate::ledger) async fn by_buyer(
        &self,
        room: &RoomName,
        buyer: &str,
        max: usize,
    ) -> Result<Vec<Entry>, Error> {
        let (room, buyer) = (room.clone(), buyer.to_owned());
        self.orders
            .read(move |reading| reading.by_buyer(&room, &buyer, max))
            .await
    }

    pub(in crate::ledger) async fn list(&self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        let filter = filter.clone();
        self.orders.read(move |reading| reading.list(&filter)).await
    }

    pub(in crate::ledger) async fn load_rooms(&self) -> Result<Vec<(RoomName, Bytes)>, Error> {
        self.orders.read(Reading::rooms).await
    }

    pub(in crate::ledger) async fn audit(
        &self,
        room: &RoomName,
        before: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, Error> {
        let max = max.min(LIST_MAX);
        let of = room.clone();
        let ask = move |reading: &Reading| reading.audit(&of, before, max);
        let mut records = self.trail.read(ask).await?;
        if records.len() < max {
            // Decisions from when both were one file stay there until they are too old to keep.
            let (of, left) = (room.clone(), max - records.len());
            let ask = move |reading: &Reading| reading.audit(&of, before, left);
            records.extend(self.orders.read(ask).await?);
        }
        Ok(records)
    }
}

#[cfg(test)]
#[path = "book_test.rs"]
mod tests;
