//! Dials: which parent, when, and when again.

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::relay::pull::{Shared, session};
use crate::relay::{Error, transport};
use crate::runtime::{TaskScope, clock};

/// The first wait after all parents have failed; it doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(200);

/// The longest wait between two rounds of dials.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a parent may take to answer before the next one is dialled too: a round trip around
/// the world.
const STAGGER: Duration = Duration::from_millis(250);

/// A link that held this long was a good one: the parents are dialled again at once.
const STEADY: Duration = Duration::from_secs(1);

/// How long one address may take to answer, in seconds.
const DIAL_SECONDS: u64 = 3;

/// Addresses of one parent that are tried.
const ADDRESSES_MAX: usize = 4;

/// Keeps a link up, for as long as there is a parent that answers.
pub(super) async fn for_ever(shared: &Arc<Shared>, scope: &TaskScope) {
    let mut wait = WAIT_MIN;
    loop {
        if go_round(shared, scope).await {
            wait = WAIT_MIN;
        } else {
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }
}

/// Links up with one parent after the other, until a link has held for a while or none is left.
/// True in the first case.
async fn go_round(shared: &Arc<Shared>, scope: &TaskScope) -> bool {
    let mut parents: Vec<&str> = shared.config.parents.iter().map(String::as_str).collect();
    while let Some((parent, connection)) = dial_any(shared, &parents).await {
        let begun = clock::now();
        session::run(shared, parent, &connection, scope).await;
        if begun.elapsed() >= STEADY {
            return true;
        }
        parents.retain(|other| *other != parent);
    }
    false
}

/// Dials all, each a little after the one before it, and takes the first that answers: so the order
/// counts among those that live, and the dead cost little time.
async fn dial_any<'a>(
    shared: &Shared,
    parents: &[&'a str],
) -> Option<(&'a str, quinn::Connection)> {
    let mut dials: FuturesUnordered<_> = parents
        .iter()
        .zip(0..)
        .map(async |(parent, turn)| {
            tokio::time::sleep(STAGGER * turn).await;
            shared.metrics.dials.inc();
            (*parent, dial(shared, parent).await)
        })
        .collect();
    while let Some((parent, dialled)) = dials.next().await {
        match dialled {
            Ok(connection) => return Some((parent, connection)),
            Err(error) => tracing::warn!(parent, %error, "parent does not answer"),
        }
    }
    None
}

/// Connects to the first address of `parent` (`HOST:PORT`) that answers.
async fn dial(shared: &Shared, parent: &str) -> Result<quinn::Connection, Error> {
    let no_address = || Error::NoAddress(parent.to_owned());
    let host = parent.rsplit_once(':').ok_or_else(no_address)?.0;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = shared.config.server_name.as_deref().unwrap_or(host);
    let found = tokio::net::lookup_host(parent).await;
    let mut last = no_address();
    for address in found.map_err(|_| no_address())?.take(ADDRESSES_MAX) {
        match connect(shared, address, name).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect(
    shared: &Shared,
    address: SocketAddr,
    name: &str,
) -> Result<quinn::Connection, Error> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let endpoint = transport::endpoint(any, None)?;
    let connecting = endpoint
        .connect_with(shared.client.clone(), address, name)
        .map_err(|error| Error::Failed(error.to_string()))?;
    let wait = Duration::from_secs(DIAL_SECONDS);
    Ok(tokio::time::timeout(wait, connecting)
        .await
        .map_err(|_| Error::Timeout("answer from the parent", DIAL_SECONDS))??)
}

/// Half of `wait` to all of it, so that the children of a lost parent do not all come back at once.
fn jittered(wait: Duration) -> Duration {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_i64(clock::unix_us());
    let random = u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
