//! One node, assembled: every service of its role, bound before any of them runs.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, watch};

use crate::admin;
use crate::auth::Gate;
use crate::delivery::{self, Delivery};
use crate::hooks::Hooks;
use crate::ingest::{publisher, rtmp};
use crate::live::{Exchange, Store};
use crate::net::acme;
use crate::net::http::Service;
use crate::net::tls::{Identity, ServerCertificates};
use crate::node::certificates::{Certificates, Keeper, Loaded};
use crate::node::config::Config;
use crate::node::fleet::takes_hosts;
use crate::node::interaction::OriginRooms;
use crate::node::keys::KeyKeeper;
use crate::node::plays::Plays;
use crate::node::routes::Routes;
use crate::node::services::Services;
use crate::node::vitals::{Process, Vitals};
use crate::node::{Error, Role};
use crate::registry::Registry;
use crate::rooms;
use crate::rooms::doors::Doors;
use crate::runtime::{TaskScope, clock};
use crate::telemetry::Metrics;
use crate::telemetry::access::Log;
use crate::{net, relay, shed};

/// Policies of parents that wait to be taken in; links keep the newest one beyond it.
const POLICIES_MAX: usize = 16;

/// Everything a node serves with, bound and not yet running.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) store: Store,
    pub(super) exchange: Exchange,
    /// Who answers what `exchange` is asked, but for what this node answers itself.
    pub(super) above: Exchange,
    pub(super) metrics: Metrics,
    pub(super) hooks: Hooks,
    pub(super) vitals: Vitals,
    pub(super) log: Log,
    pub(super) registry: Registry,
    pub(super) desk: Option<publisher::Desk>,
    pub(super) rtmp: Option<rtmp::Server>,
    pub(super) children: Option<relay::Server>,
    pub(super) parents: Option<relay::Puller>,
    pub(super) report: watch::Sender<Bytes>,
    pub(super) delivery: Option<Delivery>,
    pub(super) doors: Option<Doors>,
    pub(super) services: Services,
    pub(super) configuration: admin::Configuration,
    pub(super) origin: Option<OriginRooms>,
    pub(super) http: Option<net::Server>,
    pub(super) http_metrics: Option<net::http::Metrics>,
    pub(super) certificates: Option<Keeper>,
    pub(super) drain: net::Drain,
    pub(super) challenges: acme::Challenges,
    pub(super) admin: Option<admin::Server>,
}

impl Parts {
    /// Binds everything that `config` wants for `role`.
    pub(super) async fn bind(
        config: &Config,
        role: Role,
        certificates: Option<Certificates>,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        let mut parts = Self::new(config, role, scope).await?;
        let certificates = match certificates {
            Some(certificates) => Loaded::from(certificates),
            None => Loaded::from_files(config)?,
        };
        let shown = match certificates.http.as_slice() {
            [] => None,
            identities => Some(ServerCertificates::new(identities)?),
        };
        if takes_hosts(config, role) {
            parts.bind_ingest(config, shown.clone(), scope)?;
        }
        if let Some(shown) = shown.clone() {
            let keeper = Keeper::new(shown, &config.http, &parts.metrics);
            parts.certificates = Some(keeper);
        }
        if let Some((identity, authorities)) = certificates.relay {
            parts.bind_relay(&config.relay, role, (identity, authorities), scope)?;
        }
        parts.bind_viewers(config, shown, scope)?;
        let sent = parts.http_metrics.clone();
        let egress = move || sent.as_ref().map_or(0, net::http::Metrics::sent_bytes);
        parts.services.shedding.run(Box::new(egress), scope);
        if role == Role::Origin {
            // Without its list the node serves on, and what edges hold stays in force.
            let denied = parts.services.gate.denied();
            let kept = denied.keep(&parts.name, config.auth.deny_file.clone());
            let told = parts.metrics.conditions().follow("deny_list", kept);
            told.unwrap_or_else(|error| tracing::error!(error, "the deny list is not kept here"));
            // Last: what it takes up at once needs a node that will run.
            parts.open_rooms(config, scope).await?;
        }
        parts.join_fleet(config, role, scope);
        Ok(parts)
    }

