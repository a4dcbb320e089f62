use std::cell::Cell;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use h3::client::{RequestStream as ClientStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::io::AsyncReadExt as _;
use tokio::task::LocalSet;

use super::*;
use crate::net::Congestion;
use crate::net::heritage::Port;
use crate::net::http::fake::{self, Fake, WAIT, until};
use crate::net::http::{BODY_BYTES_MAX, Sink};
use crate::net::quic::Settings;
use crate::net::tls;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A client of a fake service, over QUIC on loopback.
struct Client {
    requests: SendRequest<OpenStreams, Bytes>,
    connection: quinn::Connection,
    front: Rc<Front>,
    /// Set when the server's task has ended.
    ended: Rc<Cell<bool>>,
}

pub(in crate::net) type Asked = ClientStream<BidiStream<Bytes>, Bytes>;

impl Client {
    async fn connect(service: Fake) -> Self {
        let authority = tls::Authority::create("test root");
        let identity = authority.issue(&["localhost"]).unwrap();
        let certificates = tls::ServerCertificates::new(std::slice::from_ref(&identity)).unwrap();
        let server_tls = tls::server_config(certificates, &[b"h3"]);
        let settings = Settings::new(server_tls, Congestion::Bbr, 1);
        let port = Port::bind(ANY, 0).unwrap();
        let (server, _handover) = settings.endpoint(port).unwrap();
        let address = server.local_addr().unwrap();

        let front = fake::front(service);
        let ended = Rc::new(Cell::new(false));
        let (task_front, task_ended) = (front.clone(), ended.clone());
        front.scope.spawn_local("test server", async move {
            let connection = server.accept().await.unwrap().await.unwrap();
            serve(connection, task_front).await;
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

    async fn send(&mut self, method: &str, path: &str) -> Asked {
        let uri = format!("https://localhost{path}");
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .unwrap();
        self.requests.send_request(request).await.unwrap()
    }

    async fn request(&mut self, method: &str, path: &str) -> Asked {
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

pub(in crate::net) async fn receive(mut exchange: Asked) -> (http::Response<()>, Vec<u8>) {
    let head = receive_head(&mut exchange).await;
    let mut body = Vec::new();
    while let Some(mut data) = timeout(WAIT, exchange.recv_data()).await.unwrap().unwrap() {
        let length = data.remaining();
        body.extend_from_slice(&data.copy_to_bytes(length));
    }
    (head, body)
}

async fn receive_head(exchange: &mut Asked) -> http::Response<()> {
    let head = timeout(WAIT, exchange.recv_response());
    head.await.unwrap().unwrap()
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
async fn bodies_reach_the_service_up_to_a_bound() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        let large = Bytes::from(vec![b'x'; BODY_BYTES_MAX]);
        for body in [Bytes::new(), Bytes::from_static(b"hello"), large] {
            let mut exchange = client.send("POST", "/echo").await;
            exchange.send_data(body.clone()).await.unwrap();
            exchange.finish().await.unwrap();
            let expected = [b"POST", &body[..]].concat();
            assert_eq!(receive(exchange).await.1, expected);
        }
        let mut exchange = client.send("POST", "/echo").await;
        let large = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
        exchange.send_data(large).await.unwrap();
        assert_eq!(receive_head(&mut exchange).await.status(), 413);
        let mut exchange = client.send("GET", "/hello").await;
        exchange
            .send_data(Bytes::from_static(b"body"))
            .await
            .unwrap();
        assert_eq!(client.get("/hello").await.1, b"hello");
    })
    .await;
}

/// Opens a stream in the session of `id`, as a browser does.
async fn open_bi(client: &Client, id: u8) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, receive) = client.connection.open_bi().await.unwrap();
    send.write_all(&[0x40, 0x41, id]).await.unwrap();
    (send, receive)
}

impl Client {
    /// An extended CONNECT for a session.
    async fn connect_to(&mut self, path: &str) -> Asked {
        let mut request = http::Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = format!("https://localhost{path}").parse().unwrap();
        request.extensions_mut().insert(Extension::WEB_TRANSPORT);
        self.requests.send_request(request).await.unwrap()
    }
}

#[tokio::test]
async fn session_hands_its_streams_to_the_service_beside_requests() {
    local(async {
        let service = Fake::default();
        let sessions = service.sessions.clone();
        let mut client = Client::connect(service).await;
        let mut exchange = client.connect_to("/session").await;
        let head = receive_head(&mut exchange).await;
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()["sec-webtransport-http3-draft"], "draft02");
        until(|| !sessions.borrow().is_empty()).await;
        let mut session = sessions.borrow_mut().pop().unwrap();

        let (mut send, mut receive) = open_bi(&client, 0).await;
        send.write_all(b"hello").await.unwrap();
        let duplex = timeout(WAIT, session.accept_bi()).await.unwrap().unwrap();
        let (mut reader, writer) = duplex.split();
        let mut text = [0; 5];
        reader.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
        let frame = [IoSlice::new(b"wor"), IoSlice::new(b"ld")];
        assert_eq!(writer.try_write(&frame).unwrap(), 5);
        receive.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"world");
        assert_eq!(client.get("/hello").await.1, b"hello");

        send.finish().unwrap();
        assert_eq!(reader.read(&mut text).await.unwrap(), 0);
        drop((reader, writer));
        assert_eq!(receive.read(&mut text).await.unwrap(), None);

        exchange.finish().await.unwrap();
        let end = timeout(WAIT, session.accept_bi()).await.unwrap();
        assert!(end.is_none());
    })
    .await;
}

