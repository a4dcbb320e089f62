//! The admin listener: its own thread, its own runtime.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

use crate::admin::{Config, Error, Sources, api};
use crate::net::{self, socket};
use crate::runtime::Shutdown;

/// The open admin port.
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    token: Option<String>,
}

impl Server {
    /// Takes the port; `None` when the configuration wants no admin port.
    ///
    /// Errors: the port is taken.
    pub fn bind(config: &Config) -> Result<Option<Self>, Error> {
        let Some(address) = config.listen else {
            return Ok(None);
        };
        let fault = |source| net::Error::Bind {
            key: "admin.listen",
            address,
            source,
        };
        let listener = socket::tcp(address, false).map_err(fault)?;
        let taken = listener.local_addr().map_err(fault)?;
        let token = config.token.clone().filter(|_| !taken.ip().is_loopback());
        Ok(Some(Self {
            listener,
            address: taken,
            token,
        }))
    }

    /// The address taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers from `sources` on a thread of its own until `shutdown`.
    ///
    /// Errors: the thread cannot be started.
    pub fn run(self, sources: Sources, shutdown: Shutdown) -> Result<JoinHandle<()>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let work = move || {
            let result = runtime.block_on(self.serve(sources, shutdown));
            if let Err(error) = result {
                tracing::warn!(%error, "the admin port has closed");
            }
        };
        std::thread::Builder::new()
            .name("admin".into())
            .spawn(work)
            .map_err(Error::Thread)
    }

    async fn serve(self, sources: Sources, shutdown: Shutdown) -> std::io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let token = self.token;
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let allowed = token
                .as_deref()
                .is_none_or(|token| carries(&request, token));
            async move {
                if allowed {
                    next.run(request).await
                } else {
                    unauthorized()
                }
            }
        });
        let router = api::router(sources).layer(guard);
        axum::serve(listener, router)
            .with_graceful_shutdown(async move { shutdown.requested().await })
            .await
    }
}

/// True when the request carries the bearer token. Compares all bytes whatever differs first.
fn carries(request: &Request, token: &str) -> bool {
    let header = request.headers().get(header::AUTHORIZATION);
    let Some(given) = header.and_then(|value| value.as_bytes().strip_prefix(b"Bearer ")) else {
        return false;
    };
    let differs = given
        .iter()
        .zip(token.as_bytes())
        .fold(0, |acc, (a, b)| acc | (a ^ b));
    given.len() == token.len() && differs == 0
}

fn unauthorized() -> Response {
    let detail = "send `Authorization: Bearer TOKEN` with admin.token of the configuration";
    let mut response = api::problem(StatusCode::UNAUTHORIZED, detail).into_response();
    let challenge = header::HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}
