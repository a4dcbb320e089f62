//! What an operator can say about the HTTP listeners.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::net::http::{ForwardedBy, Limits, ProxyProtocol};
use crate::net::{Congestion, Error, Subnet, acme, tls};

/// The HTTP listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Plain HTTP/1.1 and HTTP/2 (prior knowledge); port 0 takes a free one, `"off"` none.
    #[serde(with = "crate::net::listen")]
    pub listen: Option<SocketAddr>,
    /// HTTPS on TCP, and HTTP/3 on the same UDP port. Opened when there is a certificate; port 0
    /// takes a free one, `"off"` none.
    #[serde(with = "crate::net::listen")]
    pub tls_listen: Option<SocketAddr>,
    /// PEM file of the certificate chain, own certificate first.
    pub certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub key: Option<PathBuf>,
    /// Further certificates, shown to clients that ask for one of their names (SNI). All files are
    /// read again when they change.
    pub certificates: Vec<CertificateFiles>,
    /// A certificate that a public authority issues, beside those in files.
    pub acme: Option<acme::Config>,
    /// Worker threads, each with its own listeners. 0: one a core.
    pub workers: usize,
    /// Open connections of one worker; further ones are closed at once. 65,536: four times what a
    /// core serves at the rates we promise.
    pub connections_max: usize,
    /// Open connections of one peer address (an IPv6 /64) on one worker. 16,384: a carrier's NAT or
    /// a proxy in front fits, and one address cannot take the whole worker.
    pub connections_per_address_max: usize,
    /// Serve HTTP/3 and say so in `Alt-Svc`.
    pub http3: bool,
    /// The congestion controller of HTTP/3.
    pub congestion: Congestion,
    /// Kernel send buffer of each TCP connection, in bytes; none: the system's default, which grows
    /// with the path. A small one bounds what a slow live viewer holds.
    pub send_buffer_bytes: Option<usize>,
    /// Proxies and balancers in front, as addresses or networks. Their word on who the client is
    /// counts, and no bound of connections of one address.
    pub trusted_proxies: Vec<Subnet>,
    /// The field in which they name the client.
    pub forwarded_by: ForwardedBy,
    /// Whether connections over TCP begin with a header of the PROXY protocol, version 2.
    pub proxy_protocol: ProxyProtocol,
    /// How often one address may come.
    pub limits: Limits,
}

/// One certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM file of the chain, own certificate first.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Some((Ipv4Addr::UNSPECIFIED, 8080).into()),
            tls_listen: Some((Ipv4Addr::UNSPECIFIED, 8443).into()),
            certificate: None,
            key: None,
            certificates: Vec::new(),
            acme: None,
            workers: 0,
            connections_max: 65_536,
            connections_per_address_max: 16_384,
            http3: true,
            congestion: Congestion::default(),
            send_buffer_bytes: None,
            trusted_proxies: Vec::new(),
            forwarded_by: ForwardedBy::default(),
            proxy_protocol: ProxyProtocol::default(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// The identities in the files of [`Self::certificate`] and [`Self::certificates`] and the one
    /// of [`Self::acme`], in this order; none when nothing is named.
    pub fn identities(&self) -> Result<Vec<tls::Identity>, Error> {
        let first = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(tls::Identity::load(certificate, key)?),
            (None, None) => None,
            (Some(_), None) => return Err(Error::HalfIdentity("certificate", "key")),
            (None, Some(_)) => return Err(Error::HalfIdentity("key", "certificate")),
        };
        let more = self.certificates.iter();
        let more = more.map(|files| tls::Identity::load(&files.certificate, &files.key));
        let issued = self.acme.iter().map(acme::Config::identity);
        let first = first.map(Ok).into_iter();
        first.chain(more).chain(issued).collect()
    }

    /// All files that [`Self::identities`] reads.
    #[must_use]
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        let first = [&self.certificate, &self.key].into_iter().flatten();
        let more = self.certificates.iter();
        let more = more.flat_map(|files| [&files.certificate, &files.key]);
        let issued = self.acme.iter().map(acme::Config::file);
        first.chain(more).cloned().chain(issued).collect()
    }
}
