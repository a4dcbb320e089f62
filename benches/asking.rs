//! Clients that ask for one thing again as soon as they have it, over each version of HTTP: how
//! many answers a second of a server's CPU gives.
//!
//! Each client has a connection of its own and one request under way. Knows nothing of what is
//! asked for.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, Bytes};
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::crypto::rustls::QuicClientConfig;
use rushlane::net::tls;
use rushlane::runtime::clock::{self, Instant};
use rushlane::runtime::{Shutdown, TaskScope};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::outcome;
use crate::process::{CpuMeter, Process};

const ROUND: Duration = Duration::from_millis(2500);
/// How long all clients may take to have their first answer.
const CONNECTED: Duration = Duration::from_secs(20);
/// Between the first answers and the round.
const SETTLE: Duration = Duration::from_millis(500);
/// What a client over HTTP/3 takes unasked, in bytes: a part, and the streams behind it.
const WINDOW: u32 = 1 << 20;

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1.
    Plain,
    /// HTTP/1.1 over TLS 1.3.
    Tls,
    /// HTTP/2 over TLS 1.3.
    Two,
    /// HTTP/3.
    Three,
}

/// A server's two addresses; HTTP/3 is spoken with the second one.
pub struct Target<'a> {
    /// What is measured.
    pub process: &'a Process,
    /// `ADDRESS:PORT` of plain HTTP.
    pub plain: &'a str,
    /// The same of HTTPS.
    pub secure: &'a str,
}

/// What one round saw.
pub struct Load {
    /// Answers for a second of the server's CPU.
    pub per_core: f64,
    /// From a request to the last byte of its answer, 99th percentile.
    pub p99_ms: f64,
}

/// Clients that trust one authority.
pub struct Clients {
    tls: TlsConnector,
    tls_h2: TlsConnector,
    quic: quinn::Endpoint,
}

/// What the clients of a round have in common.
struct Round {
    wire: Wire,
    address: String,
    path: String,
    delays_us: RefCell<Histogram<u64>>,
    /// Clients that have had an answer.
    answered: RefCell<usize>,
    failure: RefCell<Option<anyhow::Error>>,
}

impl Clients {
    /// Clients that trust the authority of this file.
    pub fn new(authority: &Path) -> anyhow::Result<Self> {
        let config = |protocols: &[&[u8]]| -> anyhow::Result<ClientConfig> {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority)?)?;
            let mut config = ClientConfig::builder_with_provider(tls::provider())
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Ok(config)
        };
        let mut transport = quinn::TransportConfig::default();
        transport.receive_window((64 * WINDOW).into());
        transport.stream_receive_window(WINDOW.into());
        let quic = QuicClientConfig::try_from(config(&[b"h3"])?)?;
        let mut quic = quinn::ClientConfig::new(Arc::new(quic));
        quic.transport_config(Arc::new(transport));
        let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        endpoint.set_default_client_config(quic);
        Ok(Self {
            tls: Arc::new(config(&[])?).into(),
            tls_h2: Arc::new(config(&[b"h2"])?).into(),
            quic: endpoint,
        })
    }

    /// `connections` clients ask `target` for `path` over `wire`.
    pub async fn load(
        &self,
        target: &Target<'_>,
        path: &str,
        wire: Wire,
        connections: usize,
    ) -> anyhow::Result<Load> {
        let address = match wire {
            Wire::Plain => target.plain,
            Wire::Tls | Wire::Two | Wire::Three => target.secure,
        };
        let round = Rc::new(Round {
            wire,
            address: address.to_owned(),
            path: path.to_owned(),
            delays_us: RefCell::new(outcome::microseconds()),
            answered: RefCell::default(),
            failure: RefCell::default(),
        });
        let scope = TaskScope::under(&Shutdown::new());
        for _ in 0..connections {
            let (round, tls, tls_h2) = (round.clone(), self.tls.clone(), self.tls_h2.clone());
            let quic = self.quic.clone();
            scope.spawn_local("client", async move {
                let ended = match round.wire {
                    Wire::Plain => round.plain().await,
                    Wire::Tls => round.tls(&tls).await,
                    Wire::Two => round.two(&tls_h2).await,
                    Wire::Three => round.three(&quic).await,
                };
                if let Err(error) = ended {
                    round.failure.borrow_mut().get_or_insert(error);
                }
            });
        }
        let measured = round.measure(target.process, connections).await;
        scope.finish(Duration::ZERO).await;
        if let Some(error) = round.failure.take() {
            return Err(error.context(format!("a client of {path} over {wire:?} failed")));
        }
        measured
    }
}

