//! Connections as viewers make them: each viewer has his own, none is shared.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Url;
use rushlane::runtime::TaskScope;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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

/// Makes connections.
#[derive(Clone)]
pub struct Web {
    scope: TaskScope,
    tls: Arc<rustls::ClientConfig>,
}

/// One connection that speaks HTTP. Clones share it.
pub enum Connection {
    /// HTTP/1.1: one request at a time.
    One(http1::SendRequest<Empty<Bytes>>),
    /// HTTP/2.
    Two(http2::SendRequest<Empty<Bytes>>),
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
            tls: Arc::new(tls),
        })
    }

    /// Connects to the host of `url`; with TLS for `https`, where `protocol` is asked for.
    pub async fn stream(&self, url: &Url, protocol: &[u8]) -> anyhow::Result<Pin<Box<dyn Stream>>> {
        let host = url.host_str().context("no host")?;
        let port = url.port_or_known_default().context("no port")?;
        let connect = async {
            let socket = TcpStream::connect((host, port)).await?;
            socket.set_nodelay(true)?;
            let stream: Pin<Box<dyn Stream>> = if url.scheme() == "https" {
                let mut tls = (*self.tls).clone();
                tls.alpn_protocols = vec![protocol.to_vec()];
                let name = ServerName::try_from(host.to_owned())?;
                Box::pin(
                    TlsConnector::from(Arc::new(tls))
                        .connect(name, socket)
                        .await?,
                )
            } else {
                Box::pin(socket)
            };
            anyhow::Ok(stream)
        };
        let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
        tokio::time::timeout(limit, connect)
            .await
            .context("no connection in time")?
    }

    /// Connects to the host of `url` and speaks HTTP with it.
    pub async fn connect(&self, url: &Url, http2: bool) -> anyhow::Result<Connection> {
        if http2 {
            let stream = TokioIo::new(self.stream(url, b"h2").await?);
            let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
            self.scope.spawn("connection", async move {
                let _ended = driver.await;
            });
            return Ok(Connection::Two(sender));
        }
        let stream = TokioIo::new(self.stream(url, b"http/1.1").await?);
        let (sender, driver) = http1::handshake(stream).await?;
        self.scope.spawn("connection", async move {
            let _ended = driver.await;
        });
        Ok(Connection::One(sender))
    }
}

/// What an answer holds that counts.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Connection {
    /// Another handle for requests at the same time: the same connection with HTTP/2.
    pub async fn another(&self, web: &Web, url: &Url) -> anyhow::Result<Self> {
        match self {
            Self::One(_) => web.connect(url, false).await,
            Self::Two(sender) => Ok(Self::Two(sender.clone())),
        }
    }

    /// Gets `url` whole.
    pub async fn get(&mut self, url: &Url, tally: &Tally) -> anyhow::Result<Answer> {
        let whole = async {
            let response = self.open(url, tally).await?;
            let status = response.status().as_u16();
            let (mut incoming, mut body) = (response.into_body(), BytesMut::new());
            while let Some(frame) = incoming.frame().await {
                if let Ok(data) = frame?.into_data() {
                    ensure!(
                        body.len() + data.len() <= BODY_BYTES_MAX,
                        "a body above 64 MB"
                    );
                    body.extend_from_slice(&data);
                }
            }
            tally.add(Count::Bytes, i64::try_from(body.len())?);
            let body = body.freeze();
            Ok(Answer { status, body })
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
    pub async fn open(&mut self, url: &Url, tally: &Tally) -> anyhow::Result<Response<Incoming>> {
        tally.one(Count::Requests);
        let request = Request::get(match self {
            Self::One(_) => match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            },
            Self::Two(_) => url.to_string(),
        });
        let request = request.header(header::USER_AGENT, "rushlane-load");
        Ok(match self {
            Self::One(sender) => {
                let host = url.authority();
                let request = request.header(header::HOST, host).body(Empty::new())?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request.body(Empty::new())?).await?
            }
        })
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
