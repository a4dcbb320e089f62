//! TLS: one crypto provider, identities from files, certificates that can be exchanged under load,
//! and the small certificate authority of `rushlane dev` and the tests.

mod authority;
mod certificates;
mod identity;

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ResolvesServerCert;
use rustls::version::{TLS12, TLS13};

pub use authority::Authority;
pub use certificates::{Facts, ServerCertificates};
pub use identity::{Identity, load_certificates};

/// The one crypto provider of the house (aws-lc-rs).
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
        .clone()
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
