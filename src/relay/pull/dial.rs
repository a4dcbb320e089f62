//! Dials: which parent, when, and when again.

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::relay::control::{self, Reader};
use crate::relay::pull::parent::Parent;
use crate::relay::pull::session;
use crate::relay::pull::shared::Shared;
use crate::relay::serve::Greeted;
use crate::relay::wire::control::Purpose;
use crate::relay::{Error, priority, transport};
use crate::runtime::{Shutdown, TaskScope, clock};

/// The first wait after a parent has failed; it doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(200);

/// The longest wait between two dials.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a parent may take to answer before the next one is dialled too: a round trip around
/// the world.
const STAGGER: Duration = Duration::from_millis(250);

/// A link that held this long was a good one: the parent is dialled again at once.
const STEADY: Duration = Duration::from_secs(1);

/// How long one address may take to answer, in seconds.
const DIAL_SECONDS: u64 = 3;

/// Addresses of one parent that are tried.
const ADDRESSES_MAX: usize = 4;

/// Keeps a link to one parent up, whenever it is this parent's turn.
pub(super) async fn keep(
    shared: &Arc<Shared>,
    parent: &Arc<Parent>,
    scope: &TaskScope,
    stop: &Shutdown,
) {
    let mut wait = WAIT_MIN;
    // Parents are dialled a little after one another, so that the order counts among those that
    // live.
    let place = u32::try_from(shared.place(parent)).unwrap_or(u32::MAX);
    let mut pause = STAGGER.saturating_mul(place);
    loop {
        let dialled = async {
            tokio::time::sleep(pause).await;
            shared.turn(parent).await;
            if let Some(until) = parent.rests() {
                tokio::time::sleep_until(until).await;
            }
            shared.metrics.dials.inc();
            greet(shared, &parent.address, parent.purpose).await
        };
        let dialled = tokio::select! {
            dialled = dialled => dialled,
            () = stop.requested() => return,
        };
        match dialled {
            Ok(greeted) => {
                let begun = clock::now();
                session::run(shared, parent, greeted, scope, stop).await;
                if begun.elapsed() >= STEADY {
                    (wait, pause) = (WAIT_MIN, Duration::ZERO);
                    continue;
                }
            }
            Err(error) => {
                let parent = &parent.address;
                tracing::warn!(%parent, %error, "parent does not answer");
            }
        }
        pause = jittered(wait);
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Dials `address`, and exchanges hellos.
pub(super) async fn greet(
    shared: &Shared,
    address: &str,
    purpose: Purpose,
) -> Result<Greeted, Error> {
    let connection = dial(shared, address).await?;
    let greeted = async {
        let (mut send, receive) = connection.open_bi().await?;
        let _fresh_streams_are_open = send.set_priority(priority::CONTROL).is_err();
        let hello = control::hello(&shared.node, purpose).encode();
        send.write_chunk(hello).await?;
        let mut reader = Reader::new(receive);
        let hello = reader.hello().await?;
        if hello.node == shared.node {
            return Err(Error::OwnParent(hello.node));
        }
        // Version 1 knows children only.
        if hello.version < 2 && purpose != Purpose::Pull {
            return Err(Error::Version(hello.lowest, hello.version));
        }
        Ok(Greeted {
            connection: connection.clone(),
            send,
            reader,
            hello,
        })
    };
    let greeted = greeted.await;
    if let Err(error) = &greeted {
        connection.close(error.close_code(), error.to_string().as_bytes());
    }
    greeted
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
        .connect_with(shared.client.read().clone(), address, name)
        .map_err(|error| Error::Failed(error.to_string()))?;
    let wait = Duration::from_secs(DIAL_SECONDS);
    Ok(tokio::time::timeout(wait, connecting)
        .await
        .map_err(|_| Error::Timeout("answer from the parent", DIAL_SECONDS))??)
}

/// Half of `wait` to all of it, so that the children of a lost parent do not all come back at once.
pub(super) fn jittered(wait: Duration) -> Duration {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_i64(clock::unix_us());
    let random = u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
