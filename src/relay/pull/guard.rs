//! Looks after links and rooms: which links are silent, which rooms stand still, which could come
//! over a better link.

use std::sync::Arc;
use std::time::Duration;

use crate::relay::metrics::Switch;
use crate::relay::pull::health::Pace;
use crate::relay::pull::shared::Shared;
use crate::runtime::clock::Instant;
use crate::runtime::{TaskScope, clock};

/// How often links are looked at.
const STEP: Duration = Duration::from_millis(25);

/// Steps between two looks at rooms that stand still.
const STALL_STEPS: u64 = 4;

/// Steps between two looks at all that could be better.
const BETTER_STEPS: u64 = 40;

/// Steps between two looks at links that are no longer needed.
const SURPLUS_STEPS: u64 = 10;

/// A step that came later than this was the node's own pause: what the links did in the meantime is
/// not known yet.
const PAUSE: Duration = Duration::from_millis(75);

/// Looks until the future is dropped.
pub(super) async fn look_after(shared: &Arc<Shared>, scope: &TaskScope) {
    let mut changes = shared.store.changes();
    let mut last = clock::now();
    for step in 0_u64.. {
        tokio::time::sleep(STEP).await;
        let now = clock::now();
        let pause = now.saturating_duration_since(std::mem::replace(&mut last, now));
        if pause < PAUSE && shared.listen(now) {
            shared.links.touch();
            shared.rooms.reconsider(Switch::Silence, scope);
        }
        if step % STALL_STEPS == 0 {
            shared.rooms.look();
        }
        let has_changed = changes.has_changed().unwrap_or(false);
        if has_changed || step % BETTER_STEPS == 0 {
            changes.mark_unchanged();
            shared.rooms.reconsider(Switch::Better, scope);
        }
        if step % SURPLUS_STEPS == 0 {
            shared.dismiss_surplus();
        }
    }
}

impl Shared {
    /// Looks which links are heard. True when that has changed for one of them.
    fn listen(&self, now: Instant) -> bool {
        let links = self.links.all();
        let parents = links.iter().filter(|link| link.is_to_parent()).count();
        let mut has_changed = false;
        for link in &links {
            let pace = match (link.is_to_parent() && parents < 2, link.is_active()) {
                (true, _) => Pace::Alone,
                (false, true) => Pace::Close,
                (false, false) => Pace::Steady,
            };
            let datagrams = link.connection.stats().udp_rx.datagrams;
            if link.health.look(datagrams, pace, link.rtt(), now) {
                has_changed = true;
                let (peer, is_late) = (&link.hello.node, link.health.is_late());
                tracing::debug!(%peer, is_late, "a link fares otherwise");
                if is_late && parents > 1 {
                    link.parent.blame(now);
                }
            }
        }
        has_changed
    }

    /// Ends links beyond `links_max` that nothing comes over, and those to parents that said
    /// goodbye.
    fn dismiss_surplus(&self) {
        let parents = self.links.parents();
        let good = parents.iter().filter(|link| link.faults() < 2).count();
        for (place, link) in parents.iter().enumerate() {
            let is_left = link.health.is_leaving() && good > 0;
            let is_surplus = place >= self.config.links_max || is_left;
            if is_surplus && !link.is_active() && self.rooms.routes_over(link) == 0 {
                link.health.dismiss();
            }
        }
    }
}
