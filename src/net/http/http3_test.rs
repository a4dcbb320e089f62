use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Buf as _;
use h3::client::{RequestStream as ClientStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::task::LocalSet;

use super::*;
use crate::net::Congestion;
use crate::net::http::Sink;
use crate::net::http::fake::{self, Fake, WAIT, until};
use crate::net::quic::Settings;
use crate::net::{socket, tls};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A client of a fake service, over QUIC on loopback.
struct Client {
    requests: SendRequest<OpenStreams, Bytes>,
    connection: quinn::Connection,
    front: Rc<Front>,
    /// Set when the server's task has ended.
    ended: Rc<Cell<bool>>,
}

pub(in crate::net) type Exchange = ClientStream<BidiStream<Bytes>, Bytes>;

impl Client {
    async fn connect(service: Fake) -> Self {
        let authority = tls::Authority::create("test root");
        let identity = authority.issue(&["localhost"]).unwrap();
        let certificates = tls::ServerCertificates::new(&identity).unwrap();
        let server_tls = tls::server_config(certificates, &[b"h3"]);
        let settings = Settings::new(server_tls, Congestion::Bbr, 1);
        let server = settings
            .endpoint(socket::udp(ANY, false, 0).unwrap())
            .unwrap();
        let address = server.local_addr().unwrap();

        let front = fake::front(service);
        let ended = Rc::new(Cell::new(false));
        let (task_front, task_ended) = (front.clone(), ended.clone());
        front.scope.spawn_local("test server", async move {
            let connection = server.accept().await.unwrap().await.unwrap();
            let link = Link {
                peer: connection.remote_address(),
                secure: true,
            };
            serve(connection, link, task_front).await;
            task_ended.set(true);
        });

        let mut endpoint = Endpoint::client(ANY).unwrap();
        endpoint.set_default_client_config(client_config(&authority));
        let connection = endpoint
            .connect(address, "localhost")
            .unwrap()
            .await
            .unwrap();
        let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(connection.clone()))
            .await
            .unwrap();
        front.scope.spawn_local("test client", async move {
            poll_fn(|cx| driver.poll_close(cx)).await;
        });
        Self {
            requests,
            connection,
            front,
            ended,
        }
    }

    async fn send(&mut self, method: &str, path: &str) -> Exchange {
        let uri = format!("https://localhost{path}");
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .unwrap();
        self.requests.send_request(request).await.unwrap()
    }

    async fn request(&mut self, method: &str, path: &str) -> Exchange {
        let mut exchange = self.send(method, path).await;
        exchange.finish().await.unwrap();
        exchange
    }

    async fn get(&mut self, path: &str) -> (http::Response<()>, Vec<u8>) {
        let exchange = self.request("GET", path).await;
        receive(exchange).await
    }
}

/// A QUIC client that speaks HTTP/3 and trusts `authority`.
pub(in crate::net) fn client_config(authority: &tls::Authority) -> quinn::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

pub(in crate::net) async fn receive(mut exchange: Exchange) -> (http::Response<()>, Vec<u8>) {
    let head = timeout(WAIT, exchange.recv_response())
        .await
        .unwrap()
        .unwrap();
    let mut body = Vec::new();
    while let Some(mut data) = timeout(WAIT, exchange.recv_data()).await.unwrap().unwrap() {
        let length = data.remaining();
        body.extend_from_slice(&data.copy_to_bytes(length));
    }
    (head, body)
}

/// Runs `test` where local tasks can be spawned.
async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn requests_share_a_connection_and_a_parked_one_stops_none() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let mut client = Client::connect(service).await;
        let parked = client.request("GET", "/wait").await;
        until(|| waiting.get() == 1).await;
        let (head, body) = client.get("/hello?a=b").await;
        assert_eq!(body, b"hello");
        assert_eq!(head.headers()["content-length"], "5");
        assert_eq!(head.headers()["server"], "rushlane");
        assert_eq!(head.headers()["x-protocol"], "H3 secure=true");
        assert!(head.headers().contains_key("date"));
        assert!(!head.headers().contains_key("alt-svc"));
        assert!(!head.headers().contains_key("connection"));
        assert_eq!(client.get("/large").await.1, *fake::large().to_bytes());
        assert_eq!(client.get("/missing").await.0.status(), 404);
        assert_eq!(client.get("/nothing").await.0.status(), 204);
        let (head, body) = receive(client.request("HEAD", "/hello").await).await;
        assert_eq!(
            (&head.headers()["content-length"], body.len()),
            (&"5".parse().unwrap(), 0)
        );
        release.notify_waiters();
        assert_eq!(receive(parked).await.1, b"hello");
    })
    .await;
}

#[tokio::test]
async fn request_bodies_are_refused() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        let request = http::Request::post("https://localhost/hello").header("content-length", "4");
        let request = request.body(()).unwrap();
        let mut exchange = client.requests.send_request(request).await.unwrap();
        exchange
            .send_data(Bytes::from_static(b"body"))
            .await
            .unwrap();
        exchange.finish().await.unwrap();
        let head = timeout(WAIT, exchange.recv_response())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(head.status(), 413);
    })
    .await;
}

#[tokio::test]
async fn peer_that_leaves_drops_its_parked_requests() {
    local(async {
        let service = Fake::default();
        let waiting = service.waiting.clone();
        let mut client = Client::connect(service).await;
        let _parked = client.request("GET", "/wait").await;
        until(|| waiting.get() == 1).await;
        client.connection.close(0_u32.into(), b"");
        until(|| waiting.get() == 0 && client.ended.get()).await;
    })
    .await;
}

#[tokio::test]
async fn live_reply_is_a_queue() {
    local(async {
        let service = Fake::default();
        let sinks = service.sinks.clone();
        let mut client = Client::connect(service).await;
        let mut exchange = client.request("GET", "/live").await;
        exchange.recv_response().await.unwrap();
        let Some(Sink::Queue(sink)) = sinks.borrow_mut().pop() else {
            panic!("a queue is handed over")
        };
        sink.send(Bytes::from_static(b"frame")).await.unwrap();
        let mut frame = exchange.recv_data().await.unwrap().unwrap();
        assert_eq!(frame.copy_to_bytes(5), "frame");
        drop(exchange);
        let told = async { while sink.send(Bytes::from_static(b"frame")).await.is_ok() {} };
        timeout(WAIT, told).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn drain_lets_replies_end() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let mut client = Client::connect(service).await;
        let parked = client.request("GET", "/wait").await;
        until(|| waiting.get() == 1).await;
        client.front.shutdown().request();
        release.notify_waiters();
        assert_eq!(receive(parked).await.1, b"hello");
        client.connection.close(0_u32.into(), b"");
        until(|| client.ended.get()).await;
    })
    .await;
}

#[tokio::test]
async fn garbage_ends_the_connection_only() {
    local(async {
        let client = Client::connect(Fake::default()).await;
        for garbage in [
            &b"\x00\x05hello"[..],
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x01\x03\xff\xff\xff",
        ] {
            let (mut send, _receive) = client.connection.open_bi().await.unwrap();
            // The connection may be closed by the first of them.
            if send.write_all(garbage).await.is_err() {
                break;
            }
            send.finish().ok();
        }
        timeout(WAIT, client.connection.closed()).await.unwrap();
        until(|| client.ended.get()).await;
    })
    .await;
}
