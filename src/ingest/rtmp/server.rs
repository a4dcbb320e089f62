//! The listeners, and one task for each connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::auth::Gate;
use crate::hooks::Hooks;
use crate::ingest::publisher::Desk;
use crate::ingest::rtmp::Config;
use crate::ingest::rtmp::connection::Connection;
use crate::ingest::rtmp::metrics::Metrics;
use crate::ingest::rtmp::slots::{Slot, Slots};
use crate::net::{self, socket};
use crate::runtime::TaskScope;
use crate::telemetry;

/// The pause after a failed accept: file descriptors come back when connections end, and trying at
/// once would burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the front cannot open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error(transparent)]
    Bind(#[from] net::Error),
    /// [`Config::tls_listen`] without a certificate.
    #[error("rtmp.tls_listen: {address}: needs http.certificate and http.key")]
    NoCertificate {
        /// The address.
        address: SocketAddr,
    },
}

/// The bound front; [`Self::run`] opens it.
pub struct Server {
    plain: Option<TcpListener>,
    secure: Option<(TcpListener, TlsAcceptor)>,
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    slots: Slots,
    desk: Desk,
    gate: Gate,
    hooks: Hooks,
    metrics: Metrics,
}

impl Server {
    /// Binds the listeners of `config`.
    pub fn bind(
        config: Config,
        tls: Option<Arc<rustls::ServerConfig>>,
        (desk, gate, hooks): (Desk, Gate, Hooks),
        metrics: &telemetry::Metrics,
    ) -> Result<Self, Error> {
        let bind = |key, address| {
            let fault = |source| net::Error::Bind {
                key,
                address,
                source,
            };
            socket::listener(address).map_err(fault)
        };
        let plain = config
            .listen
            .map(|address| bind("rtmp.listen", address))
            .transpose()?;
        let secure = match (config.tls_listen, tls) {
            (Some(address), Some(tls)) => {
                Some((bind("rtmp.tls_listen", address)?, TlsAcceptor::from(tls)))
            }
            (Some(address), None) => return Err(Error::NoCertificate { address }),
            (None, _) => None,
        };
        let slots = Slots::new(config.connections_max, config.connections_per_address_max);
        let shared = Shared {
            config,
            slots,
            desk,
            gate,
            hooks,
            metrics: Metrics::register(metrics),
        };
        Ok(Self {
            plain,
            secure,
            shared: Arc::new(shared),
        })
    }

    /// Where RTMP is taken.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.plain
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// Where RTMPS is taken.
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        let (listener, _) = self.secure.as_ref()?;
        listener.local_addr().ok()
    }

    /// Takes connections in `scope` until it is asked to stop; must be called inside the runtime
    /// that shall serve them.
    pub fn run(self, scope: TaskScope) -> io::Result<()> {
        let plain = self.plain.map(|listener| (listener, None));
        let secure = self.secure.map(|(listener, tls)| (listener, Some(tls)));
        for (listener, tls) in plain.into_iter().chain(secure) {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let accept = accept(listener, tls, self.shared.clone(), scope.clone());
            scope.spawn("rtmp.accept", accept);
        }
        Ok(())
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    scope: TaskScope,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = scope.shutdown().requested() => return,
        };
        match accepted {
            Ok((socket, peer)) => match shared.slots.take(peer.ip()) {
                Some(slot) => spawn(socket, peer, slot, tls.clone(), &shared, &scope),
                None => {
                    shared.metrics.turned_away.inc();
                    tracing::debug!(%peer, "turned away: all RTMP connections are taken");
                }
            },
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "an RTMP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn spawn(
    socket: TcpStream,
    peer: SocketAddr,
    slot: Slot,
    tls: Option<TlsAcceptor>,
    shared: &Arc<Shared>,
    scope: &TaskScope,
) {
    let shared = shared.clone();
    let shutdown = scope.shutdown().clone();
    let room = tracing::field::Empty;
    let span = tracing::info_span!("rtmp", %peer, tls = tls.is_some(), room);
    let serve = async move {
        let _slot = slot;
        // Answers are small: without this each would wait for the delayed ACK of the one before.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let limits = shared.config.limits();
        let doors = (&shared.desk, &shared.gate, &shared.hooks);
        let connection = Connection::new(limits, peer, doors, &shared.metrics, shutdown);
        match tls {
            None => connection.serve(socket).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(limits.handshake, tls.accept(socket));
                match handshake.await {
                    Ok(Ok(socket)) => connection.serve(socket).await,
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
                    Err(_) => tracing::debug!("no TLS handshake in time"),
                }
            }
        }
    };
    scope.spawn("rtmp.connection", serve.instrument(span));
}
