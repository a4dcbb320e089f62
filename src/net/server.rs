//! The HTTP server: one worker a core, each with its own listeners (D3).
//!
//! All sockets are bound before a thread starts, so a taken port is one clear error. The kernel
//! spreads connections over the workers (SO_REUSEPORT); a connection stays where it was accepted.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;

use crate::net::heritage::Port;
use crate::net::http::{Config, Metrics, Service};
use crate::net::tls::{self, ServerCertificates};
use crate::net::worker::{Sockets, Worker};
use crate::net::{Drain, Error, quic, socket};
use crate::runtime::{Shutdown, process};

/// Tries at finding one free port for both TCP and UDP.
const PORT_TRIES_MAX: usize = 16;

/// Kernel buffer of a QUIC socket: what all HTTP/3 viewers of a worker send and receive between two
/// turns of its loop.
const QUIC_BUFFER_BYTES: usize = 4 << 20;

/// Workers stand back behind the relay, the rooms' authority and the ledger: a worker that is busy
/// with its viewers holds an order up at each of the steps that it takes through the node, a slice
/// of the scheduler (3 ms) each. Five steps are a third of the weight.
const STEPS_BACK: i32 = 5;

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
        let plain = bind_tcp("http.listen", config.listen, workers)?;
        let tls_listen = config.tls_listen.filter(|_| certificates.is_some());
        let (tls, quic) = if config.http3 {
            bind_both(tls_listen, workers)?
        } else {
            (
                bind_tcp("http.tls_listen", tls_listen, workers)?,
                Vec::new(),
            )
        };
        let addresses = LocalAddresses {
            plain: address_of(&plain),
            tls: address_of(&tls),
            quic: quic
                .first()
                .and_then(|port| port.socket().local_addr().ok()),
        };
        let mut all: Vec<Sockets> = (0..workers).map(|_| Sockets::default()).collect();
        deal(plain, &mut all, |sockets| &mut sockets.plain);
        deal(tls, &mut all, |sockets| &mut sockets.tls);
        deal(quic, &mut all, |sockets| &mut sockets.quic);
        let workers = all.into_iter().enumerate();
        let workers = workers.map(|(index, sockets)| -> (Sockets, MakeService) {
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
        process::stand_back(STEPS_BACK);
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

/// Binds `address` for `workers` workers.
fn bind_tcp(
    key: &'static str,
    address: Option<SocketAddr>,
    workers: usize,
) -> Result<Vec<TcpListener>, Error> {
    let Some(address) = address else {
        return Ok(Vec::new());
    };
    let fault = |source| Error::Bind {
        key,
        address,
        source,
    };
    socket::listeners(address, workers).map_err(fault)
}

/// Binds TCP and UDP to the same port, trying others while the port is ours to choose.
fn bind_both(
    address: Option<SocketAddr>,
    workers: usize,
) -> Result<(Vec<TcpListener>, Vec<Port>), Error> {
    let key = "http.tls_listen";
    let mut tries = 0;
    loop {
        let tcp = bind_tcp(key, address, workers)?;
        let Some(found) = address_of(&tcp) else {
            return Ok((tcp, Vec::new()));
        };
        match socket::ports(found, workers, QUIC_BUFFER_BYTES) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(_)
                if address.is_some_and(|address| address.port() == 0) && tries < PORT_TRIES_MAX =>
            {
                tries += 1;
            }
            Err(source) => {
                let address = found;
                return Err(Error::Bind {
                    key,
                    address,
                    source,
                });
            }
        }
    }
}

fn address_of(listeners: &[TcpListener]) -> Option<SocketAddr> {
    listeners.first()?.local_addr().ok()
}

/// Deals the sockets out to the workers, one after the other.
fn deal<T>(sockets: Vec<T>, workers: &mut [Sockets], pile: impl Fn(&mut Sockets) -> &mut Vec<T>) {
    let count = workers.len();
    for (index, socket) in sockets.into_iter().enumerate() {
        pile(&mut workers[index % count]).push(socket);
    }
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
