//! One worker: a thread, its runtime, its listeners and all connections they accept.

use std::io;
use std::net::{self, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use quinn::{Endpoint, VarInt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::net::admission::{Admission, Admitted};
use crate::net::http::front::{Front, Link};
use crate::net::http::http2::{self, Rewound};
use crate::net::http::http3::{self, Handshake, Handshakes};
use crate::net::http::{Config, Metrics, Protocol, Service, http1};
use crate::runtime::{Shutdown, TaskScope, clock};

/// How long a TLS or QUIC handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// How long the last word to QUIC peers may take to get out.
const GOODBYE: Duration = Duration::from_millis(100);

/// H3_NO_ERROR (RFC 9114, section 8.1).
const NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// Pauses after a failed accept: descriptors that ran out come back when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The listening sockets of one worker.
pub(super) struct Sockets {
    pub(super) plain: Option<net::TcpListener>,
    pub(super) tls: Option<net::TcpListener>,
    pub(super) quic: Option<net::UdpSocket>,
}

/// What a worker is made of, before it has a thread.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) config: Config,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) quic: Option<http3::Settings>,
    pub(super) metrics: Metrics,
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
        let admission = Admission::new(
            self.config.connections_max,
            self.config.connections_per_address_max,
        );
        let alt_svc = alt_svc(&sockets)?;
        let scope = TaskScope::under(&self.shutdown);
        let metrics = self.metrics.clone();
        let front = Rc::new(Front::new(service, alt_svc, metrics, scope.clone()));
        let listener = |socket: net::TcpListener, tls| -> io::Result<Listener> {
            Ok(Listener {
                socket: TcpListener::from_std(socket)?,
                tls,
                send_buffer_bytes: self.config.send_buffer_bytes,
                front: front.clone(),
                admission: admission.clone(),
            })
        };
        let plain = sockets
            .plain
            .map(|socket| listener(socket, None))
            .transpose()?;
        let acceptor = self.tls.map(TlsAcceptor::from);
        let tls = sockets
            .tls
            .map(|socket| listener(socket, acceptor))
            .transpose()?;

        let quic = match (sockets.quic, self.quic) {
            (Some(socket), Some(settings)) => Some(QuicListener {
                endpoint: settings.endpoint(socket)?,
                handshakes: Handshakes::default(),
                front: front.clone(),
                admission: admission.clone(),
            }),
            _ => None,
        };
        tokio::join!(
            Listener::accept_all(plain),
            Listener::accept_all(tls),
            QuicListener::accept_all(quic.as_ref()),
        );
        self.shutdown.requested().await;
        let deadline = clock::now() + self.grace;
        let aborted = scope.finish(self.grace).await;
        // Live replies are in the hands of the service, which hears of the shutdown by itself.
        let emptied = timeout_at(deadline, admission.emptied()).await;
        if let Some(quic) = quic {
            quic.close().await;
        }
        if aborted > 0 || emptied.is_err() {
            tracing::info!(
                aborted,
                live = admission.open(),
                "closed connections after the grace"
            );
        }
        Ok(())
    }
}

/// The value of `alt-svc` (RFC 7838) while HTTP/3 is served: the same port, for a day.
fn alt_svc(sockets: &Sockets) -> io::Result<Option<HeaderValue>> {
    let Some(quic) = &sockets.quic else {
        return Ok(None);
    };
    let value = format!("h3=\":{}\"; ma=86400", quic.local_addr()?.port());
    HeaderValue::try_from(value)
        .map(Some)
        .map_err(io::Error::other)
}

/// A TCP listener of one worker.
struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    send_buffer_bytes: Option<usize>,
    front: Rc<Front>,
    admission: Rc<Admission>,
}

impl Listener {
    /// Accepts until the shutdown; the socket closes on return.
    async fn accept_all(listener: Option<Self>) {
        let Some(listener) = listener else {
            return;
        };
        let shutdown = listener.front.scope.shutdown().clone();
        tokio::select! {
            () = listener.accept() => {}
            () = shutdown.requested() => {}
        }
    }

