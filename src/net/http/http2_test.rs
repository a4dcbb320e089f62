use std::cell::Cell;
use std::future::poll_fn;

use futures_util::stream;
use http_body_util::{Empty, Full, StreamBody};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::net::http::fake::{self, Fake, LINK, WAIT, until};
use crate::net::http::{BODY_BYTES_MAX, Sink};

/// A client's end of a connection to a fake service.
struct Client<B: http_body::Body> {
    requests: SendRequest<B>,
    front: Rc<Front>,
    /// Set when the server's task has ended.
    ended: Rc<Cell<bool>>,
}

impl<B> Client<B>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    async fn connect(service: Fake) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let front = fake::front(service);
        let ended = Rc::new(Cell::new(false));
        let (task_front, task_ended) = (front.clone(), ended.clone());
        front.scope.spawn_local("test server", async move {
            serve(theirs, LINK, task_front).await;
            task_ended.set(true);
        });
        let bulk = front.bulk.clone();
        front
            .scope
            .spawn_local("test bulk", async move { match bulk.run().await {} });
        let io = TokioIo::new(ours);
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(64 << 10)
            .handshake(io)
            .await
            .unwrap();
        front.scope.spawn_local("test client", async move {
            connection.await.ok();
        });
        Self {
            requests,
            front,
            ended,
        }
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        body: B,
    ) -> impl Future<Output = hyper::Result<http::Response<Incoming>>> + use<B> {
        let uri = format!("http://a{path}");
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(body)
            .unwrap();
        self.requests.send_request(request)
    }
}

impl Client<Empty<Bytes>> {
    async fn get(&mut self, path: &str) -> http::Response<Incoming> {
        let response = self.request("GET", path, Empty::new());
        timeout(WAIT, response).await.unwrap().unwrap()
    }
}

async fn collect(response: http::Response<Incoming>) -> Bytes {
    let body = timeout(WAIT, response.into_body().collect()).await.unwrap();
    body.unwrap().to_bytes()
}

/// Runs `test` where local tasks can be spawned.
async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn requests_share_a_connection_and_a_parked_one_stops_none() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let mut client = Client::connect(service).await;
        let parked = client.request("GET", "/wait", Empty::new());
        until(|| waiting.get() == 1).await;
        let hello = client.get("/hello?a=b").await;
        assert_eq!(hello.headers()["content-length"], "5");
        assert_eq!(hello.headers()["server"], "rushlane");
        assert_eq!(hello.headers()["x-protocol"], "H2 secure=false");
        assert!(hello.headers().contains_key("date"));
        assert!(!hello.headers().contains_key("connection"));
        assert_eq!(collect(hello).await, "hello");
        assert_eq!(
            collect(client.get("/large").await).await,
            fake::large().to_bytes()
        );
        assert_eq!(client.get("/missing").await.status(), 404);
        assert_eq!(client.get("/nothing").await.status(), 204);
        release.notify_waiters();
        assert_eq!(collect(parked.await.unwrap()).await, "hello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn head_has_the_length_and_no_body() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        let head = client
            .request("HEAD", "/hello", Empty::new())
            .await
            .unwrap();
        assert_eq!(head.headers()["content-length"], "5");
        assert_eq!(collect(head).await, "");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bodies_reach_the_service() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        let large = Bytes::from(vec![b'x'; BODY_BYTES_MAX]);
        for body in [Bytes::new(), Bytes::from_static(b"hello"), large] {
            let expected = [b"POST", &body[..]].concat();
            let response = client.request("POST", "/echo", Full::new(body)).await;
            assert_eq!(collect(response.unwrap()).await, expected);
        }
        let body = Full::new(Bytes::from_static(b"body"));
        let response = client.request("GET", "/hello", body).await.unwrap();
        assert_eq!(response.status(), 413);
    })
    .await;
}

/// A body and what puts pieces into it.
fn pieces() -> (
    mpsc::Sender<Bytes>,
    impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin,
) {
    let (send, mut queue) = mpsc::channel(4);
    let body = stream::poll_fn(move |cx| {
        let piece = queue.poll_recv(cx);
        piece.map(|piece| Some(Ok(Frame::data(piece?))))
    });
    (send, StreamBody::new(body))
}

#[tokio::test(start_paused = true)]
async fn bodies_too_large_or_too_slow_are_refused() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        let (send, body) = pieces();
        let response = client.request("POST", "/echo", body);
        let piece = Bytes::from(vec![0; BODY_BYTES_MAX / 2 + 1]);
        for _ in 0..2 {
            send.send(piece.clone()).await.unwrap();
        }
        assert_eq!(response.await.unwrap().status(), 413);

        let (_send, body) = pieces();
        let start = clock::now();
        let response = client.request("POST", "/echo", body).await;
        assert_eq!(response.unwrap().status(), 408);
        assert_eq!(start.elapsed().as_secs(), incoming::BODY_WAIT.as_secs());
    })
    .await;
}

