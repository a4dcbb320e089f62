//! The admin listener: its own thread, its own runtime.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::admin::{Config, Error, Sources, api, browser, console, fleet};
use crate::auth::Gate;
use crate::net::{self, Drain, socket};
use crate::runtime::{Shutdown, TaskScope, clock};

/// Open connections; further ones wait in the kernel's queue. 64: a few scrapers and dashboards.
const CONNECTIONS_MAX: usize = 64;
/// How long a request head may take, the wait for it included.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// After this long a connection may finish its request and must go, so that a peer that does not
/// read its answer keeps no place.
const LIFE: Duration = Duration::from_secs(60);
/// How long the last request of a connection may take.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// The pause after a failed accept: descriptors that ran out come back when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// The open admin port.
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    token: Option<String>,
    /// Whether a token is needed at all.
    guarded: bool,
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
        let listener = socket::listener(address).map_err(fault)?;
        let taken = listener.local_addr().map_err(fault)?;
        Ok(Some(Self {
            listener,
            address: taken,
            token: config.token.clone(),
            guarded: !taken.ip().is_loopback(),
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
        let (token, gate, guarded) = (self.token, sources.gate.clone(), self.guarded);
        let is_open = !guarded;
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let allowed = !guarded || is_operator(&request, token.as_deref(), &gate);
            async move {
                if allowed {
                    next.run(request).await
                } else {
                    unauthorized()
                }
            }
        });
        let sources = Arc::new(sources);
        let screen = middleware::from_fn(move |request: Request, next: Next| {
            let fault = browser::fault(&request, is_open);
            async move {
                match fault {
                    None => next.run(request).await,
                    Some(reason) => api::problem(StatusCode::FORBIDDEN, reason),
                }
            }
        });
        let drain = sources.stops.drain.clone();
        let router = api::router(sources.clone())
            .layer(guard)
            .merge(console::router())
            .layer(screen);
        let scope = TaskScope::under(&shutdown);
        scope.spawn(
            "admin.fleet",
            fleet::keep(sources, scope.shutdown().clone()),
        );
        tokio::select! {
            () = accept(listener, router, &scope) => {}
            () = succeeded(&drain) => {}
            () = shutdown.requested() => {}
        }
        // Who is connected may watch the drain to its end.
        shutdown.requested().await;
        scope.finish(LAST_WAIT).await;
        Ok(())
    }
}

/// Waits until another process has the listeners.
async fn succeeded(drain: &Drain) {
    drain.begun().await;
    if !drain.has_successor() {
        std::future::pending::<()>().await;
    }
}

async fn accept(listener: TcpListener, router: Router, scope: &TaskScope) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let router = router.clone().layer(Extension(Peer(peer.ip())));
                let connection = serve(stream, router, scope.shutdown().clone());
                scope.spawn("admin.connection", async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "an admin connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, router: Router, shutdown: Shutdown) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.requested() => None,
        () = sleep(LIFE) => None,
    };
    let ended = match ended {
        Some(ended) => Ok(ended),
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_WAIT, connection).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended"),
        Err(_) => tracing::debug!("an admin connection was closed before its end"),
    }
}

/// True when the request carries the node's own token, or an admin token that a key has signed.
fn is_operator(request: &Request, token: Option<&str>, gate: &Gate) -> bool {
    let field = request.headers().get(header::AUTHORIZATION);
    let given = field.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(given) = given else {
        return false;
    };
    if token.is_some_and(|token| given.as_bytes().ct_eq(token.as_bytes()).into()) {
        return true;
    }
    let address = request.extensions().get::<Peer>().map(|peer| peer.0);
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    gate.is_operator(given, address, clock::unix_us() / 1_000_000)
}

fn unauthorized() -> Response {
    let detail = "send `Authorization: Bearer TOKEN` with admin.token of the configuration, or a \
                  token of `rushlane token admin --room '*'`";
    let mut response = api::problem(StatusCode::UNAUTHORIZED, detail).into_response();
    let challenge = header::HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}
