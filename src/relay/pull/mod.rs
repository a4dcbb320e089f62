//! The child end: keeps a link to the first parent that answers, and pulls what local readers want.
//!
//! Every announced room becomes a broadcast in the store; a track costs nothing until somebody
//! reads it, and then one subscription. Invariant: the parent's loss ends no broadcast at once;
//! readers wait, and go on at the very frame when a parent is back.
//! Questions of class 0 wait for it too.

mod ask;
mod dial;
mod fetch;
mod intake;
mod link;
mod rooms;
mod session;
mod streams;
mod track;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::live::Store;
use crate::relay::error::CLOSE_DONE;
use crate::relay::metrics::PullMetrics;
use crate::relay::{Config, Error, Local, Status, transport};
use crate::runtime::{Shutdown, TaskScope, clock};

use link::Link;
use rooms::Rooms;

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
    /// Requested when no further link will come.
    over: Shutdown,
}

impl Puller {
    /// Prepares to dial; nothing runs yet. Names itself as the store's source of older
    /// groups, and as the exchange's authority.
    ///
    /// Errors: the certificates are no use.
    pub fn new(config: &Config, local: &Local) -> Result<Self, Error> {
        let metrics = PullMetrics::register(&local.metrics);
        let link = watch::Sender::new(None);
        let store = local.store.clone();
        store.set_upstream(Arc::new(fetch::Fetcher(link.subscribe())));
        let over = Shutdown::new();
        let asker = ask::Asker::new(link.subscribe(), over.clone(), metrics.clone());
        local.exchange.set_authority(Arc::new(asker));
        Ok(Self(Arc::new(Shared {
            client: transport::client_config(config, local)?,
            config: config.clone(),
            node: local.node.clone(),
            rooms: Rooms::new(store.clone(), config, metrics.clone()),
            store,
            metrics,
            link,
            over,
        })))
    }

    /// Dials, and dials again, in `scope`; ends with it, and ends all broadcasts then.
    pub fn run(&self, scope: &TaskScope) {
        let (shared, tasks) = (self.0.clone(), scope.clone());
        scope.spawn("relay.pull", async move {
            tokio::select! {
                () = dial::for_ever(&shared, &tasks) => {}
                () = tasks.shutdown().requested() => {}
            }
            // The parent need not wait for the idle timeout to know.
            if let Some(link) = shared.link.send_replace(None) {
                link.connection.close(CLOSE_DONE, b"the node goes down");
            }
            shared.over.request();
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
