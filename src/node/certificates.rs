//! The certificates of a node, from files or from `rushlane dev`.

use rustls::pki_types::CertificateDer;

use crate::net::tls::{self, Identity};
use crate::node::Error;
use crate::node::config::Config;

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
    pub(super) http: Option<Identity>,
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
        let http = match (&config.http.certificate, &config.http.key) {
            (Some(certificate), Some(key)) => Some(Identity::load(certificate, key)?),
            _ => None,
        };
        Ok(Self { relay, http })
    }
}
