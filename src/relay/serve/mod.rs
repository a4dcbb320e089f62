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
mod session;
mod source;
mod track;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;

use crate::net::heritage::Handover;
use crate::net::tls::Identity;
use crate::relay::error::CLOSE_DONE;
use crate::relay::pull::Puller;
use crate::relay::{Config, Error, Local, Status, transport};
use crate::runtime::TaskScope;
use crate::runtime::clock::Instant;

use handshake::Handshakes;

pub(super) use child::{Greeted, View, serve_link};
pub(super) use source::Source;

/// How long children get to hear that the node goes down.
const FAREWELL: Duration = Duration::from_secs(1);

/// The parent end of a node.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    endpoint: quinn::Endpoint,
    /// Until [`Server::run`].
    handover: Mutex<Option<Handover>>,
    address: SocketAddr,
    config: Config,
    source: Arc<Source>,
    /// Takes what children push.
    puller: Puller,
    handshakes: Handshakes,
}

impl Server {
    /// Opens the socket. Needs the runtime that [`Self::run`] will use. What children push goes to
    /// the node's own `puller`.
    ///
    /// Errors: the address is taken, or the certificates are no use. Panics when
    /// [`Config::listen`] is `None`: such a node has no server.
    pub fn bind(config: &Config, local: &Local, puller: &Puller) -> Result<Self, Error> {
        let address = config.listen.expect("a server has an address");
        let server = transport::server_config(config, &local.identity, &local.authorities)?;
        let (endpoint, handover) = transport::listener(address, server)?;
        let address = transport::local_addr(&endpoint, address)?;
        Ok(Self(Arc::new(Shared {
            endpoint,
            handover: Mutex::new(Some(handover)),
            address,
            config: config.clone(),
            source: puller.source(),
            puller: puller.clone(),
            handshakes: Handshakes::default(),
        })))
    }

    /// The address taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// Starts to accept children in `scope`; ends with it.
    pub fn run(&self, scope: &TaskScope) {
        if let Some(handover) = self.0.handover.lock().take() {
            scope.spawn("relay.handover", handover.run(scope.shutdown().clone()));
        }
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

    /// Shows another certificate, and trusts other authorities, from the next handshake on. Links
    /// that stand stay.
    ///
    /// Errors: the certificates are no use; then nothing has changed.
    pub fn reload(
        &self,
        identity: &Identity,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), Error> {
        let server = transport::server_config(&self.0.config, identity, authorities)?;
        self.0.endpoint.set_server_config(Some(server));
        Ok(())
    }

    /// Tells all children to take another parent; no further ones are let in. Links stay up until
    /// the scope of [`Self::run`] ends, which is to be at `deadline`.
    pub fn drain(&self, deadline: Instant) {
        self.0.source.drain.send_replace(Some(deadline));
    }

    /// The links to all children.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let children = self.0.source.children.lock();
        children.values().map(|child| child.status()).collect()
    }

    /// What each child last reported of itself, by its name.
    #[must_use]
    pub fn reports(&self) -> Vec<(Arc<str>, Bytes)> {
        let children = self.0.source.children.lock();
        children
            .values()
            .filter_map(|child| child.report())
            .collect()
    }
}
