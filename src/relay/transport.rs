//! QUIC as the backbone wants it. The figures were measured; docs/RELAY.md has them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{AckFrequencyConfig, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;

use crate::net::heritage::{Handover, Port};
use crate::net::tls::Identity;
use crate::net::{self, socket, tls};
use crate::relay::question::CLASSES;
use crate::relay::wire::ALPN;
use crate::relay::{Config, Error};

/// Fetches that a child may have under way.
pub(super) const REQUESTS_MAX: u32 = 64;

/// Streams that a child opens once: control, and one for each class of questions.
const LASTING_STREAMS: u32 = 1 + CLASSES.len() as u32;

/// Socket buffers: a burst of a 60 s window at 10 Gbit/s line rate for some 5 ms.
const SOCKET_BYTES: usize = 8 << 20;

/// What may be in flight to a node: 0.5 s at 1 Gbit/s.
const RECEIVE_WINDOW_BYTES: u32 = 64 << 20;

/// What may be in flight on one stream: two of the largest frames.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;

/// What a parent keeps for one child until it is acknowledged: 130 ms at 1 Gbit/s. Slow children
/// cost this much memory at most.
const SEND_WINDOW_BYTES: u64 = 16 << 20;

/// 32 packets at once on a fresh link: a key frame of a usual stream.
const INITIAL_WINDOW_BYTES: u64 = 32 * 1452;

const KEEP_ALIVE: Duration = Duration::from_secs(3);
const IDLE_MS: u32 = 10_000;

/// Datagrams are not used yet; a peer that sends them fills no more than this.
const DATAGRAM_BYTES: usize = 64 << 10;

/// An acknowledgement for every tenth packet, or after [`MAX_ACK_DELAY`]: frames come in bursts.
const ACK_THRESHOLD: u32 = 10;
const MAX_ACK_DELAY: Duration = Duration::from_millis(10);

/// Turns a connection round on which the dialling end sends the frames: from now on it may open
/// what a parent opens, and this end what a child opens.
pub(super) fn take_pushes(connection: &quinn::Connection, config: &Config) {
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(config.streams_max));
}

/// The other end's half of [`take_pushes`].
pub(super) fn allow_requests(connection: &quinn::Connection) {
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(REQUESTS_MAX + LASTING_STREAMS));
}

pub(super) fn server_config(
    config: &Config,
    identity: &Identity,
    authorities: &[CertificateDer<'static>],
) -> Result<quinn::ServerConfig, Error> {
    let roots = Arc::new(roots(authorities)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, tls::provider())
        .build()
        .map_err(unusable)?;
    let identity = identity.clone();
    let mut tls = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(unusable)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(unusable)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = transport(config);
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS_MAX + LASTING_STREAMS));
    server.transport_config(Arc::new(transport));
    Ok(server)
}

pub(super) fn client_config(
    config: &Config,
    identity: &Identity,
    authorities: &[CertificateDer<'static>],
) -> Result<quinn::ClientConfig, Error> {
    let identity = identity.clone();
    let mut tls = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_root_certificates(roots(authorities)?)
        .with_client_auth_cert(identity.chain, identity.key)
        .map_err(unusable)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(unusable)?;
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = transport(config);
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(config.streams_max))
        .max_concurrent_bidi_streams(VarInt::from_u32(0));
    client.transport_config(Arc::new(transport));
    Ok(client)
}

/// The endpoint that children dial, on a socket that outlives the process. Needs the runtime that
/// will drive it.
pub(super) fn listener(
    address: SocketAddr,
    server: quinn::ServerConfig,
) -> Result<(quinn::Endpoint, Handover), Error> {
    let fault = |source| bind_fault(address, source);
    let port = Port::bind(address, SOCKET_BYTES).map_err(fault)?;
    warn_when_clamped(port.socket());
    let endpoint = port.endpoint(EndpointConfig::default(), Some(server));
    endpoint.map_err(fault)
}

/// An endpoint of its own socket. Needs the runtime that will drive it.
pub(super) fn endpoint(
    address: SocketAddr,
    server: Option<quinn::ServerConfig>,
) -> Result<quinn::Endpoint, Error> {
    let fault = |source| bind_fault(address, source);
    let socket = socket::udp(address, false, SOCKET_BYTES).map_err(fault)?;
    warn_when_clamped(&socket);
    let runtime = Arc::new(quinn::TokioRuntime);
    quinn::Endpoint::new(EndpointConfig::default(), server, socket, runtime).map_err(fault)
}

/// Where `endpoint`, which was asked to take `address`, listens.
pub(super) fn local_addr(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
) -> Result<SocketAddr, Error> {
    endpoint
        .local_addr()
        .map_err(|source| bind_fault(address, source))
}

fn bind_fault(address: SocketAddr, source: io::Error) -> Error {
    let key = "relay.listen";
    Error::Bind(net::Error::Bind {
        key,
        address,
        source,
    })
}

fn transport(config: &Config) -> TransportConfig {
    let controller = config.congestion.factory(Some(INITIAL_WINDOW_BYTES));
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements
        .ack_eliciting_threshold(VarInt::from_u32(ACK_THRESHOLD))
        .max_ack_delay(Some(MAX_ACK_DELAY));
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(controller)
        .ack_frequency_config(Some(acknowledgements))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BYTES);
    transport
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(unusable)?;
    }
    Ok(roots)
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Tls(error.to_string())
}

/// The kernel grants less than asked for when its limits are low; once is enough to say so.
fn warn_when_clamped(socket: &std::net::UdpSocket) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    let socket = socket2::SockRef::from(socket);
    let granted = socket
        .recv_buffer_size()
        .unwrap_or(usize::MAX)
        .min(socket.send_buffer_size().unwrap_or(usize::MAX));
    if granted < SOCKET_BYTES {
        ONCE.call_once(|| {
            tracing::warn!(
                granted,
                wanted = SOCKET_BYTES,
                "small UDP buffers: raise net.core.rmem_max and net.core.wmem_max"
            );
        });
    }
}
