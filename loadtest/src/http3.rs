//! Connections of HTTP/3: UDP ports, handshakes, and the task that each connection lives in.
//!
//! What is asked over a connection, and what an answer means, is `web.rs`'s.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use h3::client::{RequestStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use parking_lot::Mutex;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rushlane::runtime::TaskScope;

use crate::link::Link;

/// UDP ports of one family at once; connections beyond them share. An edge's kernel picks the
/// worker by a viewer's port, so that few ports would load few workers; but a port takes up to 3 MB
/// of memory here.
const PORTS_MAX: usize = 1024;

/// Sends requests over one connection. Clones share it; it is closed with the last of them.
pub(crate) type Requests = SendRequest<OpenStreams, Bytes>;
/// One request and its answer.
pub(crate) type Exchange = RequestStream<BidiStream<Bytes>, Bytes>;

/// The UDP ports that connections are made from.
pub(crate) struct Ports {
    config: ClientConfig,
    v4: Mutex<Family>,
    v6: Mutex<Family>,
}

/// The ports of IPv4, or of IPv6.
#[derive(Default)]
struct Family {
    open: Vec<Endpoint>,
    turn: usize,
}

impl Ports {
    /// Ports whose connections trust as `tls` does; none is open yet.
    pub(crate) fn new(tls: &rustls::ClientConfig) -> anyhow::Result<Self> {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let tls = QuicClientConfig::try_from(tls)?;
        Ok(Self {
            config: ClientConfig::new(Arc::new(tls)),
            v4: Mutex::default(),
            v6: Mutex::default(),
        })
    }

    /// Connects to `host` at the UDP `port`, over `link` where there is one; the connection's task
    /// lives in `scope`.
    pub(crate) async fn connect(
        &self,
        (host, port): (&str, u16),
        link: Option<&Link>,
        scope: &TaskScope,
    ) -> anyhow::Result<Requests> {
        let known: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        // A UDP port that nobody serves says nothing, and edges listen on IPv4 at least.
        let address = known.iter().find(|address| address.is_ipv4());
        let mut address = *address.or_else(|| known.first()).context("no address")?;
        let door = match link {
            Some(link) => Some(link.door(address, scope).await?),
            None => None,
        };
        if let Some(door) = &door {
            address = door.address;
        }
        let endpoint = match address {
            SocketAddr::V4(_) => self.v4.lock().next(Ipv4Addr::UNSPECIFIED.into())?,
            SocketAddr::V6(_) => self.v6.lock().next(Ipv6Addr::UNSPECIFIED.into())?,
        };
        let connecting = endpoint.connect_with(self.config.clone(), address, host)?;
        let connection = h3_quinn::Connection::new(connecting.await?);
        let (mut driver, requests) = h3::client::new(connection).await?;
        scope.spawn("connection", async move {
            let _ended = poll_fn(|cx| driver.poll_close(cx)).await;
            drop(door);
        });
        Ok(requests)
    }
}

impl Family {
    /// The next port in turn, bound to `any` when it is a new one.
    fn next(&mut self, any: IpAddr) -> io::Result<Endpoint> {
        if self.turn == self.open.len() {
            self.open.push(Endpoint::client((any, 0).into())?);
        }
        let endpoint = self.open[self.turn].clone();
        self.turn = (self.turn + 1) % PORTS_MAX;
        Ok(endpoint)
    }
}
