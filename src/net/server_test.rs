use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

#[path = "flood_test.rs"]
mod flood;

use super::*;
use crate::net::http::fake::{Fake, WAIT};
use crate::net::http::http3::tests::{client_config, receive};
use crate::runtime::TaskScope;
use crate::telemetry;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn config() -> Config {
    Config {
        listen: Some(ANY),
        tls_listen: Some(ANY),
        workers: 2,
        ..Config::default()
    }
}

/// A running server on loopback.
struct Running {
    addresses: LocalAddresses,
    authority: tls::Authority,
    certificates: Arc<ServerCertificates>,
    telemetry: telemetry::Metrics,
    shutdown: Shutdown,
    task: JoinHandle<()>,
    result: Arc<Mutex<Option<Result<(), Error>>>>,
    scope: TaskScope,
}

impl Running {
    fn start(config: Config) -> Self {
        let authority = tls::Authority::create("test root");
        let identity = authority.issue(&["localhost"]).unwrap();
        let certificates = ServerCertificates::new(std::slice::from_ref(&identity)).unwrap();
        let telemetry = telemetry::Metrics::default();
        let make_service = |_| -> Rc<dyn Service> { Rc::new(Fake::default()) };
        let metrics = Metrics::register(&telemetry);
        let server =
            Server::bind(config, Some(certificates.clone()), make_service, metrics).unwrap();
        let addresses = server.local_addresses();
        let scope = TaskScope::under(&Shutdown::new());
        let shutdown = Shutdown::new();
        let result = Arc::new(Mutex::new(None));
        let drain = Drain::default();
        let (stop, ended) = (shutdown.clone(), result.clone());
        let task = scope.spawn("server", async move {
            let end = server.run(&drain, &stop, Duration::from_millis(300)).await;
            *ended.lock().unwrap() = Some(end);
        });
        Self {
            addresses,
            authority,
            certificates,
            telemetry,
            shutdown,
            task,
            result,
            scope,
        }
    }

    async fn stop(self) {
        self.shutdown.request();
        timeout(WAIT, self.task).await.expect("it drains").unwrap();
        self.result.lock().unwrap().take().unwrap().unwrap();
    }

    fn client(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.certificate()).unwrap();
        rustls::ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// Waits until the metrics hold `line`.
    async fn counts(&self, line: &str) {
        counts(&self.telemetry, line).await;
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addresses.plain.unwrap())
            .await
            .unwrap()
    }
}

