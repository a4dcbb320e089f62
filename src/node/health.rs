//! What services know of themselves, said where everybody looks: the disk of the ledger is full,
//! NATS is away, no parent answers. The node serves on.

use std::time::Duration;

use crate::node::assembly::Parts;
use crate::runtime::TaskScope;

/// How often services are asked; a link to a parent is there sooner when the node starts.
const LOOK: Duration = Duration::from_secs(2);
/// The names under which they are shown.
const LEDGER: &str = "ledger";
const PARENTS: &str = "parents";

impl Parts {
    /// Follows how the ledger and the links to parents are, by a task of `scope`.
    pub(super) fn watch_health(&self, scope: &TaskScope) {
        let ledger = self.origin.as_ref().map(|origin| origin.ledger.clone());
        let parents = self.parents.clone();
        let conditions = self.metrics.conditions().clone();
        let shutdown = scope.shutdown().clone();
        scope.spawn("node.health", async move {
            loop {
                tokio::select! {
                    () = shutdown.requested() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
                if let Some(ledger) = &ledger {
                    let _said = conditions.follow(LEDGER, ledger.is_healthy()).is_ok();
                }
                let is_alone = parents.as_ref().is_some_and(|all| !all.is_connected());
                match is_alone {
                    true => conditions.raise(PARENTS, "no parent is connected"),
                    false => conditions.clear(PARENTS),
                }
            }
        });
    }
}
