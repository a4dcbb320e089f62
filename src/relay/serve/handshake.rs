//! Handshakes with children: how many at once, and who has to prove the address first.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::relay::serve::{Shared, child};
use crate::runtime::TaskScope;

/// Handshakes under way before strangers have to show that they own their address.
const HANDSHAKES_UNPROVEN_MAX: usize = 32;

/// Handshakes under way in all.
const HANDSHAKES_MAX: usize = 256;

impl Shared {
    /// Lets a dial in, sends it back for a proof of its address, or refuses it.
    pub(super) fn admit(self: &Arc<Self>, incoming: quinn::Incoming, scope: &TaskScope) {
        let handshakes = self.handshakes.load(Ordering::Relaxed);
        let children = self.children.lock().len();
        if handshakes >= HANDSHAKES_MAX || children >= self.config.children_max {
            self.metrics.refused.inc();
            incoming.refuse();
        } else if handshakes >= HANDSHAKES_UNPROVEN_MAX && incoming.may_retry() {
            let _answered = incoming.retry().is_ok();
        } else {
            let handshake = Handshake::begin(self.clone());
            let grandchildren = scope.clone();
            scope.spawn("relay.serve.child", async move {
                child::serve(handshake, incoming, &grandchildren).await;
            });
        }
    }
}

/// A handshake under way; counted while it lives.
pub(super) struct Handshake(pub(super) Arc<Shared>);

impl Handshake {
    fn begin(shared: Arc<Shared>) -> Self {
        shared.handshakes.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}
