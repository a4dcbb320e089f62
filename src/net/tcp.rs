//! TCP listeners, and what each accepted connection turns out to speak.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::net::admission::{Admission, Admitted};
use crate::net::http::direct::Shared;
use crate::net::http::front::{Front, Link};
use crate::net::http::http2::{self, Rewound};
use crate::net::http::{Protocol, http1};

/// How long a TLS handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Pauses after a failed accept: descriptors that ran out come back when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A TCP listener of one worker.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Does the handshakes of a TLS listener.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) send_buffer_bytes: Option<usize>,
    pub(super) front: Rc<Front>,
    pub(super) admission: Rc<Admission>,
}

impl Listener {
    /// Accepts until the shutdown; the socket closes on return.
    pub(super) async fn run(self) {
        let shutdown = self.front.scope.shutdown().clone();
        tokio::select! {
            () = self.accept() => {}
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
                let shared = Shared::new(stream);
                let stream = shared.clone();
                let task = plain(stream, Some(shared), link, front, admitted).instrument(span);
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
async fn plain<S>(
    stream: S,
    shared: Option<Shared>,
    link: Link,
    front: Rc<Front>,
    admitted: Admitted,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let held = (admitted, front.metrics.connection(Protocol::H1));
    let Some(preface) = http1::serve(stream, shared, link, front.clone(), held).await else {
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
        plain(stream, None, link, front, admitted).await;
    }
}
