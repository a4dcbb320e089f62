//! What can go wrong before the net serves.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustls::pki_types::pem;

/// Why a listener, a certificate or a worker cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate or key file cannot be read as PEM.
    #[error("{}: {}", .path.display(), pem_fault(.source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A certificate file holds no certificate.
    #[error("{}: no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// Only one of certificate and key is configured.
    #[error("http.{0} is set, http.{1} is not: TLS needs both")]
    HalfIdentity(&'static str, &'static str),
    /// A node shows at least one certificate and at most 64.
    #[error("{0} certificates: use 1 to 64")]
    Certificates(usize),
    /// A certificate is not what RFC 5280 says.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// rustls refuses a certificate or key, as when they do not belong together.
    #[error("the certificate and its key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// A certificate cannot be made.
    #[error("no certificate can be issued: {0}")]
    Issue(#[from] rcgen::Error),
    /// An address cannot be listened on.
    #[error("{key}: {address}: {}", io_fault(.source))]
    Bind {
        /// The configuration key that names the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A worker thread or its runtime cannot start.
    #[error("worker {worker} cannot start: {source}")]
    Worker {
        /// Which worker, from 0.
        worker: usize,
        /// What the system says.
        source: io::Error,
    },
}

fn pem_fault(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => io_fault(error),
        pem::Error::NoItemsFound => "no private key in it".into(),
        other => other.to_string(),
    }
}

/// The words for the errors that people meet, without the system's numbers.
fn io_fault(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".into(),
        io::ErrorKind::AddrNotAvailable => "this host does not have that address".into(),
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}
