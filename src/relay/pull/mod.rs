//! The child end: keeps links to several parents, and pulls what local readers want.
//!
//! Every announced room becomes a broadcast in the store; a track costs nothing until somebody
//! reads it, and then one subscription, over the best link that has the room. Invariant: the loss
//! of a parent ends no broadcast at once; tracks go on over another link at the very frame, or
//! readers wait until there is one. Questions of class 0 wait for it too.
//!
//! What children push is pulled as well, and what origins beside this one publish: see [`push`] and
//! [`Config::peers`].

mod ask;
mod dial;
mod fetch;
mod flow;
mod guard;
mod health;
mod intake;
mod link;
mod links;
mod parent;
mod push;
mod rooms;
mod session;
mod streams;
mod track;
mod way;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, watch};

use crate::live::{Exchange, Store};
use crate::net::tls::Identity;
use crate::relay::metrics::PullMetrics;
use crate::relay::serve::{Greeted, Source};
use crate::relay::wire::control::Purpose;
use crate::relay::{Config, Error, Local, Standing, Status, transport};
use crate::runtime::{Shutdown, TaskScope, clock};

use link::Link;
use links::Links;
use parent::Parent;
use way::Way;

pub(super) use rooms::{Came, Rooms};

/// Peers stand behind all parents.
const PEER_RANK: usize = 1000;

/// The child end of a node.
#[derive(Debug, Clone)]
pub struct Puller(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: RwLock<quinn::ClientConfig>,
    config: Config,
    node: Arc<str>,
    store: Store,
    metrics: Arc<PullMetrics>,
    rooms: Arc<Rooms>,
    links: Arc<Links>,
    source: Arc<Source>,
    /// The addresses of parents, in order of preference.
    parents: watch::Sender<Vec<String>>,
    report: watch::Receiver<Bytes>,
    policy_in: mpsc::Sender<Bytes>,
    /// Some other node owns the rooms.
    needs_parent: AtomicBool,
    /// Requested when no further link will come.
    over: Shutdown,
}

impl Puller {
    /// Prepares to dial; nothing runs yet. An origin needs one too: it takes what children push.
    ///
    /// Errors: the certificates are no use.
    pub fn new(config: &Config, local: &Local) -> Result<Self, Error> {
        let client = transport::client_config(config, &local.identity, &local.authorities)?;
        let metrics = PullMetrics::register(&local.metrics);
        let rooms = Arc::new(Rooms::new(config, local, metrics.clone()));
        Ok(Self(Arc::new(Shared {
            client: RwLock::new(client),
            config: config.clone(),
            node: local.node.clone(),
            store: local.store.clone(),
            metrics,
            source: Source::new(config, local, rooms.clone()),
            rooms,
            links: Arc::new(Links::new()),
            parents: watch::Sender::new(config.parents.clone()),
            report: local.report.clone(),
            policy_in: local.policy_in.clone(),
            needs_parent: AtomicBool::new(false),
            over: Shutdown::new(),
        })))
    }

    /// Names itself as the store's source of older groups, and as the authority of `exchange`: on
    /// nodes that own no room.
    pub fn install(&self, exchange: &Exchange) {
        let shared = &self.0;
        shared.needs_parent.store(true, Ordering::Relaxed);
        let way = Way::new(shared.links.clone(), shared.rooms.clone());
        shared
            .store
            .set_upstream(Arc::new(fetch::Fetcher(way.clone())));
        let asker = ask::Asker::new(way, shared.over.clone(), shared.metrics.clone());
        exchange.set_authority(Arc::new(asker));
    }

    /// Dials, and dials again, in `scope`; ends with it, and ends all broadcasts then.
    pub fn run(&self, scope: &TaskScope) {
        let (shared, tasks) = (self.0.clone(), scope.clone());
        scope.spawn("relay.pull", async move {
            tokio::select! {
                () = shared.keep_parents(&tasks) => {}
                () = guard::look_after(&shared, &tasks) => {}
                () = push::for_ever(&shared, &tasks) => {}
                () = tasks.shutdown().requested() => {}
            }
            // Links end with the scope; parents need not wait for the idle timeout to know.
            shared.over.request();
            shared.rooms.clear();
        });
    }

    /// Replaces the list of parents, best first. Links to those that stay, stay.
    pub fn set_parents(&self, parents: Vec<String>) {
        self.0
            .parents
            .send_if_modified(|before| std::mem::replace(before, parents) != *before);
    }

    /// Shows another certificate, and trusts other authorities, from the next dial on.
    ///
    /// Errors: the certificates are no use; then nothing has changed.
    pub fn reload(
        &self,
        identity: &Identity,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), Error> {
        let client = transport::client_config(&self.0.config, identity, authorities)?;
        *self.0.client.write() = client;
        Ok(())
    }

