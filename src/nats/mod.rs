//! A connection to a NATS cluster, as the ledger, the registry and a merchant's stream need it.
//!
//! Knows no stream, no bucket and no subject. Invariant: nobody waits for a cluster that is away.

use std::fmt;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};

use serde::{Deserialize, Serialize};

/// How long an answer of the cluster is waited for; an order is put off then.
pub const ANSWER_SECONDS: u64 = 3;

/// Why the cluster cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No usable address is named.
    #[error("{0}")]
    Setup(String),
    /// There is no connection just now; it is tried again.
    #[error("no connection to the NATS cluster")]
    Down,
}

/// Publications that wait for their ack; further ones are refused.
const IN_FLIGHT_MAX: usize = 8192;

/// The servers of a cluster: `nats://HOST:PORT` or `tls://HOST:PORT`, with `USER:PASSWORD@` before
/// the host when the cluster asks for it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Servers(pub Vec<String>);

impl fmt::Debug for Servers {
    /// Not the addresses: they may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} servers]", self.0.len())
    }
}

impl Servers {
    /// True when none is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Connects in the background to one of `servers`, and again whenever the connection is lost.
///
/// Errors: [`Error::Setup`] when an address is of no use.
pub async fn connect(servers: &Servers) -> Result<Context, Error> {
    let setup = |error: &dyn fmt::Display| Error::Setup(error.to_string());
    if servers.is_empty() {
        return Err(Error::Setup("no NATS server is named".into()));
    }
    let parse = |server: &String| server.parse::<ServerAddr>();
    let addresses: Result<Vec<_>, _> = servers.0.iter().map(parse).collect();
    let options = ConnectOptions::new()
        .name(concat!("rushlane/", env!("CARGO_PKG_VERSION")))
        .connection_timeout(Duration::from_secs(ANSWER_SECONDS))
        .request_timeout(Some(Duration::from_secs(ANSWER_SECONDS)))
        .ping_interval(Duration::from_secs(5))
        .reconnect_delay_callback(|_attempts| Duration::from_millis(500))
        .max_reconnects(None)
        .retry_on_initial_connect()
        // Each attempt to reconnect is one, twice a second while the cluster is away; that it is
        // away is said once, by those who need it.
        .event_callback(|event| async move { tracing::debug!(%event, "NATS") });
    let addresses = addresses.map_err(|error| setup(&error))?;
    let client = options.connect(&addresses[..]).await;
    let client = client.map_err(|error| setup(&error))?;
    Ok(jetstream::ContextBuilder::new()
        .timeout(Duration::from_secs(ANSWER_SECONDS))
        .ack_timeout(Duration::from_secs(ANSWER_SECONDS))
        .max_ack_inflight(IN_FLIGHT_MAX)
        .backpressure_on_inflight(false)
        .build(client))
}

/// Why the cluster cannot be asked just now: what is asked while the connection is away would wait
/// for it, however long.
pub fn is_connected(client: &Client) -> Result<(), Error> {
    match client.connection_state() {
        State::Connected => Ok(()),
        State::Pending | State::Disconnected => Err(Error::Down),
    }
}

#[cfg(test)]
pub(crate) mod server;
