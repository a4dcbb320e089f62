//! The net: listeners, TLS and HTTP in all its versions, in front of one [`http::Service`].
//!
//! Knows bytes on sockets and HTTP semantics; deliberately knows no room, no playlist and no media.

mod error;
pub mod http;
pub mod listen;
pub mod socket;
pub mod tls;

pub use error::Error;
