//! The net: listeners, TLS and HTTP in all its versions, in front of one [`http::Service`].
//!
//! Knows bytes on sockets and HTTP semantics; deliberately knows no room, no playlist and no media.
//!
//! Invariants:
//! - A connection lives and dies on the worker that accepted it; workers share no lock (D3).
//! - Every connection is admitted against a bound before a byte of it is read.

pub mod acme;
mod admission;
mod buckets;
mod congestion;
mod drain;
mod error;
#[cfg(test)]
pub(crate) mod flood;
pub mod heritage;
pub mod http;
pub mod listen;
pub mod proxy;
mod quic;
mod server;
pub mod socket;
mod subnet;
mod tcp;
pub mod tls;
mod worker;

pub use congestion::Congestion;
pub use drain::{ALTERNATES_MAX, Alternate, Drain, Onward, Terms};
pub use error::Error;
pub use server::{LocalAddresses, Server};
pub use subnet::Subnet;
