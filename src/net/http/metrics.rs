//! What the front counts. Counters of all label values are made once, so that a request costs an
//! atomic addition and no lock.

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::net::http::Protocol;
use crate::telemetry;
use crate::telemetry::access::Log;

const PROTOCOLS: [Protocol; 3] = [Protocol::H1, Protocol::H2, Protocol::H3];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The front's metrics. Clones share their counters.
#[derive(Debug, Clone)]
pub struct Metrics {
    connections: [Gauge; 3],
    requests: [[Counter; 5]; 3],
    sent_bytes: [Counter; 3],
    parked: Gauge,
    handshake_failures: [Counter; 2],
    accept_errors: Counter,
    refused: Counter,
    proofs: Counter,
    limited: Counter,
    log: Option<Log>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocol {
    protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocolAndStatus {
    protocol: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTransport {
    transport: &'static str,
}

impl Metrics {
    /// Registers everything in `registry`.
    #[must_use]
    pub fn register(registry: &telemetry::Metrics) -> Self {
        let connections = Family::<ByProtocol, Gauge>::default();
        let requests = Family::<ByProtocolAndStatus, Counter>::default();
        let sent_bytes = Family::<ByProtocol, Counter>::default();
        let handshakes = Family::<ByTransport, Counter>::default();
        let metrics = Self {
            connections: PROTOCOLS
                .map(|protocol| connections.get_or_create_owned(&ByProtocol::of(protocol))),
            requests: PROTOCOLS.map(|protocol| {
                CLASSES.map(|status| {
                    requests.get_or_create_owned(&ByProtocolAndStatus {
                        protocol: label(protocol),
                        status,
                    })
                })
            }),
            sent_bytes: PROTOCOLS
                .map(|protocol| sent_bytes.get_or_create_owned(&ByProtocol::of(protocol))),
            parked: Gauge::default(),
            handshake_failures: ["tcp", "quic"]
                .map(|transport| handshakes.get_or_create_owned(&ByTransport { transport })),
            accept_errors: Counter::default(),
            refused: Counter::default(),
            proofs: Counter::default(),
            limited: Counter::default(),
            log: None,
        };
        let room = "net";
        let help = "Open HTTP connections";
        registry.register(room, "connections", help, connections);
        let help = "HTTP replies by status class";
        registry.register(room, "requests", help, requests);
        let help = "Bytes of HTTP replies handed to connections";
        registry.register(room, "sent_bytes", help, sent_bytes);
        let help = "Requests that wait for something to happen";
        registry.register(room, "parked_requests", help, metrics.parked.clone());
        let help = "TLS and QUIC handshakes that failed or took too long";
        registry.register(room, "handshake_failures", help, handshakes);
        let help = "Failures to accept a connection, as when descriptors run out";
        registry.register(room, "accept_errors", help, metrics.accept_errors.clone());
        let help = "Connections closed at once because a limit of connections was reached";
        registry.register(room, "connections_refused", help, metrics.refused.clone());
        let help = "QUIC handshakes sent back for a proof of their address, under a flood";
        registry.register(room, "quic_address_proofs", help, metrics.proofs.clone());
        let help = "Requests answered with 429 because their address sent too many";
        registry.register(room, "requests_limited", help, metrics.limited.clone());
        metrics
    }

    /// Bytes of replies so far, over all protocols.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.iter().map(Counter::get).sum()
    }

    /// Open connections of all workers.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        let open: i64 = self.connections.iter().map(Gauge::get).sum();
        open.max(0).unsigned_abs()
    }

    /// Files what becomes of each request in `log`.
    #[must_use]
    pub fn filing(self, log: Log) -> Self {
        let log = Some(log);
        Self { log, ..self }
    }

    /// Where requests are filed.
    pub(in crate::net) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Counts a connection as open until the guard is dropped.
    pub(in crate::net) fn connection(&self, protocol: Protocol) -> Counted {
        Counted::new(&self.connections[index(protocol)])
    }

    /// Counts a request as parked until the guard is dropped.
    pub(in crate::net) fn parked(&self) -> Counted {
        Counted::new(&self.parked)
    }

    /// Counts a reply.
    pub(in crate::net) fn replied(&self, protocol: Protocol, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.requests[index(protocol)][class].inc();
    }

    /// The counter of bytes sent.
    pub(in crate::net) fn sent(&self, protocol: Protocol) -> &Counter {
        &self.sent_bytes[index(protocol)]
    }

    /// Counts a failed handshake of TLS on TCP.
    pub(in crate::net) fn tls_failed(&self) {
        self.handshake_failures[0].inc();
    }

    /// Counts a failed handshake of QUIC.
    pub(in crate::net) fn quic_failed(&self) {
        self.handshake_failures[1].inc();
    }

    /// Counts a failed accept.
    pub(in crate::net) fn accept_failed(&self) {
        self.accept_errors.inc();
    }

    /// Counts a request that a limit refused.
    pub(in crate::net) fn limited(&self) {
        self.limited.inc();
    }

    /// Counts a QUIC handshake that has to come again with a proof of its address.
    pub(in crate::net) fn must_prove(&self) {
        self.proofs.inc();
    }

    /// Counts a connection that a limit refused.
    pub(in crate::net) fn refused(&self) {
        self.refused.inc();
    }
}

/// One thing that is counted while this lives.
#[derive(Debug)]
pub(in crate::net) struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ByProtocol {
    fn of(protocol: Protocol) -> Self {
        Self {
            protocol: label(protocol),
        }
    }
}

fn index(protocol: Protocol) -> usize {
    match protocol {
        Protocol::H1 => 0,
        Protocol::H2 => 1,
        Protocol::H3 => 2,
    }
}

fn label(protocol: Protocol) -> &'static str {
    ["h1", "h2", "h3"][index(protocol)]
}