impl Client<Empty<Bytes>> {
    /// An extended CONNECT.
    async fn connect_to(&mut self, protocol: &'static str, path: &str) -> http::Response<Incoming> {
        let mut request = http::Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = format!("http://a{path}").parse().unwrap();
        let protocol = hyper::ext::Protocol::from_static(protocol);
        request.extensions_mut().insert(protocol);
        let response = self.requests.send_request(request);
        timeout(WAIT, response).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn websocket_takes_its_stream_and_the_connection_serves_on() {
    local(async {
        let service = Fake::default();
        let duplexes = service.duplexes.clone();
        let mut client = Client::connect(service).await;
        // The settings are here once something else is.
        client.get("/hello").await;
        let response = client.connect_to("websocket", "/duplex").await;
        assert_eq!(response.status(), 200);
        until(|| !duplexes.borrow().is_empty()).await;
        let (mut reader, writer) = duplexes.borrow_mut().pop().unwrap().split();
        let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        stream.write_all(b"hello").await.unwrap();
        let mut text = [0; 5];
        reader.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
        let frame = [IoSlice::new(b"wor"), IoSlice::new(b"ld")];
        assert_eq!(writer.try_write(&frame).unwrap(), 5);
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"world");
        assert_eq!(collect(client.get("/hello").await).await, "hello");
        drop((reader, writer));
        assert_eq!(stream.read(&mut text).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn slow_reader_blocks_its_writer_until_it_reads() {
    local(async {
        let service = Fake::default();
        let duplexes = service.duplexes.clone();
        let mut client = Client::connect(service).await;
        client.get("/hello").await;
        let response = client.connect_to("websocket", "/duplex").await;
        until(|| !duplexes.borrow().is_empty()).await;
        let (mut reader, writer) = duplexes.borrow_mut().pop().unwrap().split();
        let bytes = [7; 4096];
        let mut written = 0;
        let blocked = async {
            loop {
                match writer.try_write(&[IoSlice::new(&bytes)]) {
                    Ok(bytes) => written += bytes,
                    Err(error) => break error,
                }
                tokio::task::yield_now().await;
            }
        };
        let error = timeout(WAIT, blocked).await.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(written < 1 << 20, "{written} bytes wait");

        let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let mut all = vec![0; written + 4096];
        let rest = poll_fn(|cx| writer.poll_write(cx, &[IoSlice::new(&bytes)]));
        let (rest, read) = tokio::join!(rest, stream.read_exact(&mut all));
        assert_eq!((rest.unwrap(), read.unwrap()), (4096, written + 4096));
        drop(stream);
        assert_eq!(reader.read(&mut [0; 1]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn only_websockets_are_connected_and_only_where_the_service_does() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        client.get("/hello").await;
        let status = async |client: &mut Client<_>, protocol, path: &str| {
            client.connect_to(protocol, path).await.status().as_u16()
        };
        assert_eq!(status(&mut client, "websocket", "/missing").await, 404);
        assert_eq!(status(&mut client, "websocket", "/hello").await, 501);
        assert_eq!(status(&mut client, "connect-udp", "/duplex").await, 501);
        assert_eq!(client.get("/duplex").await.status(), 426);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn reset_drops_a_parked_request() {
    local(async {
        let service = Fake::default();
        let waiting = service.waiting.clone();
        let mut client = Client::connect(service).await;
        let parked = client.request("GET", "/wait", Empty::new());
        until(|| waiting.get() == 1).await;
        drop(parked);
        until(|| waiting.get() == 0).await;
        assert_eq!(collect(client.get("/hello").await).await, "hello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn live_reply_is_a_queue() {
    local(async {
        let service = Fake::default();
        let sinks = service.sinks.clone();
        let mut client = Client::connect(service).await;
        let mut body = client.get("/live").await.into_body();
        let Some(Sink::Queue(sink)) = sinks.borrow_mut().pop() else {
            panic!("a queue is handed over")
        };
        sink.send(Bytes::from_static(b"frame")).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, "frame");
        drop(body);
        timeout(WAIT, sink.closed()).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn peer_that_takes_nothing_is_dropped() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        let response = client.get("/large").await;
        until(|| client.ended.get()).await;
        drop(response);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connection_without_a_request_is_dropped() {
    local(async {
        let (_client, theirs) = tokio::io::duplex(1024);
        timeout(WAIT, serve(theirs, LINK, fake::front(Fake::default())))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn drain_lets_replies_end() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let mut client = Client::connect(service).await;
        let parked = client.request("GET", "/wait", Empty::new());
        until(|| waiting.get() == 1).await;
        client.front.leaving().request();
        release.notify_waiters();
        assert_eq!(collect(parked.await.unwrap()).await, "hello");
        until(|| client.ended.get()).await;
    })
    .await;
}
