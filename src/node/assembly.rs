//! One node, assembled: every service of its role, bound first and started together.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::admin::{self, Fleet, NodeInfo, Sources};
use crate::auth::Verifier;
use crate::delivery::Delivery;
use crate::ingest::{publisher, rtmp};
use crate::ledger::Ledger;
use crate::live::{Exchange, Store};
use crate::net::http::Service;
use crate::net::tls::{self, Identity, ServerCertificates};
use crate::node::certificates::{Certificates, Loaded};
use crate::node::config::Config;
use crate::node::routes::Routes;
use crate::node::{Error, Role};
use crate::rooms::authority::{self, Authority};
use crate::rooms::doors::{self, Doors};
use crate::rooms::{moderation, orders};
use crate::runtime::{Shutdown, TaskScope, clock};
use crate::telemetry::Metrics;
use crate::{net, relay};

/// A running node.
pub struct Node {
    name: String,
    listeners: Vec<(&'static str, SocketAddr)>,
    scope: TaskScope,
    grace: Duration,
    delivery: Option<Delivery>,
    doors: Option<Doors>,
    exchange: Exchange,
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
        let grace = Duration::from_secs(u64::from(config.node.grace_seconds));
        let parts = Parts::bind(config, role, certificates, &scope).await?;
        parts.run(role, scope, grace)
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

    /// Where questions about rooms go.
    pub fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Drains: the node is not ready from now on, sessions end, and what has not ended after
    /// `node.grace_seconds` is aborted. The admin port answers until the end.
    pub async fn stop(self) {
        if let Some(delivery) = &self.delivery {
            delivery.drain();
        }
        if let Some(doors) = &self.doors {
            doors.drain();
        }
        let aborted = self.scope.finish(self.grace).await;
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

/// Everything a node serves with, bound and not yet running.
struct Parts {
    name: String,
    store: Store,
    exchange: Exchange,
    metrics: Metrics,
    desk: Option<publisher::Desk>,
    rtmp: Option<rtmp::Server>,
    children: Option<relay::Server>,
    parents: Option<relay::Puller>,
    delivery: Option<Delivery>,
    doors: Option<Doors>,
    origin: Option<OriginRooms>,
    http: Option<net::Server>,
    http_metrics: Option<net::http::Metrics>,
    admin: Option<admin::Server>,
}

/// The rooms whose origin a node is, with their orders.
struct OriginRooms {
    authority: Authority,
    orders: orders::Desk,
    ledger: Ledger,
}

impl Parts {
    async fn bind(
        config: &Config,
        role: Role,
        certificates: Option<Certificates>,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        let name = config.node.shown_name();
        let certificates = match certificates {
            Some(certificates) => Loaded::from(certificates),
            None => Loaded::from_files(config)?,
        };
        let shown = certificates.http.as_ref().map(ServerCertificates::new);
        let shown = shown.transpose()?;
        let mut parts = Self {
            name,
            admin: admin::Server::bind(&config.admin)?,
            store: Store::new(config.live.clone()),
            exchange: Exchange::default(),
            metrics: Metrics::default(),
            desk: None,
            rtmp: None,
            children: None,
            parents: None,
            delivery: None,
            doors: None,
            origin: None,
            http: None,
            http_metrics: None,
        };
        if role == Role::Origin {
            parts.bind_ingest(config, shown.clone(), scope)?;
        }
        if let Some((identity, authorities)) = certificates.relay {
            parts.bind_relay(&config.relay, identity, authorities)?;
        }
        parts.bind_viewers(config, shown, scope)?;
        // Last: what it takes up at once needs a node that will run.
        if role == Role::Origin {
            parts.open_rooms(config, scope).await?;
        }
        Ok(parts)
    }

    async fn open_rooms(&mut self, config: &Config, scope: &TaskScope) -> Result<(), Error> {
        let ledger = Ledger::open(&config.ledger, &self.metrics, scope).await?;
        let (orders, changes) =
            orders::Desk::start(&config.orders, ledger.clone(), &self.metrics, scope);
        let parts = authority::Parts {
            store: self.store.clone(),
            exchange: self.exchange.clone(),
            ledger: ledger.clone(),
            orders: (orders.clone(), changes),
            metrics: self.metrics.clone(),
            node_name: self.name.as_str().into(),
            scope: scope.clone(),
        };
        let authority = Authority::start(&config.rooms, parts).await;
        self.origin = Some(OriginRooms {
            authority,
            orders,
            ledger,
        });
        Ok(())
    }

    fn bind_ingest(
        &mut self,
        config: &Config,
        shown: Option<Arc<ServerCertificates>>,
        scope: &TaskScope,
    ) -> Result<(), Error> {
        let (store, metrics) = (self.store.clone(), &self.metrics);
        let desk = publisher::Desk::new(store, config.publish.clone(), metrics, scope.clone());
        let tls = shown.map(|shown| Arc::new(tls::server_config(shown, &[])));
        self.rtmp = Some(rtmp::Server::bind(
            config.rtmp.clone(),
            tls,
            desk.clone(),
            metrics,
        )?);
        self.desk = Some(desk);
        Ok(())
    }

    fn bind_relay(
        &mut self,
        config: &relay::Config,
        identity: Identity,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<(), Error> {
        let local = relay::Local {
            node: self.name.as_str().into(),
            identity,
            authorities,
            store: self.store.clone(),
            exchange: self.exchange.clone(),
            metrics: self.metrics.clone(),
        };
        if config.listen.is_some() {
            self.children = Some(relay::Server::bind(config, &local)?);
        }
        if !config.parents.is_empty() {
            self.parents = Some(relay::Puller::new(config, &local)?);
        }
        Ok(())
    }

    fn bind_viewers(
        &mut self,
        config: &Config,
        shown: Option<Arc<ServerCertificates>>,
        scope: &TaskScope,
    ) -> Result<(), Error> {
        let secure = config.http.tls_listen.is_some() && shown.is_some();
        if config.http.listen.is_none() && !secure {
            return Ok(());
        }
        let media = tokio::runtime::Handle::current();
        let doors = self.open_doors(config, scope)?;
        let (store, metrics) = (self.store.clone(), &self.metrics);
        let (scope, name) = (scope.clone(), &self.name);
        let delivery = Delivery::new(&config.delivery, store, scope, media, metrics, name);
        let services = (delivery.clone(), doors.clone());
        let make = move |worker| -> Rc<dyn Service> {
            Rc::new(Routes {
                viewers: services.0.service(worker),
                rooms: services.1.service(worker),
            })
        };
        let measured = net::http::Metrics::register(metrics);
        self.http = Some(net::Server::bind(
            config.http.clone(),
            shown,
            make,
            measured.clone(),
        )?);
        self.http_metrics = Some(measured);
        self.delivery = Some(delivery);
        self.doors = Some(doors);
        Ok(())
    }

    fn open_doors(&self, config: &Config, scope: &TaskScope) -> Result<Doors, Error> {
        let runtime = tokio::runtime::Handle::current();
        let node_name: Arc<str> = self.name.as_str().into();
        let rules = moderation::Parts {
            node_name: node_name.clone(),
            exchange: self.exchange.clone(),
            metrics: &self.metrics,
            scope,
            runtime: &runtime,
        };
        let moderation = moderation::Rules::start(&config.moderation, rules)?;
        let parts = doors::Parts {
            store: self.store.clone(),
            exchange: self.exchange.clone(),
            auth: Arc::new(Verifier::new(&config.auth)?),
            moderation,
            metrics: self.metrics.clone(),
            node_name,
            scope: scope.clone(),
            runtime,
        };
        Ok(Doors::new(&config.rooms, parts))
    }

    fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let rtmp = self.rtmp.as_ref();
        let http = self.http.as_ref().map(net::Server::local_addresses);
        [
            ("rtmp.listen", rtmp.and_then(rtmp::Server::local_addr)),
            ("rtmp.tls_listen", rtmp.and_then(rtmp::Server::tls_addr)),
            (
                "relay.listen",
                self.children.as_ref().map(relay::Server::local_addr),
            ),
            (
                "http.listen",
                http.as_ref().and_then(|addresses| addresses.plain),
            ),
            (
                "http.tls_listen",
                http.as_ref().and_then(|addresses| addresses.tls),
            ),
            (
                "admin.listen",
                self.admin.as_ref().map(admin::Server::local_addr),
            ),
        ]
        .into_iter()
        .filter_map(|(key, address)| Some((key, address?)))
        .collect()
    }

    fn run(self, role: Role, scope: TaskScope, grace: Duration) -> Result<Node, Error> {
        let listeners = self.listeners();
        let shutdown = scope.shutdown().clone();
        let sources = Sources {
            node: NodeInfo {
                name: self.name.clone(),
                role: role.as_str(),
                version: env!("CARGO_PKG_VERSION"),
                started_ms: clock::unix_us() / 1000,
                listeners: listeners
                    .iter()
                    .map(|(key, at)| (*key, at.to_string()))
                    .collect(),
            },
            store: self.store,
            publishers: self.desk,
            children: self.children.clone(),
            parents: self.parents.clone(),
            delivery: self.delivery.clone(),
            exchange: self.exchange.clone(),
            rooms: self.origin.as_ref().map(|rooms| rooms.authority.clone()),
            doors: self.doors.clone(),
            orders: self.origin.as_ref().map(|rooms| rooms.orders.clone()),
            ledger: self.origin.as_ref().map(|rooms| rooms.ledger.clone()),
            http: self.http_metrics,
            fleet: Fleet::new(tokio::sync::watch::Sender::default()),
            metrics: self.metrics,
            shutdown,
        };
        // The desk outlives the services it shows, so that a drain can be watched.
        let admin_shutdown = Shutdown::new();
        let admin = match self.admin {
            Some(server) => Some(server.run(sources, admin_shutdown.clone())?),
            None => None,
        };
        if let Some(children) = self.children {
            children.run(&scope);
        }
        if let Some(parents) = self.parents {
            parents.run(&scope);
        }
        if let Some(rtmp) = self.rtmp {
            rtmp.run(scope.clone())
                .map_err(|error| Error::System("rtmp", error))?;
        }
        if let Some(http) = self.http {
            let shutdown = scope.shutdown().clone();
            scope.spawn("http", async move {
                if let Err(error) = http.run(&shutdown, grace).await {
                    tracing::error!(%error, "viewers are served by fewer workers");
                }
            });
        }
        let (name, delivery, doors) = (self.name, self.delivery, self.doors);
        let exchange = self.exchange;
        Ok(Node {
            name,
            listeners,
            scope,
            grace,
            delivery,
            doors,
            exchange,
            admin,
            admin_shutdown,
        })
    }
}
