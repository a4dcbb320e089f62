//! A UDP port that outlives its process, with the QUIC connections on it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use parking_lot::Mutex;
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Runtime as _, ServerConfig};

use crate::net::heritage::datagrams::{Fed, Mark, Steered};
use crate::net::heritage::{Latch, keep_udp, latch, mark, take_udp};
use crate::net::socket;
use crate::runtime::Shutdown;

/// Where the datagrams of a socket come from once another process reads it.
#[derive(Debug, Clone, Default)]
pub(super) struct Feed {
    pub(super) given: Latch,
    pub(super) taken: Latch,
    pub(super) datagrams: Arc<Mutex<Option<UnixDatagram>>>,
}

/// A UDP socket that QUIC listens on.
#[derive(Debug)]
pub struct Port {
    pub(super) socket: UdpSocket,
    /// The way to the process before, whose datagrams come in here.
    pub(super) elder: Option<(Mark, UnixDatagram)>,
    /// Named when this process has a successor.
    pub(super) feed: Feed,
}

/// What moves an endpoint once another process reads its socket.
#[derive(Debug)]
pub struct Handover {
    endpoint: Endpoint,
    writer: Arc<dyn AsyncUdpSocket>,
    feed: Feed,
}

impl Port {
    /// One that no process had before.
    pub(in crate::net) fn new(socket: UdpSocket) -> Self {
        Self {
            socket,
            elder: None,
            feed: Feed::default(),
        }
    }

    /// The port that listens on `address` alone, with kernel buffers of `buffer_bytes`: the one
    /// that the process before had, if it had one. It is handed on to the process after.
    pub fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let port = match take_udp(address).pop() {
            Some(port) => port,
            None => Self::new(socket::udp(address, false, buffer_bytes)?),
        };
        keep_udp(&port);
        Ok(port)
    }

    /// The socket, for its settings.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// An endpoint on this port, in the runtime in which this is called. Run [`Handover::run`]
    /// beside it.
    pub fn endpoint(
        self,
        mut config: EndpointConfig,
        server: Option<ServerConfig>,
    ) -> io::Result<(Endpoint, Handover)> {
        let runtime = Arc::new(quinn::TokioRuntime);
        let mark = mark();
        config.cid_generator(move || Box::new(mark));
        let writer = runtime.wrap_udp_socket(self.socket.try_clone()?)?;
        let mut reader = runtime.wrap_udp_socket(self.socket)?;
        if let Some(elder) = self.elder {
            reader = Arc::new(Steered::new(reader, elder, latch())?);
        }
        let endpoint = Endpoint::new_with_abstract_socket(config, server, reader, runtime)?;
        let handover = Handover {
            endpoint: endpoint.clone(),
            writer,
            feed: self.feed,
        };
        Ok((endpoint, handover))
    }
}

impl Handover {
    /// Waits for a successor; from then on the endpoint reads what that passes back. Returns then,
    /// or with `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        let datagrams = tokio::select! {
            datagrams = self.feed.given() => datagrams,
            () = shutdown.requested() => return,
        };
        let moved = Fed::new(self.writer.clone(), datagrams)
            .and_then(|fed| self.endpoint.rebind_abstract(Arc::new(fed)));
        if let Err(error) = moved {
            tracing::warn!(%error, "QUIC connections end with the hand-over");
        }
    }
}

impl Drop for Handover {
    /// Moved or ended: the socket is not read here any more.
    fn drop(&mut self) {
        self.feed.taken();
    }
}

impl Feed {
    /// Waits until another process reads the socket; where its datagrams come from then.
    pub(super) async fn given(&self) -> UnixDatagram {
        loop {
            self.given.opened().await;
            if let Some(datagrams) = self.datagrams.lock().take() {
                return datagrams;
            }
            // It was taken before; there is no second successor.
            std::future::pending::<()>().await;
        }
    }

    /// From now on the socket itself is not read any more.
    pub(super) fn taken(&self) {
        self.taken.open();
    }
}
