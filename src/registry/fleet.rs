//! The registry of a fleet, in a bucket of a NATS cluster.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{CreateErrorKind, Entry, Operation, Store};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell, watch};

use crate::media::RoomName;
use crate::nats::{self, is_connected};
use crate::registry::book::Book;
use crate::registry::metrics::Metrics;
use crate::registry::record::{Held, Key, Node};
use crate::registry::{CLAIM_SECONDS, Config, Error, Taken};
use crate::runtime::{TaskScope, clock};
use crate::telemetry;

/// The fleet as one node sees it.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) name: Arc<str>,
    pub(super) config: Config,
    pub(super) context: Context,
    pub(super) bucket: OnceCell<Store>,
    pub(super) state: Mutex<State>,
    /// Rings when something is to be written at once.
    pub(super) pending: Notify,
    pub(super) nodes: watch::Sender<u64>,
    pub(super) metrics: Metrics,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) book: Book,
    pub(super) me: Option<Node>,
    /// The rooms of this node, and how many leases there are of each.
    pub(super) held: HashMap<RoomName, Hold>,
    pub(super) released: HashSet<RoomName>,
}

#[derive(Debug, Default)]
pub(super) struct Hold {
    leases: usize,
    /// The next write takes the room from whoever has it.
    pub(super) seizes: bool,
    /// It was told that another node has the lease.
    pub(super) conflicts: bool,
}

/// Why a room cannot be had.
pub(super) enum Miss {
    Taken(Arc<str>),
    Unreachable,
}

impl Fleet {
    pub(super) async fn open(
        config: &Config,
        name: &str,
        metrics: &telemetry::Metrics,
        scope: &TaskScope,
    ) -> Result<Arc<Self>, Error> {
        let setup = |error: nats::Error| Error::Setup(error.to_string());
        let context = nats::connect(&config.servers).await.map_err(setup)?;
        let lease = Duration::from_secs(config.lease_seconds.into());
        let memory = Duration::from_secs(config.memory_seconds.into());
        let fleet = Arc::new(Self {
            name: name.into(),
            config: config.clone(),
            context,
            bucket: OnceCell::new(),
            state: Mutex::new(State {
                book: Book::new(lease, memory, clock::now()),
                me: None,
                held: HashMap::new(),
                released: HashSet::new(),
            }),
            pending: Notify::new(),
            nodes: watch::Sender::new(0),
            metrics: Metrics::register(metrics),
        });
        let shutdown = scope.shutdown().clone();
        scope.spawn("registry.leases", fleet.clone().keep(shutdown.clone()));
        scope.spawn("registry.watch", fleet.clone().listen(shutdown));
        Ok(fleet)
    }

    pub(super) fn introduce(&self, node: Node) {
        self.state.lock().me = Some(node);
        self.pending.notify_one();
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        let mut nodes = self.state.lock().book.nodes(clock::now());
        nodes.retain(|node| node.name != self.name);
        nodes
    }

    pub(super) async fn nodes_changed(&self) {
        let mut nodes = self.nodes.subscribe();
        // The sender lives as long as this does.
        let _unreachable = nodes.changed().await.is_err();
    }

    /// Who has a room, as far as it is known.
    #[cfg(test)]
    pub(super) fn owner(&self, room: &RoomName) -> Option<Arc<str>> {
        self.state.lock().book.owner(room, clock::now())
    }

    /// True while the cluster is there and the bucket open.
    #[cfg(test)]
    pub(super) fn is_ready(&self) -> bool {
        self.bucket.initialized() && self.state.lock().book.is_connected()
    }

    // === rooms ===

    /// Takes the lease of a room. Where the cluster cannot be asked, what was known last decides.
    pub(super) async fn claim(&self, room: &RoomName) -> Result<(), Taken> {
        if self.add_lease(room, |held| held) {
            return Ok(());
        }
        let longest = Duration::from_secs(CLAIM_SECONDS);
        let taken = tokio::time::timeout(longest, self.take(room)).await;
        let owner = match taken.unwrap_or(Err(Miss::Unreachable)) {
            Ok(()) => None,
            Err(Miss::Taken(owner)) => Some(owner),
            Err(Miss::Unreachable) => {
                let owner = self.state.lock().book.owner(room, clock::now());
                owner.filter(|owner| *owner != self.name)
            }
        };
        if let Some(owner) = owner {
            self.metrics.refusals.inc();
            return Err(Taken { owner });
        }
        self.add_lease(room, |_| true);
        Ok(())
    }

    pub(super) fn seize(&self, room: &RoomName) {
        self.add_lease(room, |_| true);
        if let Some(hold) = self.state.lock().held.get_mut(room) {
            hold.seizes = true;
        }
        self.pending.notify_one();
    }

    pub(super) fn release(&self, room: &RoomName) {
        let mut state = self.state.lock();
        let Some(hold) = state.held.get_mut(room) else {
            return;
        };
        hold.leases -= 1;
        if hold.leases == 0 {
            state.held.remove(room);
            state.released.insert(room.clone());
            self.pending.notify_one();
        }
    }

    /// Counts a lease when `wanted` says so of whether the room is held already.
    fn add_lease(&self, room: &RoomName, wanted: impl FnOnce(bool) -> bool) -> bool {
        let mut state = self.state.lock();
        let wanted = wanted(state.held.contains_key(room));
        if wanted {
            state.held.entry(room.clone()).or_default().leases += 1;
            state.released.remove(room);
        }
        wanted
    }

    async fn take(&self, room: &RoomName) -> Result<(), Miss> {
        let bucket = self.bucket.get().ok_or(Miss::Unreachable)?;
        is_connected(&self.context.client()).map_err(|_| Miss::Unreachable)?;
        let key = Key::Room(room.clone()).text();
        match bucket.create(&key, self.lease()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(self.failed(&error)),
        }
        let found = bucket.entry(&key).await;
        let found = found.map_err(|error| self.failed(&error))?;
        match found.and_then(|entry| owner(&entry)) {
            Some(owner) if owner != self.name => Err(Miss::Taken(owner)),
            _ => match bucket.put(&key, self.lease()).await {
                Ok(_) => Ok(()),
                Err(error) => Err(self.failed(&error)),
            },
        }
    }

    /// What this node writes under its rooms.
    pub(super) fn lease(&self) -> Bytes {
        json(&Held {
            node: self.name.clone(),
        })
    }

    pub(super) fn failed(&self, error: &dyn Display) -> Miss {
        self.metrics.failures.inc();
        tracing::debug!(%error, "the registry's cluster did not take a write");
        Miss::Unreachable
    }
}

/// Who holds the lease of an entry.
pub(super) fn owner(entry: &Entry) -> Option<Arc<str>> {
    value::<Held>(entry).map(|held| held.node)
}

/// What an entry says; `None`: it was erased, or cannot be read.
pub(super) fn value<T: serde::de::DeserializeOwned>(entry: &Entry) -> Option<T> {
    match entry.operation {
        Operation::Put => serde_json::from_slice(&entry.value).ok(),
        Operation::Delete | Operation::Purge => None,
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Bytes {
    let json = serde_json::to_vec(value).expect("records have text keys only");
    json.into()
}
