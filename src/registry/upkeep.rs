//! What runs beside the registry: leases are renewed, news are heard.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::CreateStreamError;
use async_nats::jetstream::kv::{Entry, Store};
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::media::RoomName;
use crate::nats::is_connected;
use crate::registry::fleet::{Fleet, json, owner, value};
use crate::registry::record::{Key, Node};
use crate::runtime::{Shutdown, clock};

/// How often to look whether the cluster is there.
const LOOK: Duration = Duration::from_millis(500);

/// What is shown as wrong while the cluster is away.
const CONDITION: &str = "registry";
const AWAY: &str = "its NATS cluster is away: what was known last counts on";

/// Writes under way at once when leases are renewed.
const WRITES_MAX: usize = 16;

/// How long a node that stops takes to let go of its leases.
const GOODBYE: Duration = Duration::from_secs(1);

impl Fleet {
    /// Renews leases and looks whether the cluster is there, until a stop; then lets go of all.
    pub(super) async fn keep(self: Arc<Self>, shutdown: Shutdown) {
        let lease = Duration::from_secs(self.config.lease_seconds.into());
        let mut renewed = None;
        loop {
            let due = renewed.is_none_or(|at: clock::Instant| at.elapsed() >= lease / 3);
            let connected = is_connected(&self.context.client()).is_ok();
            let news = self.note_contact(connected);
            if connected && (due || news) && self.make_bucket().await {
                renewed = Some(clock::now());
                self.renew().await;
            }
            if connected {
                self.write_pending().await;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.pending.notified() => {}
                () = shutdown.requested() => break,
            }
        }
        let _in_time = tokio::time::timeout(GOODBYE, self.say_goodbye())
            .await
            .is_ok();
    }

    /// Notes whether the cluster is there; true when that is news.
    fn note_contact(&self, connected: bool) -> bool {
        let mut state = self.state.lock();
        let now = clock::now();
        let news = state.book.set_connected(connected, now);
        let left = state.book.sweep(now);
        let (rooms, nodes) = state.book.counts_of();
        self.metrics.held.set(count(state.held.len()));
        drop(state);
        self.metrics.up.set(connected.into());
        self.metrics.rooms.set(count(rooms));
        self.metrics.nodes.set(count(nodes));
        if left {
            self.nodes.send_modify(|version| *version += 1);
        }
        match connected {
            true => self.metrics.conditions.clear(CONDITION),
            false => self.metrics.conditions.raise(CONDITION, AWAY),
        }
        news
    }

