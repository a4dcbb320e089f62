//! What children are served from, whichever end has dialled.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::live::{Exchange, Store};
use crate::relay::metrics::ServeMetrics;
use crate::relay::pull::Rooms;
use crate::relay::serve::child::Child;
use crate::relay::{Config, Local};
use crate::runtime::clock::Instant;

/// The parent end of a node, without its socket.
#[derive(Debug)]
pub(in crate::relay) struct Source {
    pub(super) config: Config,
    pub(in crate::relay) node: Arc<str>,
    pub(super) store: Store,
    pub(super) exchange: Exchange,
    /// What of the store came over the relay, and on which way.
    pub(in crate::relay) rooms: Arc<Rooms>,
    /// What children are told of the fleet.
    pub(super) policy: watch::Receiver<Bytes>,
    /// When all links are closed, once the node goes down.
    pub(super) drain: watch::Sender<Option<Instant>>,
    pub(super) metrics: Arc<ServeMetrics>,
    pub(super) children: Mutex<HashMap<usize, Arc<Child>>>,
}

impl Source {
    pub(in crate::relay) fn new(config: &Config, local: &Local, rooms: Arc<Rooms>) -> Arc<Self> {
        Arc::new(Self {
            config: config.clone(),
            node: local.node.clone(),
            store: local.store.clone(),
            exchange: local.exchange.clone(),
            rooms,
            policy: local.policy.clone(),
            drain: watch::Sender::new(None),
            metrics: ServeMetrics::register(&local.metrics),
            children: Mutex::default(),
        })
    }
}