#[tokio::test]
async fn session_ends_when_the_service_drops_it() {
    local(async {
        let service = Fake::default();
        let sessions = service.sessions.clone();
        let mut client = Client::connect(service).await;
        for _ in 0..2 {
            let mut exchange = client.connect_to("/session").await;
            assert_eq!(receive_head(&mut exchange).await.status(), 200);
            let mut second = client.connect_to("/session").await;
            assert_eq!(receive_head(&mut second).await.status(), 429);
            until(|| !sessions.borrow().is_empty()).await;
            sessions.borrow_mut().clear();
            let end = timeout(WAIT, exchange.recv_data()).await.unwrap();
            assert!(end.unwrap().is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn streams_without_a_session_or_out_of_number_are_refused() {
    local(async {
        let service = Fake::default();
        let sessions = service.sessions.clone();
        let mut client = Client::connect(service).await;
        let mut exchange = client.connect_to("/session").await;
        assert_eq!(receive_head(&mut exchange).await.status(), 200);
        until(|| !sessions.borrow().is_empty()).await;
        let (_send, mut receive) = open_bi(&client, 4).await;
        let refused = timeout(WAIT, receive.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(refused, Err(quinn::ReadError::Reset(_))));
        let mut open = Vec::new();
        for _ in 0..17 {
            open.push(open_bi(&client, 0).await);
        }
        let last = &mut open.last_mut().unwrap().1;
        let refused = timeout(WAIT, last.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(refused, Err(quinn::ReadError::Reset(_))));
        assert_eq!(client.get("/hello").await.1, b"hello");

        let flood = async {
            while let Ok((mut send, _receive)) = client.connection.open_bi().await {
                send.write_all(&[0x40, 0x41, 4]).await.ok();
            }
        };
        timeout(WAIT, flood).await.unwrap();
        until(|| client.ended.get()).await;
    })
    .await;
}

#[tokio::test]
async fn only_sessions_are_connected_and_only_where_the_service_does() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        for (path, status) in [("/missing", 404), ("/hello", 501), ("/duplex", 426)] {
            let mut exchange = client.connect_to(path).await;
            assert_eq!(receive_head(&mut exchange).await.status(), status, "{path}");
        }
        assert_eq!(client.get("/session").await.0.status(), 426);
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
        client.front.leaving().request();
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
