//! The way of decisions into the audit trail: in order, in batches, never in the way of a room.

use tokio::sync::mpsc;

use crate::ledger::Ledger;
use crate::media::RoomName;
use crate::protocol::interact::question::Audit;
use crate::rooms::authority::metrics::Metrics;
use crate::runtime::{Shutdown, TaskScope, clock};

/// Reports that wait for the ledger; further ones are lost, and counted. At 1,000 a second it may
/// be away for four seconds.
const WAITING_MAX: usize = 4096;

/// Reports written in one go.
const BATCH_MAX: usize = 256;

/// How often a batch is tried before it is given up.
const ATTEMPTS_MAX: u32 = 5;

/// The pause between attempts.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Takes records and returns at once. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Trail {
    into: mpsc::Sender<(RoomName, Vec<Audit>)>,
    metrics: Metrics,
}

impl Trail {
    /// A trail that ends in `ledger`, by a task of `scope`.
    pub(super) fn start(ledger: Ledger, metrics: Metrics, scope: &TaskScope) -> Self {
        let (into, records) = mpsc::channel(WAITING_MAX);
        let writer = Writer {
            ledger,
            metrics: metrics.clone(),
        };
        let shutdown = scope.shutdown().clone();
        scope.spawn("rooms.audit", writer.run(records, shutdown));
        Self { into, metrics }
    }

    /// Appends records of one room, the oldest first.
    pub(super) fn append(&self, room: &RoomName, records: Vec<Audit>) {
        if records.is_empty() {
            return;
        }
        let count = records.len() as u64;
        if self.into.try_send((room.clone(), records)).is_err() {
            self.metrics.audit_lost.inc_by(count);
        }
    }
}

#[derive(Debug)]
struct Writer {
    ledger: Ledger,
    metrics: Metrics,
}

impl Writer {
    /// Writes until `shutdown` is requested, and then what has come by then.
    async fn run(self, mut records: mpsc::Receiver<(RoomName, Vec<Audit>)>, shutdown: Shutdown) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let taken = tokio::select! {
                taken = records.recv_many(&mut batch, BATCH_MAX) => taken,
                () = shutdown.requested(), if !records.is_closed() => {
                    records.close();
                    continue;
                }
            };
            if taken == 0 {
                return;
            }
            for (room, records) in by_room(&mut batch) {
                self.append(&room, records).await;
            }
        }
    }

    async fn append(&self, room: &RoomName, records: Vec<Audit>) {
        for _ in 0..ATTEMPTS_MAX {
            match self.ledger.append_audit(room, records.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%room, %error, "the audit trail waits"),
            }
            tokio::time::sleep_until(clock::now() + RETRY).await;
        }
        self.metrics.audit_lost.inc_by(records.len() as u64);
    }
}

/// One list for each room; the order within a room stays.
fn by_room(batch: &mut Vec<(RoomName, Vec<Audit>)>) -> Vec<(RoomName, Vec<Audit>)> {
    batch.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut lists: Vec<(RoomName, Vec<Audit>)> = Vec::new();
    for (room, mut records) in batch.drain(..) {
        match lists.last_mut() {
            Some((last, list)) if *last == room => list.append(&mut records),
            _ => lists.push((room, records)),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_room_keep_their_order() {
        let record = |at| Audit {
            at,
            node: "n".into(),
            by: "links".into(),
            action: "refuse".into(),
            user: "u".into(),
            text: String::new(),
        };
        let room = |name| RoomName::parse(name).unwrap();
        let mut batch = vec![
            (room("b"), vec![record(1), record(2)]),
            (room("a"), vec![record(3)]),
            (room("b"), vec![record(4)]),
        ];
        let lists = by_room(&mut batch);
        let told: Vec<_> = lists
            .iter()
            .map(|(room, list)| (room.as_str(), list.iter().map(|r| r.at).collect::<Vec<_>>()))
            .collect();
        assert_eq!(told, [("a", vec![3]), ("b", vec![1, 2, 4])]);
    }
}
