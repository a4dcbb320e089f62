//! A small certificate authority.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::net::Error;
use crate::net::tls::Identity;
use crate::runtime::clock;

/// How long an issued certificate holds. Apple's clients refuse more than 398 days.
const VALID_DAYS: u32 = 397;

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
