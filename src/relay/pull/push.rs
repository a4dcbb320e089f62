//! Pushes: shows that are published on this node, or below it, go up. The node dials its parent a
//! second time, and over that connection the ends are swapped: the parent pulls.

use std::sync::Arc;
use std::time::Duration;

use crate::relay::pull::dial::{self, jittered};
use crate::relay::pull::link::Link;
use crate::relay::pull::parent::Parent;
use crate::relay::pull::session;
use crate::relay::pull::shared::Shared;
use crate::relay::serve::{Greeted, View, serve_link};
use crate::relay::transport;
use crate::relay::wire::control::Purpose;
use crate::runtime::TaskScope;

/// How long a parent is pushed to after the last show has ended.
const LINGER: Duration = Duration::from_secs(5);

/// How long the way before is kept when shows take another one.
const OVERLAP: Duration = Duration::from_secs(2);

/// Between two dials of a parent that takes no pushes.
const RETRY: Duration = Duration::from_secs(1);

/// Pushes to the best parent, as long as there is something to push, for ever.
pub(super) async fn for_ever(shared: &Arc<Shared>, scope: &TaskScope) {
    loop {
        let target = target(shared).await;
        let address = target.parent.address.clone();
        let greeted = match dial::greet(shared, &address, Purpose::Push).await {
            Ok(greeted) => greeted,
            Err(error) => {
                tracing::warn!(parent = %address, %error, "shows cannot be pushed");
                tokio::time::sleep(jittered(RETRY)).await;
                continue;
            }
        };
        transport::allow_requests(&greeted.connection);
        let way = TaskScope::under(scope.shutdown());
        let connection = greeted.connection.clone();
        let (source, tasks) = (shared.source.clone(), way.clone());
        way.spawn("relay.push", async move {
            serve_link(&source, greeted, View::OwnShows, &tasks).await;
        });
        tokio::select! {
            _ = connection.closed() => {}
            () = is_other_way(shared, &target) => {
                // The next way is up before this one ends.
                scope.spawn("relay.push.before", async move {
                    tokio::time::sleep(OVERLAP).await;
                    way.finish(Duration::from_secs(1)).await;
                });
                continue;
            }
            () = nothing_left(shared) => {}
        }
        way.finish(Duration::from_secs(1)).await;
    }
}

/// The link to the parent to push to, once there is a show to push.
async fn target(shared: &Shared) -> Arc<Link> {
    let mut stores = shared.store.changes();
    let (mut links, mut rooms) = (shared.links.changes(), shared.rooms.changes());
    loop {
        stores.mark_unchanged();
        links.mark_unchanged();
        rooms.mark_unchanged();
        if shared.has_own_shows()
            && let Some(best) = best(shared)
        {
            return best;
        }
        tokio::select! {
            Ok(()) = stores.changed() => {}
            Ok(()) = links.changed() => {}
            Ok(()) = rooms.changed() => {}
            else => std::future::pending().await,
        }
    }
}

fn best(shared: &Shared) -> Option<Arc<Link>> {
    let parents = shared.links.parents();
    let is_up = |link: &Arc<Link>| link.connection.close_reason().is_none();
    parents
        .into_iter()
        .find(|link| link.is_current() && is_up(link))
}

/// Waits until another parent is better than `target`.
async fn is_other_way(shared: &Shared, target: &Arc<Link>) {
    let mut links = shared.links.changes();
    loop {
        let is_worse = |best: &Arc<Link>| {
            !Arc::ptr_eq(best, target)
                && (target.connection.close_reason().is_some() || best.faults() < target.faults())
        };
        links.mark_unchanged();
        if best(shared).as_ref().is_some_and(is_worse) || links.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until there has been nothing to push for a while.
async fn nothing_left(shared: &Shared) {
    let (mut stores, mut rooms) = (shared.store.changes(), shared.rooms.changes());
    loop {
        stores.mark_unchanged();
        rooms.mark_unchanged();
        let pause = tokio::time::sleep(LINGER);
        let has_shows = shared.has_own_shows();
        tokio::select! {
            () = pause, if !has_shows => return,
            Ok(()) = stores.changed() => {}
            Ok(()) = rooms.changed() => {}
            else => return,
        }
    }
}

impl Shared {
    /// True when a show is published here or was pushed here.
    fn has_own_shows(&self) -> bool {
        self.store.shows().iter().any(|show| {
            let info = show.info();
            let came = self.rooms.came(&(info.room.clone(), info.kind));
            came.is_none_or(|came| came.way == Purpose::Push)
        })
    }

    /// Pulls what a child pushes over a connection that it has dialled.
    pub(super) async fn take(self: &Arc<Self>, greeted: Greeted, scope: &TaskScope) {
        transport::take_pushes(&greeted.connection, &self.config);
        let address = greeted.connection.remote_address().to_string();
        let parent = Parent::new(address.into(), Purpose::Push, 0);
        session::run(self, &parent, greeted, scope, scope.shutdown()).await;
    }
}
