//! The book in a cluster.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;

use super::index::{Index, ORDERS_MAX};
use super::streams::{Kind, Streams, down};
use crate::ledger::metrics::Metrics;
use crate::ledger::order::{Depth, Entry, Filter, Id, LIST_MAX, Order, Put, Revision};
use crate::ledger::{Config, Error};
use crate::media::RoomName;
use crate::nats;
use crate::protocol::interact::question::Audit;
use crate::runtime::{Shutdown, TaskScope, clock};

/// How long the cluster is waited for when the book is opened; it is tried further then.
const OPEN_SECONDS: u64 = 5;

/// How often a cluster that failed is tried again.
const RETRY_MS: u64 = 500;

/// How often the streams are rid of what is too old.
const SWEEP_SECONDS: u64 = 60;

/// The most orders that one sweep looks at.
const SWEEP_MAX: usize = 5000;

/// Orders that are read at once for one list.
const READS_AT_ONCE: usize = 32;

/// The book in a cluster.
#[derive(Debug)]
pub(in crate::ledger) struct Book(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    streams: Streams,
    index: Mutex<Index>,
    /// Why the streams are not followed just now.
    fault: Mutex<Option<String>>,
    kept_ms: i64,
    metrics: Arc<Metrics>,
}

impl Book {
    /// Connects, and makes the streams where they are missing; keeps trying when it cannot.
    pub(in crate::ledger) async fn open(
        config: &Config,
        metrics: &Arc<Metrics>,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        let context = nats::connect(&config.jetstream.servers).await?;
        let shared = Arc::new(Shared {
            streams: Streams::new(context, config),
            index: Mutex::default(),
            fault: Mutex::new(Some("not open yet".into())),
            kept_ms: i64::from(config.dedupe_hours) * 3_600_000,
            metrics: metrics.clone(),
        });
        let shutdown = scope.shutdown().clone();
        scope.spawn("ledger.follower", shared.clone().run(shutdown));
        let opened = async {
            while shared.is_healthy().is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let longest = Duration::from_secs(OPEN_SECONDS);
        let _tried_further = tokio::time::timeout(longest, opened).await.is_err();
        Ok(Self(shared))
    }

    pub(in crate::ledger) fn is_healthy(&self) -> Result<(), String> {
        self.0.is_healthy()
    }

    pub(in crate::ledger) fn depth(&self) -> Depth {
        self.0.index.lock().depth()
    }

    pub(in crate::ledger) async fn order(&self, id: &Id) -> Result<Option<Entry>, Error> {
        self.0.order(id).await
    }

    pub(in crate::ledger) async fn put(
        &self,
        order: &Order,
        expected: Revision,
    ) -> Result<Put, Error> {
        let shared = &self.0;
        if expected == 0 && shared.index.lock().is_full() {
            return Err(Error::Busy(ORDERS_MAX));
        }
        let started = clock::now();
        let subject = shared.streams.order_subject(&order.id);
        let json = serde_json::to_vec(order).expect("an order has text keys only");
        match shared
            .streams
            .publish(subject, json.into(), Some(expected))
            .await?
        {
            Some(revision) => {
                let mut index = shared.index.lock();
                index.insert(order, revision);
                shared
                    .metrics
                    .committed(started.elapsed(), 1, index.depth());
                Ok(Put::Done(revision))
            }
            None => Ok(Put::Changed(shared.order(&order.id).await?.map(Box::new))),
        }
    }

    pub(in crate::ledger) async fn due(&self, now: i64, max: usize) -> Result<Vec<Entry>, Error> {
        let due = self.0.index.lock().due(now, max);
        let mut entries = self.0.orders(due).await?;
        entries.retain(|entry| entry.order.due.is_some_and(|due| due <= now));
        Ok(entries)
    }

    pub(in crate::ledger) async fn by_buyer(
        &self,
        room: &RoomName,
        buyer: &str,
        max: usize,
    ) -> Result<Vec<Entry>, Error> {
        let orders = self.0.index.lock().by_buyer(room, buyer, max);
        self.0.orders(orders).await
    }

    pub(in crate::ledger) async fn list(&self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        let orders = self.0.index.lock().list(filter);
        self.0.orders(orders).await
    }

    pub(in crate::ledger) async fn load_rooms(&self) -> Result<Vec<(RoomName, Bytes)>, Error> {
        let streams = &self.0.streams;
        let subjects = streams.subjects(Kind::Rooms);
        let (mut rooms, mut from) = (Vec::new(), 1);
        while let Some(message) = streams.next(Kind::Rooms, &subjects, from).await? {
            from = message.sequence + 1;
            let name = message.subject.rsplit('.').next().unwrap_or_default();
            let name = RoomName::parse(name).map_err(corrupt)?;
            rooms.push((name, message.payload));
        }
        Ok(rooms)
    }

    pub(in crate::ledger) async fn save_room(
        &self,
        room: &RoomName,
        state: Bytes,
    ) -> Result<(), Error> {
        let subject = self.0.streams.room_subject(Kind::Rooms, room);
        self.0.streams.publish(subject, state, None).await?;
        Ok(())
    }

    pub(in crate::ledger) async fn append_audit(
        &self,
        room: &RoomName,
        records: Vec<Audit>,
    ) -> Result<(), Error> {
        let subject = self.0.streams.room_subject(Kind::Audit, room);
        let json = serde_json::to_vec(&records).expect("records have text keys only");
        self.0.streams.publish(subject, json.into(), None).await?;
        Ok(())
    }

    /// Reads forwards from further and further back, since streams are read forwards only.
    pub(in crate::ledger) async fn audit(
        &self,
        room: &RoomName,
        before: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, Error> {
        let streams = &self.0.streams;
        let subject = streams.room_subject(Kind::Audit, room);
        let Some(last) = streams.last(Kind::Audit, &subject).await? else {
            return Ok(Vec::new());
        };
        let (max, before) = (max.min(LIST_MAX), before.unwrap_or(i64::MAX));
        let (mut back, mut end, mut found) = (256, last.sequence + 1, Vec::new());
        while end > 1 && found.len() < max {
            let start = end.saturating_sub(back).max(1);
            let mut older = Vec::new();
            let mut from = start;
            while let Some(message) = streams.next(Kind::Audit, &subject, from).await? {
                if message.sequence >= end {
                    break;
                }
                from = message.sequence + 1;
                let records: Vec<Audit> =
                    serde_json::from_slice(&message.payload).map_err(corrupt)?;
                older.extend(records.into_iter().filter(|record| record.at < before));
            }
            found.extend(older.into_iter().rev());
            (end, back) = (start, back * 2);
        }
        found.truncate(max);
        Ok(found)
    }
}

impl Shared {
    fn is_healthy(&self) -> Result<(), String> {
        self.streams
            .is_connected()
            .map_err(|error| error.to_string())?;
        match &*self.fault.lock() {
            None => Ok(()),
            Some(fault) => Err(fault.clone()),
        }
    }

    async fn order(&self, id: &Id) -> Result<Option<Entry>, Error> {
        let subject = self.streams.order_subject(id);
        match self.streams.last(Kind::Orders, &subject).await? {
            Some(message) => Ok(Some(entry(&message)?)),
            None => {
                self.index.lock().remove(id);
                Ok(None)
            }
        }
    }

    /// The orders that the index named, but for those that are gone since.
    async fn orders(&self, ids: Vec<Id>) -> Result<Vec<Entry>, Error> {
        let reads = stream::iter(ids).map(|id| async move { self.order(&id).await });
        let entries = reads.buffered(READS_AT_ONCE);
        let entries = entries.try_filter_map(|entry| async move { Ok(entry) });
        entries.try_collect().await
    }

    /// Keeps the index, and sweeps, until a stop is asked for.
    async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let following = async {
            loop {
                let Err(error) = self.follow().await;
                if self.fault.lock().replace(error.to_string()).is_none() {
                    tracing::error!(%error, "the ledger cannot be used: orders are refused");
                    self.metrics.failed();
                }
                tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            }
        };
        let sweeping = async {
            loop {
                let pause = match self.sweep().await {
                    Ok(()) => Duration::from_secs(SWEEP_SECONDS),
                    Err(error) => {
                        tracing::debug!(%error, "the sweep of orders waits for the cluster");
                        Duration::from_millis(RETRY_MS)
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = following => {}
            () = sweeping => {}
            () = shutdown.requested() => {}
        }
    }

    /// Follows the stream of orders from its beginning; what is known already changes nothing.
    async fn follow(&self) -> Result<std::convert::Infallible, Error> {
        self.streams.is_connected()?;
        self.streams.make().await?;
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::All,
            ..OrderedConfig::default()
        };
        let stream = self.streams.stream(Kind::Orders).await?;
        let consumer = stream.create_consumer(config).await.map_err(down)?;
        let mut messages = consumer.messages().await.map_err(down)?;
        let depth = self.index.lock().depth();
        tracing::info!(
            accepted = depth.accepted,
            unknown = depth.unknown,
            "ledger open"
        );
        self.metrics.opened(false, depth);
        *self.fault.lock() = None;
        while let Some(message) = messages.next().await {
            let message = message.map_err(down)?;
            let revision = message.info().map_err(down)?.stream_sequence;
            match serde_json::from_slice(&message.payload) {
                Ok(order) => self.index.lock().insert(&order, revision),
                Err(error) => tracing::error!(revision, %error, "an order cannot be read"),
            }
        }
        Err(Error::Down("the stream of orders ended".into()))
    }

    /// Removes orders that were decided too long ago. Messages stand in the order of their change,
    /// so the old ones come first.
    async fn sweep(&self) -> Result<(), Error> {
        let before = clock::unix_us() / 1000 - self.kept_ms;
        let subjects = self.streams.subjects(Kind::Orders);
        let stream = self.streams.stream(Kind::Orders).await?;
        let mut from = 1;
        for _ in 0..SWEEP_MAX {
            let message = self.streams.next(Kind::Orders, &subjects, from).await?;
            let Some(message) = message else { break };
            from = message.sequence + 1;
            let Entry { order, revision } = entry(&message)?;
            if order.changed >= before {
                break;
            }
            if order.state.is_final() {
                stream.delete_message(revision).await.map_err(down)?;
                self.index.lock().remove(&order.id);
            }
        }
        Ok(())
    }
}

fn entry(message: &StreamMessage) -> Result<Entry, Error> {
    Ok(Entry {
        order: serde_json::from_slice(&message.payload).map_err(corrupt)?,
        revision: message.sequence,
    })
}

fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}
