//! The links that are up, in the order of preference.

use std::sync::Arc;

use tokio::sync::watch;

use crate::relay::pull::link::Link;
use crate::relay::wire::control::Purpose;

/// All links over which frames may come.
#[derive(Debug)]
pub(super) struct Links(watch::Sender<Vec<Arc<Link>>>);

impl Links {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    pub(super) fn add(&self, link: Arc<Link>) {
        self.0.send_modify(|links| {
            links.push(link);
            links.sort_by_key(|link| link.rank());
        });
    }

    pub(super) fn remove(&self, link: &Arc<Link>) {
        self.0
            .send_modify(|links| links.retain(|other| !Arc::ptr_eq(other, link)));
    }

    /// The order, or how a link fares, has changed.
    pub(super) fn touch(&self) {
        self.0
            .send_modify(|links| links.sort_by_key(|link| link.rank()));
    }

    pub(super) fn all(&self) -> Vec<Arc<Link>> {
        self.0.borrow().clone()
    }

    /// Links to parents, the best first.
    pub(super) fn parents(&self) -> Vec<Arc<Link>> {
        let mut parents = self.all();
        parents.retain(|link| link.parent.purpose == Purpose::Pull);
        parents.sort_by_key(|link| link.standing());
        parents
    }

    /// Changes of the list, and of how links fare.
    pub(super) fn changes(&self) -> watch::Receiver<Vec<Arc<Link>>> {
        self.0.subscribe()
    }
}
