//! The parent end: accepts children, announces what is live, and sends each child the tracks it
//! asks for. Its questions are put to the node's own exchange.
//!
//! Knows nothing of where frames come from: an edge serves what it pulled as an origin serves what
//! it ingested. Invariant: all that a child can make wait is its own connection's tasks; the bytes
//! held for it are bounded by the send window of its connection.

mod announcer;
mod answer;
mod child;
mod fetch;
mod requests;
mod track;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::live::{Exchange, Store};
use crate::relay::error::CLOSE_DONE;
use crate::relay::metrics::ServeMetrics;
use crate::relay::{Config, Error, Local, Status, transport};
use crate::runtime::TaskScope;

use child::Child;

/// Handshakes under way before strangers have to show that they own their address.
const HANDSHAKES_UNPROVEN_MAX: usize = 32;

/// Handshakes under way in all.
const HANDSHAKES_MAX: usize = 256;

/// How long children get to hear that the node goes down.
const FAREWELL: Duration = Duration::from_secs(1);

/// The parent end of a node.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    endpoint: quinn::Endpoint,
    address: SocketAddr,
    config: Config,
    node: Arc<str>,
    store: Store,
    exchange: Exchange,
    metrics: Arc<ServeMetrics>,
    children: Mutex<HashMap<usize, Arc<Child>>>,
    handshakes: AtomicUsize,
}

impl Server {
    /// Opens the socket. Needs the runtime that [`Self::run`] will use.
    ///
    /// Errors: the address is taken, or the certificates are no use. Panics when
    /// [`Config::listen`] is `None`: such a node has no server.
    pub fn bind(config: &Config, local: &Local) -> Result<Self, Error> {
        let address = config.listen.expect("a server has an address");
        let server = transport::server_config(config, local)?;
        let endpoint = transport::endpoint(address, Some(server))?;
        let address = transport::local_addr(&endpoint, address)?;
        Ok(Self(Arc::new(Shared {
            endpoint,
            address,
            config: config.clone(),
            node: local.node.clone(),
            store: local.store.clone(),
            exchange: local.exchange.clone(),
            metrics: ServeMetrics::register(&local.metrics),
            children: Mutex::default(),
            handshakes: AtomicUsize::new(0),
        })))
    }

    /// The address taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// Starts to accept children in `scope`; ends with it.
    pub fn run(&self, scope: &TaskScope) {
        let shared = self.0.clone();
        let children = scope.clone();
        scope.spawn("relay.serve", async move {
            let shutdown = children.shutdown().clone();
            loop {
                tokio::select! {
                    incoming = shared.endpoint.accept() => match incoming {
                        Some(incoming) => shared.admit(incoming, &children),
                        None => break,
                    },
                    () = shutdown.requested() => break,
                }
            }
            shared.endpoint.close(CLOSE_DONE, b"the node goes down");
            let farewell = tokio::time::timeout(FAREWELL, shared.endpoint.wait_idle());
            if farewell.await.is_err() {
                tracing::debug!("some children did not hear the farewell");
            }
        });
    }

    /// The links to all children.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let children = self.0.children.lock();
        children.values().map(|child| child.status()).collect()
    }
}

impl Shared {
    /// Lets a dial in, sends it back for a proof of its address, or refuses it.
    fn admit(self: &Arc<Self>, incoming: quinn::Incoming, scope: &TaskScope) {
        let handshakes = self.handshakes.load(Ordering::Relaxed);
        let children = self.children.lock().len();
        if handshakes >= HANDSHAKES_MAX || children >= self.config.children_max {
            self.metrics.refused.inc();
            incoming.refuse();
        } else if handshakes >= HANDSHAKES_UNPROVEN_MAX && incoming.may_retry() {
            let _answered = incoming.retry().is_ok();
        } else {
            let handshake = Handshake::begin(self.clone());
            let grandchildren = scope.clone();
            scope.spawn("relay.serve.child", async move {
                child::serve(handshake, incoming, &grandchildren).await;
            });
        }
    }
}

/// A handshake under way; counted while it lives.
struct Handshake(Arc<Shared>);

impl Handshake {
    fn begin(shared: Arc<Shared>) -> Self {
        shared.handshakes.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}
