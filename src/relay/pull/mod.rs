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
mod room;
mod rooms;
mod session;
mod settle;
mod shared;
mod streams;
mod track;
mod way;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::pki_types::CertificateDer;

use crate::live::Exchange;
use crate::net::tls::Identity;
use crate::relay::serve::{Greeted, Source};
use crate::relay::{Config, Error, Local, Status, transport};
use crate::runtime::TaskScope;

use shared::Shared;
use way::Way;

pub(super) use rooms::{Came, Rooms};

/// The child end of a node.
#[derive(Debug, Clone)]
pub struct Puller(Arc<Shared>);

impl Puller {
    /// Prepares to dial; nothing runs yet. An origin needs one too: it takes what children push.
    ///
    /// Errors: the certificates are no use.
    pub fn new(config: &Config, local: &Local) -> Result<Self, Error> {
        Shared::new(config, local).map(|shared| Self(Arc::new(shared)))
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
        self.0.status()
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
