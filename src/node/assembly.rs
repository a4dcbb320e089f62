//! One node, assembled: every service of its role, bound first and started together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::admin::{self, NodeInfo, Sources};
use crate::delivery::Delivery;
use crate::ingest::{publisher, rtmp};
use crate::live::{Exchange, Store};
use crate::net::tls::{self, Identity, ServerCertificates};
use crate::node::config::Config;
use crate::node::{Error, Role};
use crate::runtime::{Shutdown, TaskScope, clock};
use crate::telemetry::Metrics;
use crate::{net, relay};

/// Certificates that do not come from files: those `rushlane dev` makes.
pub struct Certificates {
    /// The CA of the relay.
    pub relay_ca: Vec<CertificateDer<'static>>,
    /// This node's identity on the relay.
    pub relay: Identity,
    /// What viewers and RTMPS hosts are shown.
    pub http: Identity,
}

/// A running node.
pub struct Node {
    name: String,
    listeners: Vec<(&'static str, SocketAddr)>,
    scope: TaskScope,
    grace: Duration,
    delivery: Option<Delivery>,
    admin: Option<std::thread::JoinHandle<()>>,
    admin_shutdown: Shutdown,
}

impl Node {
    /// Binds everything that `config` wants for `role` and starts it in the current runtime.
    ///
    /// Errors: a port is taken, a file is missing or wrong. Nothing stays open then.
    pub fn start(
        config: &Config,
        role: Role,
        certificates: Option<Certificates>,
        parent: &Shutdown,
    ) -> Result<Self, Error> {
        let scope = TaskScope::under(parent);
        let grace = Duration::from_secs(u64::from(config.node.grace_seconds));
        let parts = Parts::bind(config, role, certificates, &scope)?;
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

    /// Drains: the node is not ready from now on, sessions end, and what has not ended after
    /// `node.grace_seconds` is aborted. The admin port answers until the end.
    pub async fn stop(self) {
        if let Some(delivery) = &self.delivery {
            delivery.drain();
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
    http: Option<net::Server>,
    admin: Option<admin::Server>,
}

impl Parts {
    fn bind(
        config: &Config,
        role: Role,
        certificates: Option<Certificates>,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        let name = node_name(&config.node.name);
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
            http: None,
        };
        if role == Role::Origin {
            parts.bind_ingest(config, shown.clone(), scope)?;
        }
        if let Some((identity, authorities)) = certificates.relay {
            parts.bind_relay(&config.relay, identity, authorities)?;
        }
        parts.bind_viewers(config, shown, scope)?;
        Ok(parts)
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
        let (store, metrics) = (self.store.clone(), &self.metrics);
        let (scope, name) = (scope.clone(), &self.name);
        let delivery = Delivery::new(&config.delivery, store, scope, media, metrics, name);
        let service = delivery.clone();
        let make = move |worker| service.service(worker);
        let measured = net::http::Metrics::register(metrics);
        self.http = Some(net::Server::bind(
            config.http.clone(),
            shown,
            make,
            measured,
        )?);
        self.delivery = Some(delivery);
        Ok(())
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
        let (name, delivery) = (self.name, self.delivery);
        Ok(Node {
            name,
            listeners,
            scope,
            grace,
            delivery,
            admin,
            admin_shutdown,
        })
    }
}

/// The certificates a node works with, from files or from `rushlane dev`.
struct Loaded {
    relay: Option<(Identity, Vec<CertificateDer<'static>>)>,
    http: Option<Identity>,
}

impl From<Certificates> for Loaded {
    fn from(made: Certificates) -> Self {
        Self {
            relay: Some((made.relay, made.relay_ca)),
            http: Some(made.http),
        }
    }
}

impl Loaded {
    fn from_files(config: &Config) -> Result<Self, Error> {
        let relay = &config.relay;
        let relay = match (&relay.ca, &relay.certificate, &relay.key) {
            (Some(ca), Some(certificate), Some(key)) => Some((
                Identity::load(certificate, key)?,
                tls::load_certificates(ca)?,
            )),
            _ => None,
        };
        let http = match (&config.http.certificate, &config.http.key) {
            (Some(certificate), Some(key)) => Some(Identity::load(certificate, key)?),
            _ => None,
        };
        Ok(Self { relay, http })
    }
}

/// The name in the configuration, else the host's, else a word.
fn node_name(configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect();
    if host.is_empty() {
        "rushlane".into()
    } else {
        host
    }
}
