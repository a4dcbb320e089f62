//! The node in its fleet: how hosts are taken, what the registry is told, which origins are found
//! in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::ingest::{publisher, rtmp};
use crate::net::tls::{self, ServerCertificates};
use crate::node::assembly::Parts;
use crate::node::config::Config;
use crate::node::{Error, Role};
use crate::registry::{self, Backend, Registry};
use crate::relay::Puller;
use crate::runtime::TaskScope;
use crate::shed;

/// How often the registry is told what has changed here, and asked who else is there.
const LOOK: Duration = Duration::from_secs(2);

/// Whether hosts push to the node: to every origin, and to edges that say where.
pub(super) fn takes_hosts(config: &Config, role: Role) -> bool {
    let listens = config.rtmp.listen.is_some() || config.rtmp.tls_listen.is_some();
    role == Role::Origin || role == Role::Edge && listens
}

impl Parts {
    /// Binds where hosts push.
    pub(super) fn bind_ingest(
        &mut self,
        config: &Config,
        shown: Option<Arc<ServerCertificates>>,
        scope: &TaskScope,
    ) -> Result<(), Error> {
        let parts = publisher::Parts {
            store: self.store.clone(),
            registry: self.registry.clone(),
            metrics: &self.metrics,
            scope: scope.clone(),
        };
        let desk = publisher::Desk::new(&config.publish, parts);
        if !config.relay.peers.is_empty() {
            desk.stand_by();
        }
        let tls = shown.map(|shown| Arc::new(tls::server_config(shown, &[])));
        let inside = (desk.clone(), self.services.gate.clone(), self.hooks.clone());
        let server = rtmp::Server::bind(config.rtmp.clone(), tls, inside, &self.metrics)?;
        self.services.publishers = Some(desk.clone());
        self.rtmp = Some(server);
        self.desk = Some(desk);
        Ok(())
    }

    /// Takes the node's place in its fleet.
    pub(super) fn join_fleet(&self, config: &Config, role: Role, scope: &TaskScope) {
        if config.registry.backend == Backend::Static {
            return;
        }
        let me = self.introduction(config, role);
        let (registry, gauge) = (self.registry.clone(), self.services.shedding.gauge());
        let shutdown = scope.shutdown().clone();
        scope.spawn("node.registry", async move {
            while !shutdown.is_requested() {
                let level = gauge.level() as u8;
                registry.introduce(registry::Node {
                    level,
                    ..me.clone()
                });
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = shutdown.requested() => {}
                }
            }
        });
        if role == Role::Edge {
            let (registry, door) = (self.registry.clone(), self.services.shedding.door());
            let shutdown = scope.shutdown().clone();
            scope.spawn("node.neighbours", async move {
                tokio::select! {
                    () = follow_full(&registry, &door) => {}
                    () = shutdown.requested() => {}
                }
            });
        }
        if role == Role::Edge
            && config.relay.parents.is_empty()
            && let Some(puller) = self.parents.clone()
        {
            let (registry, shutdown) = (self.registry.clone(), scope.shutdown().clone());
            scope.spawn("node.parents", async move {
                tokio::select! {
                    () = follow_origins(&registry, &puller) => {}
                    () = shutdown.requested() => {}
                }
            });
        }
    }

    /// What the fleet is told of this node.
    fn introduction(&self, config: &Config, role: Role) -> registry::Node {
        let host = match config.registry.host.is_empty() {
            true => self.name.as_str(),
            false => config.registry.host.as_str(),
        };
        let listeners = self.listeners();
        let port = |key| {
            let found = listeners.iter().find(|(name, _)| *name == key);
            found.map(|(_, address): &(_, SocketAddr)| address.port())
        };
        let url = |(kind, scheme, key): (&str, &str, &'static str)| {
            Some((kind.to_owned(), format!("{scheme}://{host}:{}", port(key)?)))
        };
        let http: BTreeMap<String, String> = [
            ("plain", "http", "http.listen"),
            ("tls", "https", "http.tls_listen"),
        ]
        .into_iter()
        .filter_map(url)
        .collect();
        registry::Node {
            name: self.name.as_str().into(),
            role: match role {
                Role::Origin => registry::Role::Origin,
                Role::Edge | Role::Dev => registry::Role::Edge,
            },
            relay: port("relay.listen").map(|port| format!("{host}:{port}")),
            http,
            level: 0,
        }
    }
}

/// Tells the door which nodes have no place for those it would send there.
async fn follow_full(registry: &Registry, door: &shed::Door) {
    loop {
        let mut nodes = registry.nodes();
        nodes.retain(|node| node.level >= shed::Level::JoinQueue as u8);
        let urls = nodes.iter().flat_map(|node| node.http.values());
        door.set_full(urls.map(String::as_str));
        tokio::select! {
            () = registry.nodes_changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Dials the origins that the registry lists, in the order of their names. A list without any is
/// no news: what was dialled last may come back.
async fn follow_origins(registry: &Registry, puller: &Puller) {
    let mut dialled = Vec::new();
    loop {
        let nodes = registry.nodes().into_iter();
        let origins = nodes.filter(|node| node.role == registry::Role::Origin);
        let found: Vec<String> = origins.filter_map(|node| node.relay).collect();
        if !found.is_empty() && found != dialled {
            tracing::info!(parents = ?found, "parents by the registry");
            puller.set_parents(found.clone());
            dialled = found;
        }
        tokio::select! {
            () = registry.nodes_changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