    async fn accept(&self) {
        let mut pause = ACCEPT_PAUSE;
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    pause = ACCEPT_PAUSE;
                    self.start(stream, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.front.metrics.accept_failed();
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(admitted) = self.admission.admit(peer.ip()) else {
            self.front.metrics.refused();
            return;
        };
        if let Err(error) = self.prepare(&stream) {
            tracing::debug!(%error, "connection ended at once");
            return;
        }
        let span = tracing::info_span!("http", %peer);
        let front = self.front.clone();
        match &self.tls {
            None => {
                let link = Link {
                    peer,
                    secure: false,
                };
                let task = plain(stream, link, front, admitted).instrument(span);
                self.front.scope.spawn_local("http.plain", task);
            }
            Some(acceptor) => {
                let link = Link { peer, secure: true };
                let task = secure(stream, acceptor.clone(), link, front, admitted);
                self.front
                    .scope
                    .spawn_local("http.tls", task.instrument(span));
            }
        }
    }

    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if let Some(bytes) = self.send_buffer_bytes {
            socket2::SockRef::from(stream).set_send_buffer_size(bytes)?;
        }
        Ok(())
    }
}

/// The QUIC endpoint of one worker.
struct QuicListener {
    endpoint: Endpoint,
    handshakes: Handshakes,
    front: Rc<Front>,
    admission: Rc<Admission>,
}

impl QuicListener {
    /// Accepts until the shutdown; from then on, new peers are refused.
    async fn accept_all(listener: Option<&Self>) {
        let Some(listener) = listener else {
            return;
        };
        let shutdown = listener.front.scope.shutdown();
        tokio::select! {
            () = listener.accept() => {}
            () = shutdown.requested() => listener.endpoint.set_server_config(None),
        }
    }

    async fn accept(&self) {
        while let Some(incoming) = self.endpoint.accept().await {
            let Some((incoming, handshake)) = self.handshakes.take(incoming) else {
                continue;
            };
            let peer = incoming.remote_address();
            let Some(admitted) = self.admission.admit(peer.ip()) else {
                self.front.metrics.refused();
                incoming.refuse();
                continue;
            };
            let span = tracing::info_span!("http", %peer);
            let task = quic(incoming, handshake, self.front.clone(), admitted).instrument(span);
            self.front.scope.spawn_local("http.quic", task);
        }
    }

    /// Tells those that are left, and gives that a moment to get out.
    async fn close(self) {
        self.endpoint.close(NO_ERROR, b"");
        timeout(GOODBYE, self.endpoint.wait_idle()).await.ok();
    }
}

async fn quic(
    incoming: quinn::Incoming,
    handshake: Handshake,
    front: Rc<Front>,
    _admitted: Admitted,
) {
    let link = Link {
        peer: incoming.remote_address(),
        secure: true,
    };
    let connected = async { incoming.accept()?.await };
    let connection = match timeout(HANDSHAKE_WAIT, connected).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            front.metrics.quic_failed();
            tracing::debug!(%error, "QUIC handshake failed");
            return;
        }
        Err(_) => {
            front.metrics.quic_failed();
            tracing::debug!("QUIC handshake took too long");
            return;
        }
    };
    drop(handshake);
    let _counted = front.metrics.connection(Protocol::H3);
    http3::serve(connection, link, front).await;
}

/// Errors of `accept` that say nothing about the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// HTTP/1.1, or HTTP/2 when it begins with its preface.
async fn plain<S>(stream: S, link: Link, front: Rc<Front>, admitted: Admitted)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let held = (admitted, front.metrics.connection(Protocol::H1));
    let Some(preface) = http1::serve(stream, link, front.clone(), held).await else {
        return;
    };
    let (admitted, _) = preface.held;
    let stream = Rewound::new(preface.read, preface.stream);
    // On the heap, so that connections without HTTP/2 stay small.
    Box::pin(streams(stream, link, front, admitted)).await;
}

/// HTTP/2.
async fn streams<S>(stream: S, link: Link, front: Rc<Front>, _admitted: Admitted)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let _counted = front.metrics.connection(Protocol::H2);
    http2::serve(stream, link, front).await;
}

/// TLS, then what was agreed on in its handshake.
async fn secure(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    link: Link,
    front: Rc<Front>,
    admitted: Admitted,
) {
    let handshake = Box::pin(timeout(HANDSHAKE_WAIT, acceptor.accept(stream)));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            front.metrics.tls_failed();
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            front.metrics.tls_failed();
            tracing::debug!("TLS handshake took too long");
            return;
        }
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        Box::pin(streams(stream, link, front, admitted)).await;
    } else {
        plain(stream, link, front, admitted).await;
    }
}
