//! The RTMP and RTMPS front: sockets to sessions, sessions to publishers.
//!
//! Knows how to carry bytes and whom to ask; the protocol is `protocol::rtmp`, the tags are
//! `container::flv`, and what becomes of the frames is `ingest::publisher`'s business.
//!
//! Invariants: every connection has a slot (in all and per address), a span, and an end with a
//! reason; one bad peer costs its own connection and nothing else.

mod connection;
mod metadata;
mod metrics;
mod server;
mod slots;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::rtmp::Limits;

pub use server::{Error, Server};

/// Where encoders connect, and how many may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where RTMP is taken, or `"off"`.
    #[serde(with = "crate::net::listen")]
    pub listen: Option<SocketAddr>,
    /// Where RTMPS is taken, or `"off"`; needs a certificate.
    #[serde(with = "crate::net::listen")]
    pub tls_listen: Option<SocketAddr>,
    /// The most connections at once. 1000: an origin carries fewer hosts than that, and each costs
    /// at most 16 MiB of unfinished messages.
    pub connections_max: usize,
    /// The most connections of one address (IPv4) or network (IPv6 /64). 100: a studio behind one
    /// address.
    pub connections_per_address_max: usize,
    /// How long a connection may be silent, in seconds. 30: a host that stalls for 10 s keeps its
    /// room.
    pub idle_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1935))),
            tls_listen: None,
            connections_max: 1000,
            connections_per_address_max: 100,
            idle_seconds: 30,
        }
    }
}

impl Config {
    fn limits(&self) -> Limits {
        let idle = Duration::from_secs(self.idle_seconds.into());
        Limits {
            idle,
            message: idle,
            ..Limits::default()
        }
    }
}
