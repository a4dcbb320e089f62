//! TCP listeners, and what each accepted connection turns out to speak.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::net::admission::{Admission, Admitted};
use crate::net::heritage;
use crate::net::http::direct::Shared;
use crate::net::http::front::Front;
use crate::net::http::http2::{self, Rewound};
use crate::net::http::link::{Carrier, Link};
use crate::net::http::{Protocol, http1};
use crate::net::proxy::{self, Parsed};
use crate::runtime::clock;

/// How long a TLS handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// How long a PROXY header may take: balancers send it with their first packet.
const INTRODUCTION_WAIT: Duration = Duration::from_secs(5);

/// Pauses after a failed accept: descriptors that ran out come back when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Connections that are accepted before others have their turn: about as long as a turn of the
/// bulk.
const ACCEPTS_IN_A_ROW: u32 = 8;

/// A TCP listener of one worker.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Does the handshakes of a TLS listener.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) send_buffer_bytes: Option<usize>,
    /// Connections begin with a PROXY header.
    pub(super) proxied: bool,
    pub(super) front: Rc<Front>,
    pub(super) admission: Rc<Admission>,
}

impl Listener {
    /// Accepts until nobody shall come any more; the socket closes on return.
    pub(super) async fn run(self) {
        let front = self.front.clone();
        tokio::select! {
            () = self.accept() => {}
            () = front.closing() => {}
        }
    }

    async fn accept(&self) {
        heritage::latch().opened().await;
        let mut pause = ACCEPT_PAUSE;
        let mut in_a_row = 0;
        loop {
            in_a_row += 1;
            if in_a_row % ACCEPTS_IN_A_ROW == 0 {
                yield_now().await;
            }
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

    /// Gives a connection its task, or closes it at once.
    fn start(&self, stream: TcpStream, peer: SocketAddr) {
        let admitted = self.admission.admit();
        let Some(admitted) = admitted.filter(|_| self.may_come(peer)) else {
            self.front.metrics.refused();
            return;
        };
        if let Err(error) = self.prepare(&stream) {
            tracing::debug!(%error, "connection ended at once");
            return;
        }
        let arrival = Arrival {
            stream,
            peer,
            tls: self.tls.clone(),
            front: self.front.clone(),
            admission: self.admission.clone(),
        };
        if self.proxied {
            let introduce = arrival.introduce(admitted);
            self.front.scope.spawn_local("http.proxied", introduce);
        } else {
            arrival.serve(admitted);
        }
    }

    /// False for strangers where only known balancers may say who comes.
    fn may_come(&self, peer: SocketAddr) -> bool {
        let clients = &self.front.clients;
        !self.proxied || clients.trusts_nobody() || clients.trusts(peer.ip())
    }

    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if let Some(bytes) = self.send_buffer_bytes {
            socket2::SockRef::from(stream).set_send_buffer_size(bytes)?;
        }
        Ok(())
    }
}

/// A connection that has come and is not served yet.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    front: Rc<Front>,
    admission: Rc<Admission>,
}

impl Arrival {
    /// Reads who comes, then serves.
    async fn introduce(mut self, admitted: Admitted) {
        match timeout(INTRODUCTION_WAIT, read_introduction(&mut self.stream)).await {
            Ok(Ok(source)) => {
                self.peer = source.unwrap_or(self.peer);
                self.serve(admitted);
            }
            Ok(Err(error)) => {
                self.front.metrics.refused();
                tracing::debug!(peer = %self.peer, %error, "no PROXY header");
            }
            Err(_) => self.front.metrics.refused(),
        }
    }

    /// Serves in a task of its own, within the bounds of the peer's address.
    fn serve(self, admitted: Admitted) {
        let Self { peer, front, .. } = self;
        let (ip, now) = (peer.ip(), clock::now());
        let exempt = front.clients.trusts(ip);
        let admitted = match exempt {
            true => Some(admitted),
            false => admitted.of(ip, now),
        };
        let shakes_hands = self.tls.is_some() && !exempt;
        let admitted =
            admitted.filter(|_| !shakes_hands || self.admission.may_shake_hands(ip, now));
        let Some(admitted) = admitted else {
            front.metrics.refused();
            return;
        };
        let span = tracing::info_span!("http", %peer);
        let (scope, bulk) = (front.scope.clone(), front.bulk.clone());
        let stream = Shared::new(self.stream);
        let link = Link {
            peer,
            secure: self.tls.is_some(),
            carrier: Carrier::Tcp(stream.clone()),
        };
        match self.tls {
            None => {
                let task = plain(stream.clone(), Some(stream), link, front, admitted);
                bulk.spawn(&scope, "http.plain", task.instrument(span));
            }
            Some(acceptor) => {
                let task = secure(stream, acceptor, link, front, admitted);
                bulk.spawn(&scope, "http.tls", task.instrument(span));
            }
        }
    }
}

/// The client that the PROXY header at the front of `stream` names, if it does. Reads not a byte
/// more than the header.
async fn read_introduction(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::new();
    loop {
        let parsed = proxy::parse(&header);
        match parsed.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))? {
            Parsed::Whole(header) => return Ok(header.source),
            Parsed::Needs(bytes) => {
                let read = header.len();
                header.resize(bytes, 0);
                stream.read_exact(&mut header[read..]).await?;
            }
        }
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
    Box::pin(streams(stream, preface.link, front, admitted)).await;
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
    stream: Shared,
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
