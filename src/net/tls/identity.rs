//! A certificate and its key.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::net::Error;
use crate::net::tls::provider;

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

    pub(super) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
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