    /// True while a parent feeds this node, or it needs none.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.0.needs_parent.load(Ordering::Relaxed) || !self.0.links.parents().is_empty()
    }

    /// All links that frames may come over, the best first. The best link to a parent is active,
    /// even while nobody watches.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let links = self.0.links.all();
        let mut all: Vec<_> = links.iter().map(|link| link.status()).collect();
        let idle = |status: &Status| status.standing != Some(Standing::Active);
        let best = self.0.links.parents().into_iter().next();
        if let Some(best) = best.filter(|best| best.faults() < 2 && all.iter().all(idle)) {
            let place = links.iter().position(|link| Arc::ptr_eq(link, &best));
            if let Some(status) = place.and_then(|place| all.get_mut(place)) {
                status.standing = Some(Standing::Active);
            }
        }
        all.sort_by_key(|status| (status.standing.is_none(), status.standing));
        all
    }

    /// What this node's own children are served from.
    pub(super) fn source(&self) -> Arc<Source> {
        self.0.source.clone()
    }

    /// Pulls what a child pushes, until the link ends.
    pub(super) async fn take(&self, greeted: Greeted, scope: &TaskScope) {
        self.0.take(greeted, scope).await;
    }
}

/// Ends the links to a parent when it is dropped.
struct Stop(Shutdown);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl Shared {
    /// Keeps a task for each parent and peer, as the list of parents changes.
    async fn keep_parents(self: &Arc<Self>, scope: &TaskScope) {
        let keep = |parent: Arc<Parent>| {
            let stop = Stop(scope.shutdown().child());
            let (shared, tasks, stopped) = (self.clone(), scope.clone(), stop.0.clone());
            scope.spawn("relay.pull.parent", async move {
                dial::keep(&shared, &parent, &tasks, &stopped).await;
            });
            stop
        };
        let peers = self
            .config
            .peers
            .iter()
            .zip(PEER_RANK..)
            .map(|(peer, rank)| {
                let peer = Parent::new(peer.as_str().into(), Purpose::Peer, rank);
                keep(peer)
            });
        let _peers: Vec<_> = peers.collect();
        let mut kept: HashMap<String, (Arc<Parent>, Stop)> = HashMap::new();
        let mut list = self.parents.subscribe();
        loop {
            let parents = list.borrow_and_update().clone();
            kept.retain(|address, _| parents.contains(address));
            for (address, rank) in parents.into_iter().zip(0..) {
                if let Some((parent, _)) = kept.get(&address) {
                    parent.set_rank(rank);
                    continue;
                }
                let parent = Parent::new(address.as_str().into(), Purpose::Pull, rank);
                kept.insert(address, (parent.clone(), keep(parent)));
            }
            self.links.touch();
            if list.changed().await.is_err() {
                return;
            }
        }
    }

    /// How many parents stand before this one, for the first dial.
    fn place(&self, parent: &Parent) -> usize {
        match parent.purpose {
            Purpose::Pull => parent.rank(),
            Purpose::Push | Purpose::Peer => 0,
        }
    }

    /// Waits until a link to this parent is wanted: there are not yet enough to better ones.
    async fn turn(&self, parent: &Parent) {
        let mut links = self.links.changes();
        let is_wanted = |links: &Vec<Arc<Link>>| {
            let better = links.iter().filter(|link| {
                link.is_to_parent() && link.rank() < parent.rank() && link.faults() < 2
            });
            parent.purpose != Purpose::Pull || better.count() < self.config.links_max
        };
        let _shared_holds_the_sender = links.wait_for(is_wanted).await.is_err();
    }

    fn add_link(&self, link: Arc<Link>) {
        self.links.add(link);
        self.count_links();
    }

    fn remove_link(&self, link: &Arc<Link>) {
        self.links.remove(link);
        self.count_links();
    }

    fn count_links(&self) {
        let parents = self.links.parents().len();
        self.metrics
            .links
            .set(i64::try_from(parents).unwrap_or(i64::MAX));
    }

    /// Remembers how a link to this parent ended.
    fn judge(&self, parent: &Parent, error: &Error) {
        let now = clock::now();
        match error {
            Error::Wire(_) | Error::Protocol(_) => {
                let shun = Duration::from_secs(self.config.shun_seconds.into());
                let (address, seconds) = (&parent.address, shun.as_secs());
                tracing::warn!(parent = %address, seconds, "parent is shunned: it breaks the protocol");
                parent.blame(now);
                parent.rest(now + shun);
            }
            _ => parent.blame(now),
        }
    }
}
