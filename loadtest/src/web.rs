//! Connections as viewers make them: each viewer has his own, none is shared.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Url;
use rushlane::runtime::{TaskScope, clock};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::http3::{Exchange, Ports, Requests};
use crate::link::Link;
use crate::tally::{Count, Tally};

/// How long a connection may take to be made.
const CONNECT_SECONDS_MAX: u64 = 10;
/// How long a request may take: hls.js gives up on a playlist after 20 s.
const REQUEST_SECONDS_MAX: u64 = 20;
/// The largest body: a segment of 10 s at 50 Mbit/s.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A byte stream, with or without TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A version of HTTP: 1, 2 or 3 in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Http {
    /// HTTP/1.1: one request at a time, so that a viewer has several connections.
    #[default]
    One,
    /// HTTP/2: all requests of a viewer on one connection.
    Two,
    /// HTTP/3: the same over QUIC.
    Three,
}

impl TryFrom<u8> for Http {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            3 => Ok(Self::Three),
            _ => Err(format!("{number}: use 1, 2 or 3")),
        }
    }
}

impl From<Http> for u8 {
    fn from(http: Http) -> Self {
        match http {
            Http::One => 1,
            Http::Two => 2,
            Http::Three => 3,
        }
    }
}

/// Makes connections.
#[derive(Clone)]
pub struct Web {
    scope: TaskScope,
    insecure: bool,
    tls: Arc<rustls::ClientConfig>,
    ports: Arc<Ports>,
    link: Option<Link>,
}

/// One connection that speaks HTTP. Clones share it.
pub enum Connection {
    /// HTTP/1.1: one request at a time.
    One(http1::SendRequest<Empty<Bytes>>),
    /// HTTP/2.
    Two(http2::SendRequest<Empty<Bytes>>),
    /// HTTP/3.
    Three(Requests),
}

impl Web {
    /// Connections whose tasks live in `scope`; `insecure` accepts certificates of anybody.
    pub fn new(scope: TaskScope, insecure: bool) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let verifier: Arc<dyn rustls::client::danger::ServerCertVerifier> = if insecure {
            Arc::new(trust::Anybody(provider))
        } else {
            Arc::new(rustls_platform_verifier::Verifier::new(provider)?)
        };
        let tls = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self {
            scope,
            insecure,
            ports: Arc::new(Ports::new(&tls)?),
            tls: Arc::new(tls),
            link: None,
        })
    }

    /// A client that keeps connections, for orders and questions: an answer takes `wait` at most.
    pub fn client(&self, wait: Duration) -> anyhow::Result<reqwest::Client> {
        client(self.insecure, wait)
    }

    /// The same, with all connections over `link`.
    #[must_use]
    pub fn behind(&self, link: Link) -> Self {
        Self {
            link: Some(link),
            ..self.clone()
        }
    }

    /// Connects to the host of `url`; with TLS for `https`, where `protocol` is asked for.
    pub async fn stream(&self, url: &Url, protocol: &[u8]) -> anyhow::Result<Pin<Box<dyn Stream>>> {
        let host = url.host_str().context("no host")?;
        let port = url.port_or_known_default().context("no port")?;
        let connect = async {
            let Some(link) = &self.link else {
                let socket = TcpStream::connect((host, port)).await?;
                socket.set_nodelay(true)?;
                return self.secure(url, protocol, socket).await;
            };
            let address = lookup_host((host, port)).await?.next();
            let address = address.context("no address")?;
            let socket = link.connect(address, &self.scope).await?;
            self.secure(url, protocol, socket).await
        };
        let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
        tokio::time::timeout(limit, connect)
            .await
            .context("no connection in time")?
    }

    async fn secure<S>(
        &self,
        url: &Url,
        protocol: &[u8],
        socket: S,
    ) -> anyhow::Result<Pin<Box<dyn Stream>>>
    where
        S: Stream + Unpin + 'static,
    {
        if url.scheme() != "https" {
            return Ok(Box::pin(socket));
        }
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(url.host_str().context("no host")?.to_owned())?;
        let tls = TlsConnector::from(Arc::new(tls));
        Ok(Box::pin(tls.connect(name, socket).await?))
    }

    /// Connects to the host of `url` and speaks HTTP with it.
    pub async fn connect(&self, url: &Url, http: Http) -> anyhow::Result<Connection> {
        match http {
            Http::One => {
                let stream = TokioIo::new(self.stream(url, b"http/1.1").await?);
                let (sender, driver) = http1::handshake(stream).await?;
                self.scope.spawn("connection", async move {
                    let _ended = driver.await;
                });
                Ok(Connection::One(sender))
            }
            Http::Two => {
                let stream = TokioIo::new(self.stream(url, b"h2").await?);
                let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
                self.scope.spawn("connection", async move {
                    let _ended = driver.await;
                });
                Ok(Connection::Two(sender))
            }
            Http::Three => {
                ensure!(url.scheme() == "https", "HTTP/3 is spoken with TLS only");
                let host = url.host_str().context("no host")?;
                let port = url.port_or_known_default().context("no port")?;
                let link = self.link.as_ref();
                let connect = self.ports.connect((host, port), link, &self.scope);
                let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
                let connected = tokio::time::timeout(limit, connect).await;
                Ok(Connection::Three(
                    connected.context("no connection in time")??,
                ))
            }
        }
    }
}