    /// Opens the bucket, and makes it where it is missing.
    async fn make_bucket(&self) -> bool {
        let made = async || {
            self.make_stream()
                .await
                .map_err(|error| error.to_string())?;
            let bucket = self.context.get_key_value(&self.config.bucket).await;
            bucket.map_err(|error| error.to_string())
        };
        match self.bucket.get_or_try_init(made).await {
            Ok(_) => true,
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Makes the stream behind the bucket, which the client does for servers from 2.11 only: the
    /// layout is that of ADR-8 (NATS, "JetStream based Key-Value Stores").
    async fn make_stream(&self) -> Result<(), CreateStreamError> {
        let bucket = &self.config.bucket;
        let config = StreamConfig {
            name: format!("KV_{bucket}"),
            subjects: vec![format!("$KV.{bucket}.>")],
            max_messages_per_subject: 1,
            max_age: Duration::from_secs(self.config.lease_seconds.into()),
            discard: DiscardPolicy::New,
            num_replicas: self.config.replicas,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..StreamConfig::default()
        };
        self.context.get_or_create_stream(config).await.map(drop)
    }

    /// Writes this node and its rooms once more.
    async fn renew(&self) {
        let (me, rooms) = {
            let state = self.state.lock();
            let rooms: Vec<RoomName> = state.held.keys().cloned().collect();
            (state.me.clone(), rooms)
        };
        if let Some(me) = me {
            self.write(&Key::Node(me.name.clone()), json(&me)).await;
        }
        let renew = |room| async { self.renew_room(room).await };
        stream::iter(rooms)
            .for_each_concurrent(WRITES_MAX, renew)
            .await;
    }

    async fn renew_room(&self, room: RoomName) {
        {
            let mut state = self.state.lock();
            let owner = state.book.owner(&room, clock::now());
            let Some(hold) = state.held.get_mut(&room) else {
                return;
            };
            let other = owner.filter(|owner| *owner != self.name && !hold.seizes);
            let told = std::mem::replace(&mut hold.conflicts, other.is_some());
            if let Some(owner) = other {
                self.metrics.conflicts.inc();
                if !told {
                    tracing::warn!(%room, %owner, "two nodes publish this room: it is theirs");
                }
                return;
            }
        }
        if self.write(&Key::Room(room.clone()), self.lease()).await
            && let Some(hold) = self.state.lock().held.get_mut(&room)
        {
            hold.seizes = false;
        }
    }

    /// Writes what cannot wait for the next renewal.
    async fn write_pending(&self) {
        let (released, seized, me) = {
            let mut state = self.state.lock();
            let seized = state.held.iter().filter(|(_, hold)| hold.seizes);
            let seized: Vec<RoomName> = seized.map(|(room, _)| room.clone()).collect();
            let known = state.book.nodes(clock::now());
            let me = state.me.clone().filter(|me| !known.contains(me));
            (std::mem::take(&mut state.released), seized, me)
        };
        for room in released {
            self.erase(&room).await;
        }
        for room in seized {
            self.renew_room(room).await;
        }
        if let Some(me) = me {
            self.write(&Key::Node(me.name.clone()), json(&me)).await;
        }
    }

    /// Lets go of a room, unless another node has taken it.
    async fn erase(&self, room: &RoomName) {
        let owner = self.state.lock().book.owner(room, clock::now());
        let Some(bucket) = self.bucket.get() else {
            return;
        };
        if owner.is_none_or(|owner| owner == self.name) {
            let key = Key::Room(room.clone()).text();
            if let Err(error) = bucket.delete(key).await {
                self.failed(&error);
            }
        }
    }

    async fn say_goodbye(&self) {
        let rooms: Vec<RoomName> = self.state.lock().held.keys().cloned().collect();
        for room in rooms {
            self.erase(&room).await;
        }
        if let Some(bucket) = self.bucket.get()
            && let Err(error) = bucket.delete(Key::Node(self.name.clone()).text()).await
        {
            self.failed(&error);
        }
    }

    async fn write(&self, key: &Key, value: Bytes) -> bool {
        let Some(bucket) = self.bucket.get() else {
            return false;
        };
        match bucket.put(key.text(), value).await {
            Ok(_) => true,
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Hears of all that is written, until a stop.
    pub(super) async fn listen(self: Arc<Self>, shutdown: Shutdown) {
        let listening = async {
            loop {
                if let Some(bucket) = self.bucket.get() {
                    self.listen_to(bucket).await;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = listening => {}
            () = shutdown.requested() => {}
        }
    }

    /// Hears all there is, then what comes; ends when the stream of news breaks.
    async fn listen_to(&self, bucket: &Store) {
        let mut entries = match bucket.watch_with_history(">").await {
            Ok(entries) => entries,
            Err(error) => {
                self.failed(&error);
                return;
            }
        };
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => self.hear(&entry),
                Err(error) => {
                    self.failed(&error);
                    return;
                }
            }
        }
    }

    fn hear(&self, entry: &Entry) {
        let (mut state, now) = (self.state.lock(), clock::now());
        match Key::read(&entry.key) {
            Some(Key::Room(room)) => state.book.hear_room(&room, owner(entry), now),
            Some(Key::Node(name)) => {
                let node = value(entry).filter(|node: &Node| node.name == name);
                let news = state.book.hear_node(&name, node, now);
                drop(state);
                if news {
                    self.nodes.send_modify(|version| *version += 1);
                }
            }
            None => {}
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
