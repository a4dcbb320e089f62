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

mod access;
mod activity;
pub(super) mod clients;
mod config;
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
mod limits;
pub(super) mod link;
mod metrics;
mod outgoing;
mod problem;
pub mod range;
mod session;
mod webtransport;

pub use clients::ForwardedBy;
pub use config::{CertificateFiles, Config};
pub use direct::{Begun, Direct, Encoded};
pub use duplex::{Duplex, Reader, Writer};
pub use exchange::{
    BODY_BYTES_MAX, Body, Protocol, Reply, Request, Response, Service, Sink, Upgrade,
};
pub use limits::{Limits, ProxyProtocol};
pub use metrics::Metrics;
pub use problem::problem;
pub use session::Session;
