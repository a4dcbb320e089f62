//! The HTTP server: one worker a core, each with its own listeners (D3).
//!
//! All sockets are bound before a thread starts, so a taken port is one clear error. The kernel
//! spreads connections over the workers (SO_REUSEPORT); a connection stays where it was accepted.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;

use crate::net::http::{Config, Metrics, Service};
use crate::net::tls::{self, ServerCertificates};
use crate::net::worker::{Sockets, Worker};
use crate::net::{Drain, Error, quic, socket};
use crate::runtime::Shutdown;

/// Tries at finding one free port for both TCP and UDP.
const PORT_TRIES_MAX: usize = 16;

/// Kernel buffer of a QUIC socket: what all HTTP/3 viewers of a worker send and receive between two
/// turns of its loop.
const QUIC_BUFFER_BYTES: usize = 4 << 20;

/// What listens where, with the ports that were taken for 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalAddresses {
    /// Plain HTTP/1.1 and HTTP/2.
    pub plain: Option<SocketAddr>,
    /// HTTPS over TCP.
    pub tls: Option<SocketAddr>,
    /// HTTP/3.
    pub quic: Option<SocketAddr>,
}

/// The bound listeners of all workers.
pub struct Server {
    config: Config,
    certificates: Option<Arc<ServerCertificates>>,
    metrics: Metrics,
    addresses: LocalAddresses,
    workers: Vec<(Sockets, MakeService)>,
}

type MakeService = Box<dyn FnOnce() -> Rc<dyn Service> + Send>;

impl Server {
    /// Binds the sockets of all workers. Without `certificates` there is neither HTTPS nor HTTP/3.
    /// `make_service` is called once on each worker's thread, with the worker's number, inside its
    /// runtime and `LocalSet`.
    ///
    /// Errors: [`Error::Bind`] with the configuration key of the address.
    pub fn bind(
        config: Config,
        certificates: Option<Arc<ServerCertificates>>,
        make_service: impl Fn(usize) -> Rc<dyn Service> + Clone + Send + 'static,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let workers = match config.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let plain = share("http.listen", config.listen, workers, bind_tcp)?;
        let tls_listen = config.tls_listen.filter(|_| certificates.is_some());
        let (tls, quic) = if config.http3 {
            share_both(tls_listen, workers)?
        } else {
            (
                share("http.tls_listen", tls_listen, workers, bind_tcp)?,
                Shared::default(),
            )
        };
        let addresses = LocalAddresses {
            plain: plain.address,
            tls: tls.address,
            quic: quic.address,
        };
        let mut all = (
            plain.sockets.into_iter(),
            tls.sockets.into_iter(),
            quic.sockets.into_iter(),
        );
        let workers = (0..workers).map(|index| -> (Sockets, MakeService) {
            let sockets = Sockets {
                plain: all.0.next(),
                tls: all.1.next(),
                quic: all.2.next(),
            };
            let make_service = make_service.clone();
            (sockets, Box::new(move || make_service(index)))
        });
        let workers = workers.collect();
        Ok(Self {
            config,
            certificates,
            metrics,
            addresses,
            workers,
        })
    }

    /// Where the server listens.
    #[must_use]
    pub fn local_addresses(&self) -> LocalAddresses {
        self.addresses
    }

    /// Serves until `drain` begins and all connections have come to their end, or until `shutdown`
    /// is requested: then connections get `grace` to finish what they are at.
    ///
    /// Errors: [`Error::Worker`] when a worker cannot start or has died; the others serve on.
    pub async fn run(
        self,
        drain: &Drain,
        shutdown: &Shutdown,
        grace: Duration,
    ) -> Result<(), Error> {
        let workers = self.workers.len();
        let alpn = |names: &[&[u8]]| {
            let certificates = self.certificates.clone()?;
            Some(tls::server_config(certificates, names))
        };
        let tls = alpn(&[b"h2", b"http/1.1"]).map(Arc::new);
        let quic =
            alpn(&[b"h3"]).map(|tls| quic::Settings::new(tls, self.config.congestion, workers));
        let mut ends = Vec::new();
        for (index, (sockets, make_service)) in self.workers.into_iter().enumerate() {
            let worker = Worker {
                index,
                config: self.config.clone(),
                tls: tls.clone(),
                quic: quic.clone(),
                metrics: self.metrics.clone(),
                drain: drain.clone(),
                shutdown: shutdown.child(),
                grace,
            };
            ends.push(start(worker, sockets, make_service)?);
        }
        try_join_all(ends).await.map(drop)
    }
}

/// Starts a worker's thread; the future is ready when it has ended.
fn start(
    worker: Worker,
    sockets: Sockets,
    make_service: MakeService,
) -> Result<impl Future<Output = Result<(), Error>>, Error> {
    let index = worker.index;
    let fault = move |source| Error::Worker {
        worker: index,
        source,
    };
    let (ended, end) = oneshot::channel();
    let run = move || {
        // Nobody may be left who wants the result.
        ended.send(worker.run(sockets, make_service)).ok();
    };
    thread::Builder::new()
        .name(format!("http-{index}"))
        .spawn(run)
        .map_err(fault)?;
    Ok(async move {
        end.await
            .unwrap_or_else(|_| Err(io::Error::other("its thread has panicked")))
            .map_err(fault)
    })
}

/// One socket for each worker on one address.
struct Shared<T> {
    address: Option<SocketAddr>,
    sockets: Vec<T>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self {
            address: None,
            sockets: Vec::new(),
        }
    }
}

/// Binds `address` once for each worker by `bind(address, reuse_port)`, which also says where.
fn share<T>(
    key: &'static str,
    address: Option<SocketAddr>,
    workers: usize,
    bind: impl Fn(SocketAddr, bool) -> io::Result<(SocketAddr, T)>,
) -> Result<Shared<T>, Error> {
    let Some(address) = address else {
        return Ok(Shared::default());
    };
    let all = || {
        // SO_REUSEPORT would let two nodes share a port without a word: ask for it alone first.
        let (found, _) = bind(address, false)?;
        let sockets = (0..workers).map(|_| bind(found, true).map(|(_, socket)| socket));
        io::Result::Ok(Shared {
            address: Some(found),
            sockets: sockets.collect::<Result<_, _>>()?,
        })
    };
    all().map_err(|source| Error::Bind {
        key,
        address,
        source,
    })
}

/// Binds TCP and UDP to the same port, trying others while the port is ours to choose.
fn share_both(
    address: Option<SocketAddr>,
    workers: usize,
) -> Result<(Shared<TcpListener>, Shared<UdpSocket>), Error> {
    let key = "http.tls_listen";
    let mut tries = 0;
    loop {
        let tcp = share(key, address, workers, bind_tcp)?;
        match share(key, tcp.address, workers, bind_udp) {
            Err(_)
                if address.is_some_and(|address| address.port() == 0) && tries < PORT_TRIES_MAX =>
            {
                tries += 1
            }
            udp => return Ok((tcp, udp?)),
        }
    }
}

fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<(SocketAddr, TcpListener)> {
    let listener = socket::tcp(address, reuse_port)?;
    Ok((listener.local_addr()?, listener))
}

fn bind_udp(address: SocketAddr, reuse_port: bool) -> io::Result<(SocketAddr, UdpSocket)> {
    let socket = socket::udp(address, reuse_port, QUIC_BUFFER_BYTES)?;
    Ok((socket.local_addr()?, socket))
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