/// A client that goes where it is told and nowhere else: redirects might lead out of the fleet.
pub fn client(insecure: bool, wait: Duration) -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .timeout(wait)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(insecure);
    Ok(client.build()?)
}

/// What an answer holds that counts.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// From the request to the head.
    pub waited: Duration,
    /// From the request to the end of the body.
    pub took: Duration,
}

impl Connection {
    /// Another handle for requests at the same time: the same connection from HTTP/2 on.
    pub async fn another(&self, web: &Web, url: &Url) -> anyhow::Result<Self> {
        match self {
            Self::One(_) => web.connect(url, Http::One).await,
            Self::Two(sender) => Ok(Self::Two(sender.clone())),
            Self::Three(sender) => Ok(Self::Three(sender.clone())),
        }
    }

    /// Gets `url` whole.
    pub async fn get(&mut self, url: &Url, tally: &Tally) -> anyhow::Result<Answer> {
        let whole = async {
            let since = clock::now();
            let response = self.open(url, tally).await?;
            let (status, waited) = (response.status().as_u16(), since.elapsed());
            let (mut incoming, mut body) = (response.into_body(), BytesMut::new());
            while let Some(data) = incoming.next().await? {
                let bytes = body.len() + data.len();
                ensure!(bytes <= BODY_BYTES_MAX, "a body above 64 MB");
                body.extend_from_slice(&data);
            }
            tally.add(Count::Bytes, i64::try_from(body.len())?);
            Ok(Answer {
                status,
                body: body.freeze(),
                waited,
                took: since.elapsed(),
            })
        };
        let limit = Duration::from_secs(REQUEST_SECONDS_MAX);
        tokio::time::timeout(limit, whole)
            .await
            .context("no answer in 20 s")?
    }

    /// As [`Self::get`]; every status but 200 is an error.
    pub async fn fetch(&mut self, url: &Url, tally: &Tally) -> anyhow::Result<Bytes> {
        let answer = self.get(url, tally).await?;
        if answer.status != 200 {
            bail!("{}: status {}", url.path(), answer.status);
        }
        Ok(answer.body)
    }

    /// Gets the head of `url`; the body is read by the caller.
    pub async fn open(&mut self, url: &Url, tally: &Tally) -> anyhow::Result<Response<Body>> {
        tally.one(Count::Requests);
        let request = Request::get(match self {
            Self::One(_) => match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            },
            Self::Two(_) | Self::Three(_) => url.to_string(),
        });
        let request = request.header(header::USER_AGENT, "rushlane-load");
        Ok(match self {
            Self::One(sender) => {
                let host = url.authority();
                let request = request.header(header::HOST, host).body(Empty::new())?;
                sender.ready().await?;
                sender.send_request(request).await?.map(Body::Stream)
            }
            Self::Two(sender) => {
                sender.ready().await?;
                let request = request.body(Empty::new())?;
                sender.send_request(request).await?.map(Body::Stream)
            }
            Self::Three(sender) => {
                let mut exchange = sender.send_request(request.body(())?).await?;
                exchange.finish().await?;
                let head = exchange.recv_response().await?;
                head.map(|()| Body::Quic(Box::new(exchange)))
            }
        })
    }
}

/// A body as it comes.
pub enum Body {
    /// Over HTTP/1.1 and HTTP/2.
    Stream(Incoming),
    /// Over HTTP/3.
    Quic(Box<Exchange>),
}

impl Body {
    /// The bytes that came next; none at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self {
            Self::Stream(incoming) => {
                while let Some(frame) = incoming.frame().await {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
                Ok(None)
            }
            Self::Quic(exchange) => {
                let data = exchange.recv_data().await?;
                Ok(data.map(|mut data| data.copy_to_bytes(data.remaining())))
            }
        }
    }
}

/// Certificates of unknown authorities, where the fleet says so.
mod trust {
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    /// Takes every certificate, but only from who holds its key.
    #[derive(Debug)]
    pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let known = &self.0.signature_verification_algorithms;
            verify_tls12_signature(message, certificate, signed, known)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let known = &self.0.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signed, known)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
