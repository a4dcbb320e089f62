//! HTTP/1.1, HTTP/2 and HTTP/3 in front of one [`Service`]: transport semantics and nothing else.
//!
//! A service lives on one worker thread and is called there (D3), so it may hold thread-local
//! state; it need not be `Send`. Content (compression, ranges, caching, CORS) is the service's job.
//!
//! Invariants:
//! - A reply is [`Chunks`](crate::coding::Chunks) shared by all viewers; nothing here copies them,
//!   but for [`Direct::encode`], once for all who wait for the same.
//! - A parked request holds no buffer; it is dropped as soon as its peer is seen to have gone.
//! - Whatever a peer sends or withholds, its connection holds bounded memory for a bounded time.
//!
//! Specs: RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 9113 (HTTP/2), RFC 9114 (HTTP/3).

mod activity;
pub(super) mod direct;
mod duplex;
mod exchange;
#[cfg(test)]
pub(super) mod fake;
pub(super) mod front;
pub mod http1;
pub(super) mod http2;
pub(super) mod http3;
mod incoming;
mod metrics;
mod outgoing;
mod problem;
pub mod range;
mod session;
mod webtransport;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::net::Congestion;
use crate::net::{Error, tls};

pub use direct::{Begun, Direct, Encoded};
pub use duplex::{Duplex, Reader, Writer};
pub use exchange::{
    BODY_BYTES_MAX, Body, Protocol, Reply, Request, Response, Service, Sink, Upgrade,
};
pub use metrics::Metrics;
pub use problem::problem;
pub use session::Session;

/// The HTTP listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Plain HTTP/1.1 and HTTP/2 (prior knowledge); port 0 takes a free one, `"off"` none.
    #[serde(with = "crate::net::listen")]
    pub listen: Option<SocketAddr>,
    /// HTTPS on TCP, and HTTP/3 on the same UDP port. Opened when there is a certificate; port 0
    /// takes a free one, `"off"` none.
    #[serde(with = "crate::net::listen")]
    pub tls_listen: Option<SocketAddr>,
    /// PEM file of the certificate chain, own certificate first.
    pub certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub key: Option<PathBuf>,
    /// Worker threads, each with its own listeners. 0: one a core.
    pub workers: usize,
    /// Open connections of one worker; further ones are closed at once. 65,536: four times what a
    /// core serves at the rates we promise.
    pub connections_max: usize,
    /// Open connections of one peer address (an IPv6 /64) on one worker. 16,384: a carrier's NAT or
    /// a proxy in front fits, and one address cannot take the whole worker.
    pub connections_per_address_max: usize,
    /// Serve HTTP/3 and say so in `Alt-Svc`.
    pub http3: bool,
    /// The congestion controller of HTTP/3.
    pub congestion: Congestion,
    /// Kernel send buffer of each TCP connection, in bytes; none: the system's default, which grows
    /// with the path. A small one bounds what a slow live viewer holds.
    pub send_buffer_bytes: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Some((Ipv4Addr::UNSPECIFIED, 8080).into()),
            tls_listen: Some((Ipv4Addr::UNSPECIFIED, 8443).into()),
            certificate: None,
            key: None,
            workers: 0,
            connections_max: 65_536,
            connections_per_address_max: 16_384,
            http3: true,
            congestion: Congestion::default(),
            send_buffer_bytes: None,
        }
    }
}

impl Config {
    /// The identity in [`Self::certificate`] and [`Self::key`]; `None` when neither is set.
    pub fn identity(&self) -> Result<Option<tls::Identity>, Error> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => tls::Identity::load(certificate, key).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::HalfIdentity {
                present: "certificate",
                missing: "key",
            }),
            (None, Some(_)) => Err(Error::HalfIdentity {
                present: "key",
                missing: "certificate",
            }),
        }
    }
}
