//! The book in its file, for those who wait without blocking.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::reading::Reading;
use super::store::{Store, Write, Written};
use super::writer::{Job, Writer};
use crate::ledger::metrics::Metrics;
use crate::ledger::order::{Depth, Entry, Filter, Id, Order, Put, Revision};
use crate::ledger::{Config, Error};
use crate::media::RoomName;
use crate::protocol::interact::question::Audit;
use crate::runtime::TaskScope;

/// Writes that wait for the next commits; further ones are refused.
const WAITING_MAX: usize = 16_384;

/// The store, or why there is none just now.
pub(super) type Slot = Arc<ArcSwap<Result<Store, String>>>;

/// The book in its file.
#[derive(Debug)]
pub(in crate::ledger) struct Book {
    jobs: mpsc::Sender<Job>,
    slot: Slot,
}

impl Book {
    /// Opens the file, or keeps trying to.
    pub(in crate::ledger) async fn open(
        config: &Config,
        metrics: &Arc<Metrics>,
        scope: &TaskScope,
    ) -> Self {
        let path: Option<PathBuf> = config.path.clone();
        if path.is_none() {
            tracing::warn!("the ledger is kept in memory: orders do not survive this process");
        }
        Self::start(move || Store::open(path.as_deref()), config, metrics, scope).await
    }

    async fn start(
        open: impl Fn() -> Result<(Store, bool), Error> + Send + Sync + 'static,
        config: &Config,
        metrics: &Arc<Metrics>,
        scope: &TaskScope,
    ) -> Self {
        let slot = Arc::new(ArcSwap::from_pointee(Err("not open yet".to_owned())));
        let (jobs, receiver) = mpsc::channel(WAITING_MAX);
        let mut writer = Writer::new(Arc::new(open), slot.clone(), config, metrics.clone());
        writer.reopen().await;
        let shutdown = scope.shutdown().clone();
        scope.spawn("ledger.writer", async move {
            writer.run(receiver, &shutdown).await;
        });
        Self { jobs, slot }
    }

    pub(in crate::ledger) fn is_healthy(&self) -> Result<(), String> {
        match &**self.slot.load() {
            Ok(_) => Ok(()),
            Err(reason) => Err(reason.clone()),
        }
    }

    pub(in crate::ledger) fn depth(&self) -> Depth {
        match &**self.slot.load() {
            Ok(store) => store.depth(),
            Err(_) => Depth::default(),
        }
    }

    pub(in crate::ledger) async fn put(
        &self,
        order: &Order,
        expected: Revision,
    ) -> Result<Put, Error> {
        match self
            .write(Write::Order(Box::new(order.clone()), expected))
            .await?
        {
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
        self.write(Write::Room(room.clone(), state)).await?;
        Ok(())
    }

    pub(in crate::ledger) async fn append_audit(
        &self,
        room: &RoomName,
        records: Vec<Audit>,
    ) -> Result<(), Error> {
        self.write(Write::Audit(room.clone(), records)).await?;
        Ok(())
    }

    pub(in crate::ledger) async fn order(&self, id: &Id) -> Result<Option<Entry>, Error> {
        let id = id.clone();
        self.read(move |reading| reading.order(&id)).await
    }

    pub(in crate::ledger) async fn due(&self, now: i64, max: usize) -> Result<Vec<Entry>, Error> {
        self.read(move |reading| reading.due(now, max)).await
    }

    pub(in crate::ledger) async fn by_buyer(
        &self,
        room: &RoomName,
        buyer: &str,
        max: usize,
    ) -> Result<Vec<Entry>, Error> {
        let (room, buyer) = (room.clone(), buyer.to_owned());
        self.read(move |reading| reading.by_buyer(&room, &buyer, max))
            .await
    }

    pub(in crate::ledger) async fn list(&self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        let filter = filter.clone();
        self.read(move |reading| reading.list(&filter)).await
    }

    pub(in crate::ledger) async fn load_rooms(&self) -> Result<Vec<(RoomName, Bytes)>, Error> {
        self.read(Reading::rooms).await
    }

    pub(in crate::ledger) async fn audit(
        &self,
        room: &RoomName,
        before: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, Error> {
        let room = room.clone();
        self.read(move |reading| reading.audit(&room, before, max))
            .await
    }

    async fn write(&self, write: Write) -> Result<Written, Error> {
        let (reply, written) = oneshot::channel();
        self.jobs
            .try_send(Job { write, reply })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Error::Busy(WAITING_MAX),
                mpsc::error::TrySendError::Closed(_) => Error::Down("the node is stopping".into()),
            })?;
        let stopped = |_| Error::Down("the node is stopping".into());
        written.await.map_err(stopped)?
    }

    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reading) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = self.slot.load_full();
        let asking = tokio::task::spawn_blocking(move || match &*slot {
            Ok(store) => ask(&store.read()?),
            Err(reason) => Err(Error::Down(reason.clone())),
        });
        // A panic is redb's, over a damaged page.
        let panicked = |error: tokio::task::JoinError| Error::Down(error.to_string());
        asking.await.map_err(panicked)?
    }
}

#[cfg(test)]
#[path = "book_test.rs"]
mod tests;
