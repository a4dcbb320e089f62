//! The way to the node that owns a room.

use std::sync::Arc;

use crate::media::RoomName;
use crate::relay::pull::link::Link;
use crate::relay::pull::links::Links;
use crate::relay::pull::rooms::Rooms;

/// Finds the link for questions and fetches: the one that the room comes over, else the best.
#[derive(Debug, Clone)]
pub(super) struct Way {
    links: Arc<Links>,
    rooms: Arc<Rooms>,
}

impl Way {
    pub(super) fn new(links: Arc<Links>, rooms: Arc<Rooms>) -> Self {
        Self { links, rooms }
    }

    /// The link of the moment.
    pub(super) fn to(&self, room: &RoomName) -> Option<Arc<Link>> {
        let best = || self.links.parents().into_iter().next();
        self.rooms.link_of(room).or_else(best)
    }

    /// Waits for a link other than `not`. Only a node that goes down ends the wait by itself.
    pub(super) async fn other(&self, room: &RoomName, not: Option<&Arc<Link>>) -> Arc<Link> {
        let (mut links, mut rooms) = (self.links.changes(), self.rooms.changes());
        loop {
            links.mark_unchanged();
            rooms.mark_unchanged();
            let is_other = |link: &Arc<Link>| not.is_none_or(|not| !Arc::ptr_eq(link, not));
            if let Some(link) = self.to(room).filter(is_other) {
                return link;
            }
            tokio::select! {
                Ok(()) = links.changed() => {}
                Ok(()) = rooms.changed() => {}
                else => std::future::pending().await,
            }
        }
    }
}
