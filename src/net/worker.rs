//! One worker: a thread, its runtime, its listeners and all connections they accept.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::HeaderValue;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::timeout_at;
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::net::Drain;
use crate::net::admission::Admission;
use crate::net::heritage::Port;
use crate::net::http::front::Front;
use crate::net::http::{Config, Metrics, ProxyProtocol, Service};
use crate::net::quic::{self, Handshakes};
use crate::net::tcp;
use crate::runtime::{Shutdown, TaskScope, clock};

/// The listening sockets of one worker: one of each kind, or more when it follows a process with
/// more workers.
#[derive(Default)]
pub(super) struct Sockets {
    pub(super) plain: Vec<TcpListener>,
    pub(super) tls: Vec<TcpListener>,
    pub(super) quic: Vec<Port>,
}

/// What a worker is made of, before it has a thread.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) config: Config,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) quic: Option<quic::Settings>,
    pub(super) metrics: Metrics,
    pub(super) drain: Drain,
    pub(super) shutdown: Shutdown,
    pub(super) grace: Duration,
}

impl Worker {
    /// Serves on this thread until the shutdown is over.
    pub(super) fn run(
        self,
        sockets: Sockets,
        make_service: impl FnOnce() -> Rc<dyn Service>,
    ) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let span = tracing::info_span!("worker", index = self.index);
        let serve = async move { self.serve(sockets, make_service()).await };
        LocalSet::new().block_on(&runtime, serve.instrument(span))
    }

    async fn serve(self, sockets: Sockets, service: Rc<dyn Service>) -> io::Result<()> {
        let alt_svc = alt_svc(&sockets)?;
        let scope = TaskScope::under(&self.shutdown);
        let drain = self.drain.clone();
        let front = Rc::new(Front::new(
            &self.config,
            service,
            alt_svc,
            self.metrics.clone(),
            scope.clone(),
            drain.clone(),
        ));
        let leaving = front.leaving().clone();
        scope.spawn_local("http.drain", async move {
            tokio::select! {
                () = drain.begun() => leaving.request(),
                () = leaving.requested() => {}
            }
        });
        let bulk = front.bulk.clone();
        tokio::select! {
            end = self.attend(sockets, front) => end,
            never = bulk.run() => match never {},
        }
    }

    async fn attend(self, sockets: Sockets, front: Rc<Front>) -> io::Result<()> {
        let admission = Admission::new(&self.config, clock::now());
        let listen = |sockets: Vec<TcpListener>, tls: Option<TlsAcceptor>| {
            let listener = |socket| -> io::Result<tcp::Listener> {
                Ok(tcp::Listener {
                    socket: tokio::net::TcpListener::from_std(socket)?,
                    tls: tls.clone(),
                    send_buffer_bytes: self.config.send_buffer_bytes,
                    proxied: self.config.proxy_protocol == ProxyProtocol::Require,
                    front: front.clone(),
                    admission: admission.clone(),
                })
            };
            let listeners = sockets.into_iter().map(listener);
            listeners.collect::<io::Result<Vec<_>>>()
        };
        let plain = listen(sockets.plain, None)?;
        let tls = listen(sockets.tls, self.tls.map(TlsAcceptor::from))?;
        let quic = quic_listeners(sockets.quic, self.quic.as_ref(), &front, &admission)?;

        tokio::join!(
            join_all(plain.into_iter().map(tcp::Listener::run)),
            join_all(tls.into_iter().map(tcp::Listener::run)),
            join_all(quic.iter().map(quic::Listener::run)),
        );
        // Nobody comes any more. When all have gone, no deadline needs to be waited for.
        tokio::select! {
            () = admission.emptied() => {}
            () = self.shutdown.requested() => {}
        }
        let deadline = clock::now() + self.grace;
        let aborted = front.scope.finish(self.grace).await;
        // Live replies are in the hands of the service, which hears of the shutdown by itself.
        let emptied = timeout_at(deadline, admission.emptied()).await;
        join_all(quic.into_iter().map(quic::Listener::close)).await;
        if aborted > 0 || emptied.is_err() {
            let live = admission.open();
            tracing::info!(aborted, live, "closed connections after the grace");
        }
        Ok(())
    }
}

/// The QUIC endpoints of a worker, with what moves them to a successor.
fn quic_listeners(
    ports: Vec<Port>,
    settings: Option<&quic::Settings>,
    front: &Rc<Front>,
    admission: &Rc<Admission>,
) -> io::Result<Vec<quic::Listener>> {
    let mut listeners = Vec::new();
    for (port, settings) in ports.into_iter().zip(settings.into_iter().cycle()) {
        let (endpoint, handover) = settings.endpoint(port)?;
        let shutdown = front.scope.shutdown().clone();
        front
            .scope
            .spawn_local("http.handover", handover.run(shutdown));
        listeners.push(quic::Listener {
            endpoint,
            handshakes: Handshakes::default(),
            front: front.clone(),
            admission: admission.clone(),
        });
    }
    Ok(listeners)
}

/// The value of `alt-svc` (RFC 7838) while HTTP/3 is served: the same port, for a day.
fn alt_svc(sockets: &Sockets) -> io::Result<Option<HeaderValue>> {
    let Some(quic) = sockets.quic.first() else {
        return Ok(None);
    };
    let port = quic.socket().local_addr()?.port();
    let value = format!("h3=\":{port}\"; ma=86400");
    HeaderValue::try_from(value)
        .map(Some)
        .map_err(io::Error::other)
}