    /// Everything without a socket for viewers, hosts or other nodes.
    async fn new(config: &Config, role: Role, scope: &TaskScope) -> Result<Self, Error> {
        let name = config.node.shown_name();
        let metrics = Metrics::default();
        metrics.register_collector(Process::new(role, clock::unix_us()));
        let log = Log::start(&config.access_log, &config.telemetry, &name, &metrics);
        let log = log.map_err(|error| Error::System("access_log.path", error))?;
        let shedding = shed::Controller::new(&config.shed, &metrics);
        let gate = Gate::new(&config.auth, &metrics)?;
        let services = Services {
            keys: KeyKeeper::new(gate.clone(), &config.auth, &metrics),
            gate,
            rooms: rooms::Settings::new(&config.rooms, shedding.gauge()),
            shedding,
            moderation: None,
            publishers: None,
        };
        let registry = Registry::open(&config.registry, &name, &metrics, scope).await?;
        Ok(Self {
            admin: admin::Server::bind(&config.admin)?,
            store: Store::new(config.live.clone()),
            exchange: Exchange::default(),
            above: Exchange::default(),
            vitals: Vitals::register(&metrics),
            log,
            services,
            configuration: admin::Configuration::default(),
            hooks: Hooks::start(&config.hooks, &name, &metrics, scope)?,
            metrics,
            name,
            registry,
            desk: None,
            rtmp: None,
            children: None,
            parents: None,
            report: watch::Sender::default(),
            delivery: None,
            doors: None,
            origin: None,
            http: None,
            http_metrics: None,
            certificates: None,
            drain: net::Drain::default(),
            challenges: acme::Challenges::default(),
        })
    }

    fn bind_relay(
        &mut self,
        config: &relay::Config,
        role: Role,
        (identity, authorities): (Identity, Vec<CertificateDer<'static>>),
        scope: &TaskScope,
    ) -> Result<(), Error> {
        let denied = self.services.gate.denied().clone();
        let policy = denied.policy();
        let (policy_in, mut policies) = mpsc::channel::<Bytes>(POLICIES_MAX);
        let shutdown = scope.shutdown().clone();
        // What any parent denies is denied here and below.
        scope.spawn("node.policy", async move {
            let learn = async {
                while let Some(said) = policies.recv().await {
                    if let Err(error) = denied.learn(&said) {
                        tracing::warn!(error, "what a parent denies cannot be read");
                    }
                }
            };
            tokio::select! {
                () = learn => {}
                () = shutdown.requested() => {}
            }
        });
        let local = relay::Local {
            node: self.name.as_str().into(),
            identity,
            authorities,
            store: self.store.clone(),
            exchange: self.exchange.clone(),
            report: self.report.subscribe(),
            policy,
            policy_in,
            metrics: self.metrics.clone(),
        };
        let puller = relay::Puller::new(config, &local)?;
        if config.listen.is_some() {
            self.children = Some(relay::Server::bind(config, &local, &puller)?);
        }
        // Whoever has no parents owns the rooms.
        if role != Role::Origin {
            puller.install(&self.above);
        }
        self.parents = Some(puller);
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
        let doors = self.open_doors(config, scope)?;
        let (store, metrics) = (self.store.clone(), &self.metrics);
        let parts = delivery::Parts {
            store,
            shedding: self.services.shedding.gauge(),
            media: scope.clone(),
            runtime: tokio::runtime::Handle::current(),
            log: self.log.clone(),
        };
        let delivery = Delivery::new(&config.delivery, parts, metrics, &self.name);
        let services = (delivery.clone(), doors.clone());
        let (vitals, shutdown) = (self.vitals.clone(), scope.shutdown().clone());
        let shedding = self.services.shedding.gauge();
        let (gate, door) = (self.services.gate.clone(), self.services.shedding.door());
        let (drain, hooks) = (self.drain.clone(), self.hooks.clone());
        let challenges = self.challenges.clone();
        let make = move |worker| -> Rc<dyn Service> {
            let watch = vitals.attend(shedding.clone(), &shutdown);
            Rc::new(Routes {
                gate: gate.clone(),
                viewers: Rc::new(Plays {
                    hooks: hooks.clone(),
                    viewers: services.0.service(worker),
                }),
                rooms: services.1.service(worker),
                _watch: watch,
                door: door.clone(),
                drain: drain.clone(),
                challenges: challenges.clone(),
            })
        };
        let measured = net::http::Metrics::register(metrics).filing(self.log.clone());
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

    /// The addresses taken, by configuration key.
    pub(super) fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
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
}