impl Round {
    async fn measure(&self, server: &Process, connections: usize) -> anyhow::Result<Load> {
        let started = clock::now();
        while *self.answered.borrow() < connections && started.elapsed() < CONNECTED {
            if self.failure.borrow().is_some() {
                bail!("it is said elsewhere");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let answered = *self.answered.borrow();
        ensure!(
            answered == connections,
            "{answered} of {connections} answered"
        );
        tokio::time::sleep(SETTLE).await;
        self.delays_us.borrow_mut().reset();
        let (started, meter) = (clock::now(), CpuMeter::start(server)?);
        tokio::time::sleep(ROUND).await;
        let share = meter.share(server)?;
        let delays_us = self.delays_us.borrow();
        let per_second = delays_us.len() as f64 / started.elapsed().as_secs_f64();
        Ok(Load {
            per_core: per_second / share,
            p99_ms: delays_us.value_at_quantile(0.99) as f64 / 1000.0,
        })
    }

    /// An answer to what was `sent` is here; `is_first` of its client.
    fn answered(&self, sent: Instant, is_first: bool) {
        *self.answered.borrow_mut() += usize::from(is_first);
        let elapsed_us = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.delays_us
            .borrow_mut()
            .saturating_record(elapsed_us.max(1));
    }

    async fn socket(&self) -> anyhow::Result<TcpStream> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    async fn plain(&self) -> anyhow::Result<()> {
        self.ask(self.socket().await?).await
    }

    async fn tls(&self, connector: &TlsConnector) -> anyhow::Result<()> {
        let name = ServerName::try_from("localhost")?;
        self.ask(connector.connect(name, self.socket().await?).await?)
            .await
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> anyhow::Result<()> {
        let path = &self.path;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (mut buffer, mut is_first) = (vec![0; 128 << 10], true);
        loop {
            let sent = clock::now();
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            let (mut have, mut total) = (0, None);
            while total.is_none_or(|total| have < total) {
                // The head stands at the front of the buffer; bodies are read over each other.
                let from = if total.is_some() { 0 } else { have };
                let length = stream.read(&mut buffer[from..]).await?;
                ensure!(length > 0, "closed after {have} bytes");
                have += length;
                if total.is_none() {
                    total = response_bytes(&buffer[..have])?;
                }
            }
            self.answered(sent, std::mem::take(&mut is_first));
        }
    }

    async fn two(&self, connector: &TlsConnector) -> anyhow::Result<()> {
        let name = ServerName::try_from("localhost")?;
        let stream = connector.connect(name, self.socket().await?).await?;
        let (mut requests, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await?;
        let asking = async {
            let mut is_first = true;
            loop {
                let sent = clock::now();
                let uri = format!("https://localhost{}", self.path);
                let request = Request::get(uri).body(Empty::<Bytes>::new())?;
                let answer = requests.send_request(request).await?;
                ensure!(answer.status() == 200, "{}", answer.status());
                let mut body = answer.into_body();
                while let Some(frame) = body.frame().await {
                    frame?;
                }
                self.answered(sent, std::mem::take(&mut is_first));
            }
        };
        tokio::select! {
            ended = connection => ended.context("the connection ended"),
            ended = asking => ended,
        }
    }

    async fn three(&self, endpoint: &quinn::Endpoint) -> anyhow::Result<()> {
        let connection = endpoint
            .connect(self.address.parse()?, "localhost")?
            .await?;
        let (mut driver, mut requests) =
            h3::client::new(h3_quinn::Connection::new(connection)).await?;
        let asking = async {
            let mut is_first = true;
            loop {
                let sent = clock::now();
                let request = Request::get(format!("https://localhost{}", self.path)).body(())?;
                let mut exchange = requests.send_request(request).await?;
                exchange.finish().await?;
                let head = exchange.recv_response().await?;
                ensure!(head.status() == 200, "{}", head.status());
                while let Some(mut data) = exchange.recv_data().await? {
                    data.advance(data.remaining());
                }
                self.answered(sent, std::mem::take(&mut is_first));
            }
        };
        tokio::select! {
            ended = std::future::poll_fn(|cx| driver.poll_close(cx)) => bail!("ended: {ended}"),
            ended = asking => ended,
        }
    }
}

/// Head and body of a response in bytes, once the head is whole.
pub fn response_bytes(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim())
    });
    let length: usize = length.context("no content-length")?.parse()?;
    Ok(Some(end + 4 + length))
}
