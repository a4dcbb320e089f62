//! Certificates of a public authority (ACME): ordered, proved, stored and renewed.
//!
//! The authority's answer is one file, [`Config::file`]; whoever shows certificates reads it when
//! it changes, as any other. Until there is one, clients are shown one that nobody has signed.
//!
//! Invariants:
//! - A failure leaves the file as it is; it is tried again, ever more slowly.
//! - Key and chain stand in one file that is replaced whole, so they always fit.
//!
//! Spec: RFC 8555 (sections 8.3, HTTP-01, and 8.4, DNS-01).

mod challenges;
mod order;
mod renewer;
mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::net::tls::{Authority, Identity};

pub use challenges::Challenges;
pub use renewer::Renewer;

/// The authority that is asked by default.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// How the authority is asked, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The authority's directory. Naming one agrees to its terms of service.
    pub directory: String,
    /// DNS names of the certificate; `*.` in front only with `dns-01`.
    pub domains: Vec<String>,
    /// Whom the authority may write to, such as `mailto:ops@example.net`.
    pub contact: Vec<String>,
    /// How it is proved that the names are ours.
    pub challenge: Challenge,
    /// The program that puts records into the DNS for `dns-01`: it is called with `present` or
    /// `remove`, the record's name and its text, and ends once the record can be seen.
    pub hook: Option<PathBuf>,
    /// Where the account and the certificate are kept.
    pub folder: PathBuf,
    /// PEM file of the root that the directory's own certificate is checked against; none: the
    /// system's roots.
    pub ca: Option<PathBuf>,
    /// How long before it expires a certificate is renewed, in days, and in the last third of its
    /// life at the latest.
    pub renew_days: u32,
}

/// A way of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Challenge {
    /// The authority fetches a file over HTTP from port 80 of each name.
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// It looks for a TXT record of each name.
    #[serde(rename = "dns-01")]
    Dns01,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The authority refuses, or cannot be reached.
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It does not take the proof.
    #[error("the authority does not take the proof of the names")]
    Refused,
    /// It offers no proof of the kind that is configured.
    #[error("{0}: the authority offers no such challenge")]
    NoChallenge(String),
    /// The DNS hook has failed.
    #[error("the hook {}: {fault}", .hook.display())]
    Hook {
        /// The program.
        hook: PathBuf,
        /// How it ended.
        fault: String,
    },
    /// The folder cannot be written or read.
    #[error("{}: {source}", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The authority's certificate is no use.
    #[error("what the authority sent: {0}")]
    Useless(#[from] crate::net::Error),
    /// It took too long.
    #[error("no certificate within {0} s")]
    Timeout(u64),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: DIRECTORY.into(),
            domains: Vec::new(),
            contact: Vec::new(),
            challenge: Challenge::default(),
            hook: None,
            folder: "rushlane-data/acme".into(),
            ca: None,
            renew_days: 30,
        }
    }
}

impl Config {
    /// The PEM file of the certificate chain and its key.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// What is shown: the certificate from the file, or one of our own until there is one.
    pub fn identity(&self) -> Result<Identity, crate::net::Error> {
        let file = self.file();
        if file.exists() {
            return Identity::load(&file, &file);
        }
        Authority::create("not yet signed").issue(&self.domains)
    }
}
