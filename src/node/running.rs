//! A node that runs: its services started together, and what can be asked of it.

use std::net::SocketAddr;

use crate::admin::{self, Asked, Stops, why};
use crate::delivery::Delivery;
use crate::live::{Exchange, Store};
use crate::net::acme::Renewer;
use crate::net::heritage::Successor;
use crate::node::assembly::Parts;
use crate::node::certificates::Certificates;
use crate::node::config::Config;
use crate::node::ending::{LAST_CALL, Peers, Plan};
use crate::node::relay_certificates::RelayKeeper;
use crate::node::reload::Reload;
use crate::node::services::Services;
use crate::node::{ConfigOrigin, Error, Role};
use crate::runtime::{Shutdown, TaskScope, clock};
use crate::telemetry::Metrics;

/// A running node.
pub struct Node {
    name: String,
    listeners: Vec<(&'static str, SocketAddr)>,
    scope: TaskScope,
    plan: Plan,
    peers: Peers,
    exchange: Exchange,
    store: Store,
    services: Services,
    configuration: admin::Configuration,
    metrics: Metrics,
    admin: Option<std::thread::JoinHandle<()>>,
    admin_shutdown: Shutdown,
}

impl Node {
    /// Binds everything that `config` wants for `role` and starts it in the current runtime.
    ///
    /// Errors: a port is taken, a file is missing or wrong. Nothing stays open then.
    pub async fn start(
        config: &Config,
        role: Role,
        certificates: Option<Certificates>,
        parent: &Shutdown,
    ) -> Result<Self, Error> {
        let scope = TaskScope::under(parent);
        let parts = Parts::bind(config, role, certificates, &scope).await?;
        parts.run(config, role, scope)
    }

    /// The addresses taken, by configuration key.
    pub fn listeners(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.listeners
            .iter()
            .map(|(key, address)| (*key, address.to_string()))
    }

    /// The address taken for a configuration key.
    pub fn address(&self, key: &str) -> Option<SocketAddr> {
        self.listeners
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, address)| *address)
    }

    /// Takes another configuration whenever `origin` has one.
    ///
    /// Errors: the process cannot listen to signals.
    pub fn follow(&self, origin: ConfigOrigin, role: Role) -> Result<(), Error> {
        let (services, shown) = (self.services.clone(), self.configuration.clone());
        Reload::new(origin, role, services, shown, &self.metrics).run(&self.scope)
    }

    /// Where questions about rooms go.
    pub fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Waits until an operator asks something of this node.
    pub async fn asked(&mut self) -> Asked {
        self.plan.asked().await
    }

    /// Its broadcasts.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its viewers, where it has some.
    pub fn delivery(&self) -> Option<&Delivery> {
        self.peers.delivery.as_ref()
    }

    /// Shows that no other process could take this one's place.
    pub fn fails_to_upgrade(&self, error: &std::io::Error) {
        tracing::error!(%error, "no successor: this process serves on");
        let detail = format!("no other process could take over: {error}");
        self.metrics.conditions().raise("upgrade", detail);
    }

    /// Drains as `wish` says, or in favour of `successor`, and ends: see
    /// [`ending`](crate::node::ending). What has not ended at the deadline is aborted. The admin
    /// port answers until the end.
    pub async fn stop(mut self, wish: admin::Wish, successor: Option<Successor>) {
        let terms = match successor {
            Some(_) => self.plan.succession(),
            None => self.plan.terms(wish),
        };
        let deadline = terms.deadline;
        self.peers.send_away(terms, successor).await;
        let left = deadline.saturating_duration_since(clock::now());
        let aborted = self.scope.finish(left).await;
        self.admin_shutdown.request();
        if let Some(thread) = self.admin
            && tokio::task::spawn_blocking(move || thread.join())
                .await
                .is_err()
        {
            tracing::warn!("the admin thread has panicked");
        }
        tracing::info!(node = self.name, aborted, "stopped");
    }
}

impl Parts {
    /// Follows the rooms, and lets the node testify when others ask why one is late.
    fn watch(&self, role: Role, scope: &TaskScope) -> why::Monitor {
        let monitor = why::Monitor::new(why::Parts {
            node: self.name.clone(),
            role: role.as_str(),
            has_parents: role != Role::Origin,
            store: self.store.clone(),
            above: self.above.clone(),
            delivery: self.delivery.clone(),
            publishers: self.desk.clone(),
            children: self.children.clone(),
            parents: self.parents.clone(),
            lag: self.vitals.lag().clone(),
            log: self.log.clone(),
        });
        let witness = why::Witness::new(self.above.clone(), monitor.clone());
        self.exchange.set_authority(witness);
        let vitals = self.vitals.clone();
        scope.spawn("node.vitals", vitals.watch(scope.shutdown().clone()));
        scope.spawn("why", monitor.clone().run(scope.shutdown().clone()));
        monitor
    }

    /// Starts everything.
    fn run(self, config: &Config, role: Role, scope: TaskScope) -> Result<Node, Error> {
        let listeners = self.listeners();
        let (stops, asked) = Stops::new(self.drain.clone());
        let plan = Plan::new(config, asked);
        let mut sources = self.sources(role, &listeners, stops);
        sources.why = Some(self.watch(role, &scope));
        // The desk outlives the services it shows, so that a drain can be watched.
        self.watch_health(&scope);
        let admin_shutdown = Shutdown::new();
        let admin = match self.admin {
            Some(server) => Some(server.run(sources, admin_shutdown.clone())?),
            None => None,
        };
        if let Some(certificates) = self.certificates {
            certificates.watch(&scope);
        }
        if let Some(acme) = &config.http.acme {
            Renewer::new(acme, self.challenges, &self.metrics).run(&scope);
        }
        self.services.keys.clone().watch(&scope);
        if let Some(children) = &self.children {
            children.run(&scope);
        }
        if let Some(parents) = self.parents {
            parents.run(&scope);
            let keeper = RelayKeeper {
                config: config.relay.clone(),
                children: self.children.clone(),
                parents,
                conditions: self.metrics.conditions().clone(),
            };
            keeper.watch(&scope);
        }
        if let Some(rtmp) = self.rtmp {
            rtmp.run(scope.clone())
                .map_err(|error| Error::System("rtmp", error))?;
        }
        let http = self.http.map(|http| {
            let (drain, shutdown) = (self.drain.clone(), scope.shutdown().clone());
            scope.spawn("http", async move {
                if let Err(error) = http.run(&drain, &shutdown, LAST_CALL).await {
                    tracing::error!(%error, "viewers are served by fewer workers");
                }
            })
        });
        let peers = Peers {
            drain: self.drain,
            delivery: self.delivery,
            doors: self.doors,
            children: self.children,
            is_origin: role == Role::Origin,
            http,
        };
        Ok(Node {
            name: self.name,
            listeners,
            scope,
            plan,
            peers,
            exchange: self.exchange,
            store: self.store,
            services: self.services,
            configuration: self.configuration,
            metrics: self.metrics,
            admin,
            admin_shutdown,
        })
    }
}
