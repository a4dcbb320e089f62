//! The certificates of a node: from files, read again when they change, or from `rushlane dev`.
//!
//! Invariant: what is shown was whole and fits its key; while files are not, the certificates from
//! before are shown, and readiness, log and metrics say so.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use rustls::pki_types::CertificateDer;

use crate::net::tls::{self, Identity, ServerCertificates};
use crate::net::{self, http};
use crate::node::config::Config;
use crate::node::{Error, files};
use crate::runtime::{TaskScope, clock};
use crate::telemetry::{Conditions, Metrics};

/// What is shown as wrong while files are no use.
const CONDITION: &str = "certificate";

/// Certificates that do not come from files: those `rushlane dev` makes.
pub struct Certificates {
    /// The CA of the relay.
    pub relay_ca: Vec<CertificateDer<'static>>,
    /// This node's identity on the relay.
    pub relay: Identity,
    /// What viewers and RTMPS hosts are shown.
    pub http: Identity,
}

/// The certificates a node works with, from files or from `rushlane dev`.
pub(super) struct Loaded {
    /// What the relay shows, and whom it trusts.
    pub(super) relay: Option<(Identity, Vec<CertificateDer<'static>>)>,
    /// What viewers and RTMPS hosts are shown.
    pub(super) http: Vec<Identity>,
}

impl From<Certificates> for Loaded {
    fn from(made: Certificates) -> Self {
        Self {
            relay: Some((made.relay, made.relay_ca)),
            http: vec![made.http],
        }
    }
}

impl Loaded {
    /// Reads the files that `config` names.
    pub(super) fn from_files(config: &Config) -> Result<Self, Error> {
        let relay = &config.relay;
        let relay = match (&relay.ca, &relay.certificate, &relay.key) {
            (Some(ca), Some(certificate), Some(key)) => Some((
                Identity::load(certificate, key)?,
                tls::load_certificates(ca)?,
            )),
            _ => None,
        };
        let http = config.http.identities()?;
        Ok(Self { relay, http })
    }
}

/// Keeps what is shown as new as the files. Clones share it.
#[derive(Clone)]
pub(super) struct Keeper(Arc<Inner>);

struct Inner {
    shown: Arc<ServerCertificates>,
    config: Mutex<http::Config>,
    conditions: Conditions,
    figures: Figures,
}

struct Figures {
    expiry: Family<ByName, Gauge>,
    reloads: Counter,
    failures: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByName {
    name: String,
}

impl Keeper {
    /// Watches over `shown`, which came from the files of `config`.
    pub(super) fn new(
        shown: Arc<ServerCertificates>,
        config: &http::Config,
        metrics: &Metrics,
    ) -> Self {
        let figures = Figures::register(metrics);
        figures.show(&shown);
        Self(Arc::new(Inner {
            shown,
            config: Mutex::new(config.clone()),
            conditions: metrics.conditions().clone(),
            figures,
        }))
    }

    /// Shows what is in the files of `config` from now on. Errors: what is shown stays.
    pub(super) fn reload(&self, config: &http::Config) -> Result<(), net::Error> {
        let inner = &self.0;
        *inner.config.lock() = config.clone();
        let identities = config.identities()?;
        if identities.is_empty() {
            // `rushlane dev` shows what it made itself.
            return Ok(());
        }
        inner.shown.replace(&identities)?;
        inner.figures.show(&inner.shown);
        Ok(())
    }

    /// Reads again what has changed, and all on SIGHUP, in a task of `scope`.
    pub(super) fn watch(self, scope: &TaskScope) {
        let shutdown = scope.shutdown().clone();
        scope.spawn("node.certificates", async move {
            let files = || self.0.config.lock().certificate_files();
            tokio::select! {
                () = files::follow(files, || self.read_again()) => {}
                () = shutdown.requested() => {}
            }
        });
    }

    fn read_again(&self) {
        let config = self.0.config.lock().clone();
        let figures = &self.0.figures;
        match self.reload(&config) {
            Ok(()) => {
                figures.reloads.inc();
                self.0.conditions.clear(CONDITION);
                tracing::info!("the certificates were read again");
            }
            Err(error) => {
                figures.failures.inc();
                self.0.conditions.raise(CONDITION, error.to_string());
                tracing::warn!(%error, "the certificates stay as they were");
            }
        }
    }
}

impl Figures {
    fn register(metrics: &Metrics) -> Self {
        let figures = Self {
            expiry: Family::default(),
            reloads: Counter::default(),
            failures: Counter::default(),
        };
        let room = "net";
        let help = "When a certificate expires, in seconds since 1970, by its first name";
        let expiry = figures.expiry.clone();
        metrics.register(room, "certificate_expiry_seconds", help, expiry);
        let help = "Times that certificates were read again";
        let reloads = figures.reloads.clone();
        metrics.register(room, "certificate_reloads", help, reloads);
        let help = "Times that certificate files were no use and the old ones stayed";
        let failures = figures.failures.clone();
        metrics.register(room, "certificate_reload_failures", help, failures);
        figures
    }

    fn show(&self, shown: &ServerCertificates) {
        self.expiry.clear();
        let now_s = clock::unix_us() / 1_000_000;
        for facts in shown.facts() {
            let name = facts.name().to_owned();
            if facts.until_s <= now_s {
                tracing::warn!(name, "a certificate has expired");
            }
            self.expiry
                .get_or_create_owned(&ByName { name })
                .set(facts.until_s);
        }
    }
}
