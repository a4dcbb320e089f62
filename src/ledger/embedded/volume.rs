//! One volume of the book: its file, for those who wait without blocking.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::reading::Reading;
use super::store::{Store, Write, Written};
use super::writer::{Job, Keeps, Open, Writer};
use crate::ledger::order::Depth;
use crate::ledger::{Config, Error};
use crate::runtime::TaskScope;

/// Writes that wait for the next commits; further ones are refused.
const WAITING_MAX: usize = 16_384;

/// The store, or why there is none just now.
pub(super) type Slot = Arc<ArcSwap<Result<Store, String>>>;

/// A file and the one task that writes to it.
#[derive(Debug)]
pub(super) struct Volume {
    jobs: mpsc::Sender<Job>,
    slot: Slot,
}

impl Volume {
    /// Opens the file by `open`, or keeps trying to.
    pub(super) async fn start(
        keeps: Keeps,
        open: Open,
        config: &Config,
        scope: &TaskScope,
    ) -> Self {
        let slot = Arc::new(ArcSwap::from_pointee(Err("not open yet".to_owned())));
        let (jobs, receiver) = mpsc::channel(WAITING_MAX);
        let task = keeps.task();
        let mut writer = Writer::new(keeps, open, slot.clone(), config);
        writer.reopen().await;
        let shutdown = scope.shutdown().clone();
        scope.spawn(task, async move {
            writer.run(receiver, &shutdown).await;
        });
        Self { jobs, slot }
    }

    pub(super) fn is_healthy(&self) -> Result<(), String> {
        match &**self.slot.load() {
            Ok(_) => Ok(()),
            Err(reason) => Err(reason.clone()),
        }
    }

    pub(super) fn depth(&self) -> Depth {
        match &**self.slot.load() {
            Ok(store) => store.depth(),
            Err(_) => Depth::default(),
        }
    }

    /// Returns when `write` is durable.
    pub(super) async fn write(&self, write: Write) -> Result<Written, Error> {
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

    /// Asks what the last commit left.
    pub(super) async fn read<T: Send + 'static>(
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
