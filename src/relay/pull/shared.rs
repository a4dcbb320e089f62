//! What the tasks of the child end share, and the links that it keeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};

use crate::live::Store;
use crate::relay::metrics::PullMetrics;
use crate::relay::pull::dial;
use crate::relay::pull::link::Link;
use crate::relay::pull::links::Links;
use crate::relay::pull::parent::Parent;
use crate::relay::pull::rooms::Rooms;
use crate::relay::serve::Source;
use crate::relay::wire::control::Purpose;
use crate::relay::{Config, Error, Local, Standing, Status, transport};
use crate::runtime::{Shutdown, TaskScope, clock};

/// Peers stand behind all parents.
const PEER_RANK: usize = 1000;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: RwLock<quinn::ClientConfig>,
    pub(super) config: Config,
    pub(super) node: Arc<str>,
    pub(super) store: Store,
    pub(super) metrics: Arc<PullMetrics>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) links: Arc<Links>,
    pub(super) source: Arc<Source>,
    /// The addresses of parents, in order of preference.
    pub(super) parents: watch::Sender<Vec<String>>,
    pub(super) report: watch::Receiver<Bytes>,
    pub(super) policy_in: mpsc::Sender<Bytes>,
    /// Some other node owns the rooms.
    pub(super) needs_parent: AtomicBool,
    /// Requested when no further link will come.
    pub(super) over: Shutdown,
}

/// Ends the links to a parent when it is dropped.
struct Stop(Shutdown);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl Shared {
    /// Nothing runs yet.
    pub(super) fn new(config: &Config, local: &Local) -> Result<Self, Error> {
        let client = transport::client_config(config, &local.identity, &local.authorities)?;
        let metrics = PullMetrics::register(&local.metrics);
        let rooms = Arc::new(Rooms::new(config, local, metrics.clone()));
        Ok(Self {
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
        })
    }

    /// All links, the best first.
    pub(super) fn status(&self) -> Vec<Status> {
        let links = self.links.all();
        let mut all: Vec<_> = links.iter().map(|link| link.status()).collect();
        let idle = |status: &Status| status.standing != Some(Standing::Active);
        let best = self.links.parents().into_iter().next();
        if let Some(best) = best.filter(|best| best.faults() < 2 && all.iter().all(idle)) {
            let place = links.iter().position(|link| Arc::ptr_eq(link, &best));
            if let Some(status) = place.and_then(|place| all.get_mut(place)) {
                status.standing = Some(Standing::Active);
            }
        }
        all.sort_by_key(|status| (status.standing.is_none(), status.standing));
        all
    }

    /// Keeps a task for each parent and peer, as the list of parents changes.
    pub(super) async fn keep_parents(self: &Arc<Self>, scope: &TaskScope) {
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
    pub(super) fn place(&self, parent: &Parent) -> usize {
        match parent.purpose {
            Purpose::Pull => parent.rank(),
            Purpose::Push | Purpose::Peer => 0,
        }
    }

    /// Waits until a link to this parent is wanted: there are not yet enough to better ones.
    pub(super) async fn turn(&self, parent: &Parent) {
        let mut links = self.links.changes();
        let is_wanted = |links: &Vec<Arc<Link>>| {
            let better = links.iter().filter(|link| {
                link.is_to_parent() && link.rank() < parent.rank() && link.faults() < 2
            });
            parent.purpose != Purpose::Pull || better.count() < self.config.links_max
        };
        let _shared_holds_the_sender = links.wait_for(is_wanted).await.is_err();
    }

    pub(super) fn add_link(&self, link: Arc<Link>) {
        self.links.add(link);
        self.count_links();
    }

    pub(super) fn remove_link(&self, link: &Arc<Link>) {
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
    pub(super) fn judge(&self, parent: &Parent, error: &Error) {
        let now = clock::now();
        match error {
            Error::Wire(_) | Error::Protocol(_) => {
                let shun = Duration::from_secs(self.config.shun_seconds.into());
                let (address, seconds) = (&parent.address, shun.as_secs());
                tracing::warn!(parent = %address, seconds, "a bad parent is shunned");
                parent.blame(now);
                parent.rest(now + shun);
            }
            _ => parent.blame(now),
        }
    }
}
