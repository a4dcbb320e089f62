//! The certificates that listeners show, by the name that a client asks for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::net::Error;
use crate::net::tls::Identity;

/// Certificates of one node.
pub const CERTIFICATES_MAX: usize = 64;

/// The certificates that all listeners show, TCP and QUIC; they can be replaced while they serve.
pub struct ServerCertificates(ArcSwap<Shown>);

#[derive(Debug)]
struct Shown {
    /// For clients that name nobody known.
    first: Arc<CertifiedKey>,
    /// By DNS name in lower case, `*.` in front of wildcards.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    facts: Vec<Facts>,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its DNS names and IP addresses.
    pub names: Vec<String>,
    /// From when on it holds, in seconds since 1970.
    pub from_s: i64,
    /// Until when, in seconds since 1970.
    pub until_s: i64,
}

impl ServerCertificates {
    /// Shows `identities`: to each client the one that has the name it asks for, else the first.
    ///
    /// Errors: none, too many, or a key that does not belong to its certificate.
    pub fn new(identities: &[Identity]) -> Result<Arc<Self>, Error> {
        let shown = Shown::new(identities)?;
        Ok(Arc::new(Self(ArcSwap::from_pointee(shown))))
    }

    /// Shows `identities` in all handshakes from now on. On an error the old ones stay.
    pub fn replace(&self, identities: &[Identity]) -> Result<(), Error> {
        self.0.store(Arc::new(Shown::new(identities)?));
        Ok(())
    }

    /// What the certificates say, in the order in which they were given.
    #[must_use]
    pub fn facts(&self) -> Vec<Facts> {
        self.0.load().facts.clone()
    }
}

impl Shown {
    fn new(identities: &[Identity]) -> Result<Self, Error> {
        if identities.len() > CERTIFICATES_MAX {
            return Err(Error::Certificates(identities.len()));
        }
        let mut by_name = HashMap::new();
        let mut facts = Vec::new();
        let mut first = None;
        for identity in identities {
            let certified = Arc::new(identity.certified()?);
            let said = Facts::of(identity)?;
            for name in &said.names {
                by_name
                    .entry(name.clone())
                    .or_insert_with(|| certified.clone());
            }
            facts.push(said);
            first.get_or_insert(certified);
        }
        let first = first.ok_or(Error::Certificates(0))?;
        Ok(Self {
            first,
            by_name,
            facts,
        })
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        if let Some(found) = self.by_name.get(&name) {
            return Some(found);
        }
        // RFC 9525, section 6.3: a wildcard stands for the whole left-most label.
        let (_, parent) = name.split_once('.')?;
        self.by_name.get(&format!("*.{parent}"))
    }
}

impl Facts {
    /// What the first certificate of `identity` says.
    pub(in crate::net) fn of(identity: &Identity) -> Result<Self, Error> {
        let bytes = identity.chain.first().ok_or(Error::Certificates(0))?;
        let (_, certificate) = X509Certificate::from_der(bytes)
            .map_err(|error| Error::Unreadable(error.to_string()))?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        Ok(Self {
            names: names.iter().filter_map(name).collect(),
            from_s: certificate.validity().not_before.timestamp(),
            until_s: certificate.validity().not_after.timestamp(),
        })
    }

    /// The name for logs and figures: the first one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|b| std::net::Ipv4Addr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|b| std::net::Ipv6Addr::from(b).to_string()),
        },
        _ => None,
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.load();
        let named = hello.server_name().and_then(|name| shown.find(name));
        Some(named.unwrap_or(&shown.first).clone())
    }
}

impl fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificates")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::slice;

    use super::*;
    use crate::net::tls::{Authority, load_certificates};
    use crate::runtime::clock;

    #[test]
    fn key_of_another_certificate_is_refused() {
        let authority = Authority::create("test root");
        let mut identity = authority.issue(&["localhost", "127.0.0.1", "::1"]).unwrap();
        let shown = ServerCertificates::new(slice::from_ref(&identity)).unwrap();
        let before = shown.facts();
        assert_eq!(before[0].names, ["localhost", "127.0.0.1", "::1"]);
        identity.key = authority.issue(&["localhost"]).unwrap().key;
        assert!(matches!(shown.replace(&[identity]), Err(Error::Tls(_))));
        assert_eq!(shown.facts(), before);
        assert!(matches!(shown.replace(&[]), Err(Error::Certificates(0))));
        assert!(matches!(authority.issue(&["ü ü"]), Err(Error::Issue(_))));
    }

    #[test]
    fn clients_are_shown_the_name_they_ask_for() {
        let authority = Authority::create("test root");
        let issue = |names: &[&str]| authority.issue(names).unwrap();
        let identities = [
            issue(&["cdn.example.net"]),
            issue(&["*.shop.example.net", "shop.example.net"]),
        ];
        let shown = Shown::new(&identities).unwrap();
        let found = |name| {
            let found = shown.find(name)?;
            let same = |identity: &Identity| found.cert[0] == identity.chain[0];
            identities.iter().position(same)
        };
        assert_eq!(found("CDN.example.net"), Some(0));
        assert_eq!(found("a.shop.example.net"), Some(1));
        assert_eq!(found("shop.example.net"), Some(1));
        assert_eq!(found("b.a.shop.example.net"), None);
        assert_eq!(found("localhost"), None);
    }

    #[test]
    fn validity_is_read() {
        let authority = Authority::create("test root");
        let facts = Facts::of(&authority.issue(&["localhost"]).unwrap()).unwrap();
        let now_s = clock::unix_us() / 1_000_000;
        assert!(facts.from_s < now_s && facts.until_s > now_s + 300 * 86_400);
    }

    #[test]
    fn faults_of_files_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.pem");
        let fault = load_certificates(&missing).unwrap_err().to_string();
        assert_eq!(fault, format!("{}: no such file", missing.display()));

        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "nothing").unwrap();
        let fault = load_certificates(&empty).unwrap_err().to_string();
        assert_eq!(fault, format!("{}: no certificate in it", empty.display()));
    }
}