async fn counts(telemetry: &telemetry::Metrics, line: &str) {
    let wait = async {
        while !telemetry.encode().contains(line) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(WAIT, wait).await.expect(line);
}

/// Sends one request and reads to the end of the connection.
async fn get(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let request = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = String::new();
    timeout(WAIT, stream.read_to_string(&mut all))
        .await
        .unwrap()
        .unwrap();
    all
}

#[tokio::test]
async fn plain_connections_are_served_and_counted() {
    let server = Running::start(config());
    for _ in 0..8 {
        let all = get(&mut server.connect().await).await;
        assert!(
            all.starts_with("HTTP/1.1 200") && all.ends_with("hello"),
            "{all}"
        );
    }
    server
        .counts("rushlane_net_requests_total{protocol=\"h1\",status=\"2xx\"} 8")
        .await;
    server.stop().await;
}

#[tokio::test]
async fn tls_of_both_versions_is_served() {
    let server = Running::start(config());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let connector = TlsConnector::from(Arc::new(server.client(&[version])));
        let tcp = TcpStream::connect(server.addresses.tls.unwrap())
            .await
            .unwrap();
        let name = "localhost".try_into().unwrap();
        let mut stream = connector.connect(name, tcp).await.unwrap();
        let all = get(&mut stream).await;
        assert!(all.contains("x-protocol: H1 secure=true\r\n"), "{all}");
        let port = server.addresses.quic.unwrap().port();
        assert!(
            all.contains(&format!("alt-svc: h3=\":{port}\"; ma=86400\r\n")),
            "{all}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn next_handshake_sees_a_replaced_certificate() {
    let server = Running::start(config());
    let connector = TlsConnector::from(Arc::new(server.client(&[&rustls::version::TLS13])));
    let connect = async || {
        let tcp = TcpStream::connect(server.addresses.tls.unwrap())
            .await
            .unwrap();
        connector.connect("renewed".try_into().unwrap(), tcp).await
    };
    assert!(
        connect().await.is_err(),
        "the certificate is for another name"
    );
    server
        .certificates
        .replace(&[server.authority.issue(&["renewed"]).unwrap()])
        .unwrap();
    assert!(get(&mut connect().await.unwrap()).await.ends_with("hello"));
    server.stop().await;
}

#[tokio::test]
async fn http2_is_agreed_on_in_tls_or_begun_with_prior_knowledge() {
    let server = Running::start(config());
    let mut config = server.client(rustls::DEFAULT_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let tcp = TcpStream::connect(server.addresses.tls.unwrap())
        .await
        .unwrap();
    let secure = connector
        .connect("localhost".try_into().unwrap(), tcp)
        .await
        .unwrap();
    assert_eq!(secure.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let headers = get_by_http2(&server, secure).await;
    assert_eq!(headers["x-protocol"], "H2 secure=true");
    assert!(headers.contains_key("alt-svc"));

    let headers = get_by_http2(&server, server.connect().await).await;
    assert_eq!(headers["x-protocol"], "H2 secure=false");
    assert!(!headers.contains_key("alt-svc"));
    server
        .counts("rushlane_net_connections{protocol=\"h1\"} 0")
        .await;
    server.stop().await;
}

async fn get_by_http2<S>(server: &Running, stream: S) -> http::HeaderMap
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    server.scope.spawn("test client", async move {
        connection.await.ok();
    });
    let request = http::Request::get("https://localhost/hello").body(Empty::<Bytes>::new());
    let response = requests.send_request(request.unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    head.headers
}

#[tokio::test]
async fn http3_is_served_where_alt_svc_says() {
    let server = Running::start(config());
    assert_eq!(server.addresses.quic, server.addresses.tls);
    let mut endpoint = quinn::Endpoint::client(ANY).unwrap();
    endpoint.set_default_client_config(client_config(&server.authority));
    let address = server.addresses.quic.unwrap();
    let connection = endpoint
        .connect(address, "localhost")
        .unwrap()
        .await
        .unwrap();
    let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(connection.clone()))
        .await
        .unwrap();
    server.scope.spawn("test client", async move {
        poll_fn(|cx| driver.poll_close(cx)).await;
    });
    let request = http::Request::get("https://localhost/hello")
        .body(())
        .unwrap();
    let mut exchange = requests.send_request(request).await.unwrap();
    exchange.finish().await.unwrap();
    let (head, body) = receive(exchange).await;
    assert_eq!(
        (&head.headers()["x-protocol"], body),
        (&"H3 secure=true".parse().unwrap(), b"hello".to_vec())
    );
    server
        .counts("rushlane_net_connections{protocol=\"h3\"} 1")
        .await;
    connection.close(0_u32.into(), b"");
    server
        .counts("rushlane_net_connections{protocol=\"h3\"} 0")
        .await;
    server.stop().await;
}

#[tokio::test]
async fn handshake_that_fails_is_counted_and_harms_nobody() {
    let server = Running::start(config());
    let address = server.addresses.tls.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    timeout(WAIT, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .ok();
    server
        .counts("rushlane_net_handshake_failures_total{transport=\"tcp\"} 1")
        .await;
    server.stop().await;
}

#[tokio::test]
async fn panic_of_a_request_ends_its_connection_only() {
    let server = Running::start(Config {
        workers: 1,
        ..config()
    });
    let mut other = server.connect().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    timeout(WAIT, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .ok();
    assert!(rest.is_empty());
    assert!(get(&mut other).await.ends_with("hello"));
    server.stop().await;
}

#[tokio::test]
async fn connection_above_the_bound_is_closed() {
    let server = Running::start(Config {
        workers: 1,
        connections_max: 1,
        ..config()
    });
    let mut first = server.connect().await;
    first
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    first.read_u8().await.unwrap();
    let mut second = server.connect().await;
    let mut rest = Vec::new();
    timeout(WAIT, second.read_to_end(&mut rest))
        .await
        .unwrap()
        .ok();
    assert!(rest.is_empty());
    server
        .counts("rushlane_net_connections_refused_total 1")
        .await;
    server.stop().await;
}

#[tokio::test]
async fn drain_ends_parked_requests_after_the_grace() {
    let server = Running::start(config());
    let mut parked = server.connect().await;
    parked
        .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let telemetry = server.telemetry.clone();
    server.counts("rushlane_net_parked_requests 1").await;
    let address = server.addresses.plain.unwrap();
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    counts(&telemetry, "rushlane_net_parked_requests 0").await;
}

#[test]
fn taken_port_is_named_with_its_key() {
    for (taken, key) in [(true, "http.listen"), (false, "http.tls_listen")] {
        // Even one that asks to share it: another node is no worker of ours.
        let holder = socket::tcp(ANY, true).unwrap();
        let address = holder.local_addr().unwrap();
        let config = Config {
            listen: Some(if taken { address } else { ANY }),
            tls_listen: Some(if taken { ANY } else { address }),
            ..config()
        };
        let identity = tls::Authority::create("test root")
            .issue(&["localhost"])
            .unwrap();
        let error = Server::bind(
            config,
            Some(ServerCertificates::new(std::slice::from_ref(&identity)).unwrap()),
            |_| -> Rc<dyn Service> { Rc::new(Fake::default()) },
            Metrics::register(&telemetry::Metrics::default()),
        );
        let error = error.err().unwrap().to_string();
        assert_eq!(error, format!("{key}: {address}: address already in use"));
    }
}
