use std::cell::Cell;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::net::http::Sink;
use crate::net::http::fake::{self, Fake, LINK, WAIT, until};

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
async fn request_bodies_are_refused() {
    local(async {
        let mut client = Client::connect(Fake::default()).await;
        let body = Full::new(Bytes::from_static(b"body"));
        let response = client.request("POST", "/hello", body).await.unwrap();
        assert_eq!(response.status(), 413);
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
        client.front.shutdown().request();
        release.notify_waiters();
        assert_eq!(collect(parked.await.unwrap()).await, "hello");
        until(|| client.ended.get()).await;
    })
    .await;
}
