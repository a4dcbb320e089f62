//! The child end: keeps a link to the first parent that answers, and pulls what local readers want.
//!
//! Every announced room becomes a broadcast in the store; a track costs nothing until somebody
//! reads it, and then one subscription. Invariant: the parent's loss ends no broadcast at once;
//! readers wait, and go on at the very frame when a parent is back.

mod fetch;
mod intake;
mod link;
mod rooms;
mod session;
mod streams;
mod track;

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::live::Store;
use crate::relay::metrics::PullMetrics;
use crate::relay::{Config, Error, Local, Status, transport};
use crate::runtime::{TaskScope, clock};

use link::Link;
use rooms::Rooms;

/// The first wait after all parents have failed; it doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(200);

/// The longest wait between two rounds of dials.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a parent may take to answer before the next one is dialled too: a round trip around
/// the world.
const STAGGER: Duration = Duration::from_millis(250);

/// A link that held this long was a good one: the parents are dialled again at once.
const STEADY: Duration = Duration::from_secs(1);

/// How often orphaned rooms are looked at.
const ORPHAN_STEP: Duration = Duration::from_millis(250);

/// The child end of a node.
#[derive(Debug, Clone)]
pub struct Puller(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: quinn::ClientConfig,
    config: Config,
    node: Arc<str>,
    store: Store,
    metrics: Arc<PullMetrics>,
    rooms: Rooms,
    link: watch::Sender<Option<Arc<Link>>>,
}

impl Puller {
    /// Prepares to dial; nothing runs yet. Names itself as the store's source of older groups.
    ///
    /// Errors: the certificates are no use.
    pub fn new(config: &Config, local: &Local) -> Result<Self, Error> {
        let metrics = PullMetrics::register(&local.metrics);
        let link = watch::Sender::new(None);
        let store = local.store.clone();
        store.set_upstream(Arc::new(fetch::Fetcher(link.subscribe())));
        Ok(Self(Arc::new(Shared {
            client: transport::client_config(config, local)?,
            config: config.clone(),
            node: local.node.clone(),
            rooms: Rooms::new(store.clone(), config, metrics.clone()),
            store,
            metrics,
            link,
        })))
    }

    /// Dials, and dials again, in `scope`; ends with it, and ends all broadcasts then.
    pub fn run(&self, scope: &TaskScope) {
        let (shared, tasks) = (self.0.clone(), scope.clone());
        scope.spawn("relay.pull", async move {
            tokio::select! {
                () = shared.dial_for_ever(&tasks) => {}
                () = tasks.shutdown().requested() => {}
            }
            shared.rooms.clear();
        });
        let (shared, shutdown) = (self.0.clone(), scope.shutdown().clone());
        scope.spawn("relay.pull.orphans", async move {
            let expiry = async {
                loop {
                    tokio::time::sleep(ORPHAN_STEP).await;
                    shared.rooms.expire(clock::now());
                }
            };
            tokio::select! {
                () = expiry => {}
                () = shutdown.requested() => {}
            }
        });
    }

    /// True while a parent feeds this node.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.link.borrow().is_some()
    }

    /// The link to the parent; empty while there is none.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let link = self.0.link.borrow();
        link.iter().map(|link| link.status()).collect()
    }
}

impl Shared {
    /// Keeps a link up, for as long as there is a parent that answers.
    async fn dial_for_ever(self: &Arc<Self>, scope: &TaskScope) {
        let mut wait = WAIT_MIN;
        loop {
            if self.go_round(scope).await {
                wait = WAIT_MIN;
            } else {
                tokio::time::sleep(jittered(wait)).await;
                wait = (wait * 2).min(WAIT_MAX);
            }
        }
    }

    /// Links up with one parent after the other, until a link has held for a while or none is left.
    /// True in the first case.
    async fn go_round(self: &Arc<Self>, scope: &TaskScope) -> bool {
        let mut parents: Vec<&str> = self.config.parents.iter().map(String::as_str).collect();
        while let Some((parent, connection)) = self.dial_any(&parents).await {
            let begun = clock::now();
            session::run(self, parent, &connection, scope).await;
            if begun.elapsed() >= STEADY {
                return true;
            }
            parents.retain(|other| *other != parent);
        }
        false
    }

    /// Dials all, each a little after the one before it, and takes the first that answers: so the
    /// order counts among those that live, and the dead cost little time.
    async fn dial_any<'a>(&self, parents: &[&'a str]) -> Option<(&'a str, quinn::Connection)> {
        let mut dials: FuturesUnordered<_> = parents
            .iter()
            .zip(0..)
            .map(async |(parent, turn)| {
                tokio::time::sleep(STAGGER * turn).await;
                self.metrics.dials.inc();
                (*parent, session::dial(self, parent).await)
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
}

/// Half of `wait` to all of it, so that the children of a lost parent do not all come back at once.
fn jittered(wait: Duration) -> Duration {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_i64(clock::unix_us());
    let random = u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
