//! QUIC endpoints: one a worker, all on one port, with HTTP/3 behind the handshake.
//!
//! Other protocols on QUIC (MoQ) will branch off by ALPN, where a handshake is done.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::net::Congestion;
use crate::net::admission::{Admission, Admitted};
use crate::net::heritage::{Handover, Port};
use crate::net::http::front::Front;
use crate::net::http::{Metrics, Protocol, http3};
use crate::runtime::clock;

/// How long a handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// A connection without a packet for so long is gone. Longer than any blocking reload.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// Requests at once on a connection (RFC 9114, section 6.1, asks for at least 100).
const STREAMS_MAX: u32 = 128;

/// Control and QPACK streams, with room for those that clients send as grease.
const UNI_STREAMS_MAX: u32 = 16;

/// Receive windows: the largest request body, and some of them at once.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;

/// Datagrams that wait to be read, of which the newest stay. Nobody reads them: browsers open a
/// WebTransport session only where they are taken.
const DATAGRAM_BYTES: usize = 2048;

/// Bytes in flight or waiting for a connection: 50 Mbit/s over 300 ms, and what a slow viewer holds
/// at most.
const SEND_WINDOW_BYTES: u64 = 2 << 20;

/// Handshakes at once, from which on a peer must first show that its address is its own.
const HANDSHAKES_BEFORE_RETRY: usize = 256;

/// Handshakes at once, from which on further ones are refused.
const HANDSHAKES_MAX: usize = 4096;

/// How long the last word to all peers may take to get out.
const GOODBYE: Duration = Duration::from_millis(100);

/// H3_NO_ERROR (RFC 9114, section 8.1).
const NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// What the QUIC endpoints of all workers have in common: keys, so that tokens of one are good at
/// all, and the transport's parameters.
#[derive(Clone)]
pub(super) struct Settings {
    server: ServerConfig,
    endpoint: EndpointConfig,
}

impl Settings {
    /// For `workers` endpoints that share a port.
    pub(super) fn new(tls: rustls::ServerConfig, congestion: Congestion, workers: usize) -> Self {
        let tls = QuicServerConfig::try_from(tls).expect("the provider has QUIC's initial suite");
        let idle = IdleTimeout::try_from(IDLE_WAIT).expect("the constant fits a varint");
        let mut transport = TransportConfig::default();
        transport
            .congestion_controller_factory(congestion.factory(None))
            .max_idle_timeout(Some(idle))
            .max_concurrent_bidi_streams(STREAMS_MAX.into())
            .max_concurrent_uni_streams(UNI_STREAMS_MAX.into())
            .stream_receive_window(STREAM_WINDOW_BYTES.into())
            .receive_window(CONNECTION_WINDOW_BYTES.into())
            .send_window(SEND_WINDOW_BYTES)
            .datagram_receive_buffer_size(Some(DATAGRAM_BYTES));
        let mut server = ServerConfig::with_crypto(Arc::new(tls));
        server
            .transport_config(Arc::new(transport))
            .max_incoming(HANDSHAKES_MAX)
            // The kernel picks the worker by the peer's address: from a new one, packets would
            // reach a worker that does not know the connection.
            .migration(workers == 1);
        Self {
            server,
            endpoint: EndpointConfig::default(),
        }
    }

    /// The endpoint of one worker, in whose runtime this is called.
    pub(super) fn endpoint(&self, port: Port) -> io::Result<(Endpoint, Handover)> {
        port.endpoint(self.endpoint.clone(), Some(self.server.clone()))
    }
}

/// Counts the handshakes of one worker.
#[derive(Default)]
pub(super) struct Handshakes(Rc<Cell<usize>>);

/// One handshake, for as long as this lives.
pub(super) struct Handshake(Rc<Cell<usize>>);

impl Handshakes {
    /// Takes the handshake of `incoming`, or answers it with a retry or a refusal while there are
    /// too many.
    pub(super) fn take(
        &self,
        incoming: quinn::Incoming,
        metrics: &Metrics,
    ) -> Option<(quinn::Incoming, Handshake)> {
        let open = self.0.get();
        if open >= HANDSHAKES_BEFORE_RETRY && incoming.may_retry() {
            metrics.must_prove();
            incoming.retry().expect("it may retry, as was just asked");
            return None;
        }
        if open >= HANDSHAKES_MAX {
            metrics.refused();
            incoming.refuse();
            return None;
        }
        self.0.set(open + 1);
        Some((incoming, Handshake(self.0.clone())))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The QUIC endpoint of one worker.
pub(super) struct Listener {
    pub(super) endpoint: Endpoint,
    pub(super) handshakes: Handshakes,
    pub(super) front: Rc<Front>,
    pub(super) admission: Rc<Admission>,
}

impl Listener {
    /// Accepts until nobody shall come any more; from then on, new peers are refused.
    pub(super) async fn run(&self) {
        tokio::select! {
            () = self.accept() => {}
            () = self.front.closing() => self.endpoint.set_server_config(None),
        }
    }

    async fn accept(&self) {
        while let Some(incoming) = self.endpoint.accept().await {
            let taken = self.handshakes.take(incoming, &self.front.metrics);
            let Some((incoming, handshake)) = taken else {
                continue;
            };
            let peer = incoming.remote_address();
            let now = clock::now();
            let admitted = self.admission.admit();
            let admitted = admitted
                .filter(|_| self.admission.may_shake_hands(peer.ip(), now))
                .and_then(|admitted| admitted.of(peer.ip(), now));
            let Some(admitted) = admitted else {
                self.front.metrics.refused();
                incoming.refuse();
                continue;
            };
            let span = tracing::info_span!("http", %peer);
            let task = connect(incoming, handshake, self.front.clone(), admitted).instrument(span);
            self.front.scope.spawn_local("http.quic", task);
        }
    }

    /// Tells those that are left, and gives that a moment to get out.
    pub(super) async fn close(self) {
        self.endpoint.close(NO_ERROR, b"");
        timeout(GOODBYE, self.endpoint.wait_idle()).await.ok();
    }
}

async fn connect(
    incoming: quinn::Incoming,
    handshake: Handshake,
    front: Rc<Front>,
    _admitted: Admitted,
) {
    let connected = async { incoming.accept()?.await };
    let connection = match timeout(HANDSHAKE_WAIT, connected).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            front.metrics.quic_failed();
            tracing::debug!(%error, "QUIC handshake failed");
            return;
        }
        Err(_) => {
            front.metrics.quic_failed();
            tracing::debug!("QUIC handshake took too long");
            return;
        }
    };
    drop(handshake);
    let _counted = front.metrics.connection(Protocol::H3);
    http3::serve(connection, front).await;
}
