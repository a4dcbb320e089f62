//! The one task that writes: it gathers, commits, answers; and opens the file anew when it failed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, sleep_until, timeout};

use super::store::{Store, Write, Written};
use super::volume::Slot;
use crate::ledger::metrics::Metrics;
use crate::ledger::order::Depth;
use crate::ledger::{Config, Error};
use crate::runtime::{Shutdown, clock};

/// The most writes of one commit: enough for the sync to be shared, few enough to be quick.
const BATCH_MAX: usize = 1024;

/// How far apart commits begin at least, in milliseconds. A lone order does not wait; in a rush
/// more of them share a commit, which costs as much for one as for many.
const COMMIT_EVERY_MS: u64 = 3;

/// How often a file that failed is tried again.
const REOPEN_SECONDS: u64 = 1;

/// How often the file is rid of what is too old.
const SWEEP_SECONDS: u64 = 60;

/// How long the last writes of a node that stops are waited for.
const LAST_WRITES_MS: u64 = 250;

/// A write, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Result<Written, Error>>,
}

/// How the file is opened: the store, and whether it was repaired.
pub(super) type Open = Arc<dyn Fn() -> Result<(Store, bool), Error> + Send + Sync>;

/// What the file keeps.
pub(super) enum Keeps {
    /// Orders and rooms, which the ledger's figures are about.
    Orders(Arc<Metrics>),
    /// The audit trail.
    Trail,
}

impl Keeps {
    /// The name of the task that writes it.
    pub(super) const fn task(&self) -> &'static str {
        match self {
            Self::Orders(_) => "ledger.writer",
            Self::Trail => "ledger.trail",
        }
    }

    fn opened(&self, repaired: bool, orders: Depth) {
        match self {
            Self::Orders(metrics) => {
                if repaired {
                    tracing::warn!("the ledger was not closed properly and has been repaired");
                }
                tracing::info!(
                    accepted = orders.accepted,
                    unknown = orders.unknown,
                    "ledger open"
                );
                metrics.opened(repaired, orders);
            }
            Self::Trail if repaired => {
                tracing::warn!("the audit trail was not closed properly and has been repaired");
            }
            Self::Trail => {}
        }
    }

    fn committed(&self, took: Duration, writes: usize, orders: Depth) {
        if let Self::Orders(metrics) = self {
            metrics.committed(took, writes, orders);
        }
    }

    fn failed(&self, error: &Error) {
        match self {
            Self::Orders(metrics) => {
                let what = "the ledger cannot be used: orders are refused until it can";
                tracing::error!(%error, "{what}");
                metrics.failed();
            }
            Self::Trail => tracing::error!(%error, "the audit trail cannot be written"),
        }
    }
}

/// Owns the right to write.
pub(super) struct Writer {
    keeps: Keeps,
    open: Open,
    slot: Slot,
    orders_kept_ms: i64,
    audit_kept_ms: i64,
}

impl Writer {
    pub(super) fn new(keeps: Keeps, open: Open, slot: Slot, config: &Config) -> Self {
        Self {
            keeps,
            open,
            slot,
            orders_kept_ms: i64::from(config.dedupe_hours) * 3_600_000,
            audit_kept_ms: i64::from(config.audit_days) * 86_400_000,
        }
    }

    /// Serves until a stop is asked for and the last writes have come.
    pub(super) async fn run(&mut self, mut jobs: mpsc::Receiver<Job>, shutdown: &Shutdown) {
        let mut reopen = tokio::time::interval(Duration::from_secs(REOPEN_SECONDS));
        reopen.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep = tokio::time::interval(Duration::from_secs(SWEEP_SECONDS));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                got = jobs.recv_many(&mut batch, BATCH_MAX) => match got {
                    0 => return,
                    _ => self.commit(std::mem::take(&mut batch)).await,
                },
                _ = reopen.tick(), if self.is_down() => self.reopen().await,
                _ = sweep.tick() => self.sweep().await,
                () = shutdown.requested() => break,
            }
        }
        let last = Duration::from_millis(LAST_WRITES_MS);
        while let Ok(1..) = timeout(last, jobs.recv_many(&mut batch, BATCH_MAX)).await {
            self.commit(std::mem::take(&mut batch)).await;
        }
    }

    fn is_down(&self) -> bool {
        self.slot.load().is_err()
    }

    /// Closes what is open and tries to open the file.
    pub(super) async fn reopen(&mut self) {
        let open = self.open.clone();
        let opened = tokio::task::spawn_blocking(move || open()).await;
        match opened
            .map_err(|error| Error::Down(error.to_string()))
            .flatten()
        {
            Ok((store, repaired)) => {
                self.keeps.opened(repaired, store.depth());
                self.slot.store(Arc::new(Ok(store)));
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Commits `jobs`, answers them, and waits until the next commit may begin.
    async fn commit(&mut self, jobs: Vec<Job>) {
        let started = clock::now();
        let (writes, replies): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.write, job.reply)).unzip();
        let slot = self.slot.load_full();
        let committing = tokio::task::spawn_blocking(move || match &*slot {
            Ok(store) => store
                .commit(&writes)
                .map(|written| (written, store.depth())),
            Err(reason) => Err(Error::Down(reason.clone())),
        });
        // A panic is redb's, over a damaged page.
        let panicked = |error: tokio::task::JoinError| Error::Down(error.to_string());
        match committing.await.map_err(panicked).flatten() {
            Ok((written, depth)) => {
                self.keeps
                    .committed(started.elapsed(), written.len(), depth);
                for (reply, written) in replies.into_iter().zip(written) {
                    // Who gave up waiting finds it under its key.
                    let _gone = reply.send(Ok(written)).is_err();
                }
            }
            Err(error) => {
                if !self.is_down() {
                    self.fail(&error);
                }
                for reply in replies {
                    let _gone = reply.send(Err(error.clone())).is_err();
                }
            }
        }
        sleep_until(started + Duration::from_millis(COMMIT_EVERY_MS)).await;
    }

    async fn sweep(&mut self) {
        let now = clock::unix_us() / 1000;
        let (reply, _nobody) = oneshot::channel();
        let write = Write::Sweep {
            orders_before: now - self.orders_kept_ms,
            audit_before: now - self.audit_kept_ms,
        };
        self.commit(vec![Job { write, reply }]).await;
    }

    fn fail(&self, error: &Error) {
        self.keeps.failed(error);
        self.slot.store(Arc::new(Err(error.to_string())));
    }
}
