//! The roof: wires a role (origin, edge, dev) from its configuration.
//!
//! Order of a start: check everything that was typed, bind every socket, only then serve; so a
//! taken port is one line and exit 2, never half a node. Order of a stop: not ready, no new
//! sessions, the services end what they serve inside the grace, then exit 0.

mod assembly;
mod certificates;
pub mod config;
mod demo;
mod desk;
mod detour;
mod dev;
mod ending;
mod error;
mod files;
mod fleet;
mod health;
mod interaction;
mod joins;
mod keys;
mod notify;
mod plays;
mod relay_certificates;
mod reload;
mod routes;
mod running;
mod services;
mod signals;
mod steering;
mod succession;
mod vitals;

use std::fmt;

use clap::ValueEnum;

use crate::node::config::{Config, Override};
use crate::node::succession::Inheritance;
use crate::runtime::Shutdown;

pub use dev::Options as DevOptions;
pub use error::Error;
pub use reload::Origin as ConfigOrigin;

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Hosts push to it.
    Origin,
    /// It pulls from parents and serves viewers or other edges.
    Edge,
    /// Part of `rushlane dev`.
    #[value(skip)]
    Dev,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Edge => "edge",
            Self::Dev => "dev",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Runs one node until a signal, then drains it. `take_over`: the process that started this one
/// hands its sockets on (see [`succession`]).
///
/// Errors: the configuration cannot be served (a taken port, a missing file).
pub fn run(
    mut config: Config,
    role: Role,
    origin: ConfigOrigin,
    take_over: bool,
) -> Result<(), Error> {
    services::set_log_filter(&config);
    config.settle(role);
    let inheritance = Inheritance::take(take_over, role)?;
    let runtime = media_runtime(config.node.media_threads)?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        let node = running::Node::start(&config, role, None, &shutdown).await?;
        node.follow(origin, role)?;
        for (key, address) in node.listeners() {
            tracing::info!(key, address, "listening");
        }
        tracing::info!(
            role = role.as_str(),
            version = env!("CARGO_PKG_VERSION"),
            "started"
        );
        inheritance.claim(&node).await?;
        let _signs_of_life = notify::ready(&shutdown);
        ending::run(node).await
    })
}

/// Runs the embedded default until a signal, then drains it.
///
/// Errors: an override has a fault, or a port is taken.
pub fn run_dev(options: &DevOptions, overrides: &[Override]) -> Result<(), Error> {
    media_runtime(0)?.block_on(dev::run(options, overrides))
}

/// The runtime of ingest, relay and packaging; viewers have workers of their own (D3).
fn media_runtime(threads: usize) -> Result<tokio::runtime::Runtime, Error> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if threads == 0 {
        (cores / 2).clamp(1, 4)
    } else {
        threads
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("media")
        .enable_all()
        .build()
        .map_err(|error| Error::System("the media threads cannot start", error))
}
