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
mod handshake;
mod requests;
mod track;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use parking_lot::Mutex;

use crate::live::{Exchange, Store};
use crate::relay::error::CLOSE_DONE;
use crate::relay::metrics::ServeMetrics;
use crate::relay::{Config, Error, Local, Status, transport};
use crate::runtime::TaskScope;

use child::Child;

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
