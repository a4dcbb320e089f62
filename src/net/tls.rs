//! TLS: one crypto provider, identities from files, certificates that can be exchanged under load,
//! and the small certificate authority of `rushlane dev` and the tests.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use crate::net::Error;
use crate::runtime::clock;

/// How long an issued certificate holds. Apple's clients refuse more than 398 days.
const VALID_DAYS: u32 = 397;

/// The one crypto provider of the house (aws-lc-rs).
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
        .clone()
}

/// A certificate chain (own certificate first) and its private key.
#[derive(Debug)]
pub struct Identity {
    /// Own certificate, then those that lead to the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the PEM files of a chain and a key (PKCS#8, PKCS#1 or SEC1), and checks that they
    /// belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let identity = Self {
            chain: load_certificates(certificate)?,
            key: PrivateKeyDer::from_pem_file(key).map_err(|source| Error::Pem {
                path: key.to_owned(),
                source,
            })?,
        };
        identity.certified()?;
        Ok(identity)
    }

    fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// Reads all certificates of a PEM file: a chain, or the roots to trust. At least one.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fault = |source| Error::Pem {
        path: path.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(fault)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault)?;
    if chain.is_empty() {
        return Err(Error::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

/// The certificate that all listeners show, TCP and QUIC; it can be replaced while they serve.
pub struct ServerCertificates(ArcSwap<CertifiedKey>);

impl ServerCertificates {
    /// Shows `identity`. Errors when its key and certificate do not belong together.
    pub fn new(identity: &Identity) -> Result<Arc<Self>, Error> {
        let certified = identity.certified()?;
        Ok(Arc::new(Self(ArcSwap::from_pointee(certified))))
    }

    /// Shows `identity` in all handshakes from now on. On an error the old one stays.
    pub fn replace(&self, identity: &Identity) -> Result<(), Error> {
        self.0.store(Arc::new(identity.certified()?));
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificates")
    }
}

/// TLS 1.2 and 1.3 for a listener, with session tickets; `alpn` in order of preference. The ticket
/// keys are the configuration's own: build one and share it, so that a viewer resumes on any
/// worker.
#[must_use]
pub fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
    alpn: &[&[u8]],
) -> rustls::ServerConfig {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has cipher suites of both versions")
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    match aws_lc_rs::Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::warn!(%error, "sessions cannot be resumed: no ticket key"),
    }
    config
}

/// A small certificate authority in memory.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new root called `name`, with a key of its own (ECDSA P-256).
    #[must_use]
    pub fn create(name: &str) -> Self {
        let mut params = dated(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a P-256 key can always be made");
        let root = CertifiedIssuer::self_signed(params, key);
        Self(root.expect("these parameters make a valid root"))
    }

    /// The root to trust.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for all of `names` (DNS names or IP addresses), good for servers and clients.
    /// Errors on a name that is neither.
    pub fn issue(&self, names: &[impl AsRef<str>]) -> Result<Identity, Error> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let common = names.first().cloned().unwrap_or_default();
        let mut params = dated(CertificateParams::new(names)?);
        params.distinguished_name.push(DnType::CommonName, common);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// Valid from yesterday, for clocks that lag, for [`VALID_DAYS`].
fn dated(mut params: CertificateParams) -> CertificateParams {
    let day = Duration::from_secs(86_400);
    let now = Duration::from_micros(u64::try_from(clock::unix_us()).unwrap_or_default());
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(day);
    params.not_after = params.not_before + day * VALID_DAYS;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn key_of_another_certificate_is_refused() {
        let authority = Authority::create("test root");
        let mut identity = authority.issue(&["localhost", "127.0.0.1", "::1"]).unwrap();
        let shown = ServerCertificates::new(&identity).unwrap();
        identity.key = authority.issue(&["localhost"]).unwrap().key;
        assert!(matches!(shown.replace(&identity), Err(Error::Tls(_))));
        assert!(matches!(authority.issue(&["ü ü"]), Err(Error::Issue(_))));
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
