//! The desk: health, metrics, the admin API and the console of a node (INTERFACE, "Operate").
//!
//! Sees every service and is seen by none. Runs on its own thread with its own runtime, so that it
//! answers when the data path is full.
//!
//! Invariant: what it tells is read from what the services publish and waits on none of them; only
//! commands do, each for a bounded time.

mod api;
mod browser;
mod configuration;
mod console;
mod cut;
mod deny;
mod drain;
mod fleet;
mod interaction;
mod openapi;
mod orders;
mod rooms;
mod server;
mod shedding;
mod tree;
pub mod why;

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use api::{NodeInfo, Sources};
pub use configuration::{Configuration, Loaded};
pub use drain::{Asked, DEADLINE_SECONDS_MAX, Stops, Wish};
pub use fleet::Fleet;
pub use server::Server;

/// The admin port.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens; port 0 takes a free one. Leave it on loopback, or set `token` too.
    #[serde(with = "crate::net::listen")]
    pub listen: Option<SocketAddr>,
    /// The bearer token that requests from other than loopback listeners must carry, unless they
    /// carry an admin token that one of `auth.keys` has signed.
    #[serde(skip_serializing)]
    pub token: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
            token: None,
        }
    }
}

impl fmt::Debug for Config {
    /// Not the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Why the desk cannot open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken or not ours to take.
    #[error(transparent)]
    Bind(#[from] crate::net::Error),
    /// No thread could be started.
    #[error("the admin thread cannot start: {0}")]
    Thread(std::io::Error),
}
