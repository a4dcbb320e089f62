use std::cell::Cell;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::net::http::fake::{self, Fake, LINK, until};

/// A client's end of a connection to a fake service.
struct Client {
    stream: DuplexStream,
    front: Rc<Front>,
    /// Set when the connection's task has ended.
    ended: Rc<Cell<bool>>,
}

impl Client {
    fn connect(service: Fake) -> Self {
        Self::connect_by(service, LINK)
    }

    fn connect_by(service: Fake, link: Link) -> Self {
        let (stream, theirs) = tokio::io::duplex(32 << 10);
        let front = fake::front(service);
        let ended = Rc::new(Cell::new(false));
        let (task_front, task_ended) = (front.clone(), ended.clone());
        front.scope.spawn_local("test", async move {
            serve(theirs, None, link, task_front, ()).await;
            task_ended.set(true);
        });
        Self {
            stream,
            front,
            ended,
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
    }

    /// Reads a head and so much body as it promises.
    async fn receive(&mut self) -> (String, Vec<u8>) {
        let head = self.receive_head().await;
        let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        (head, body)
    }

    async fn receive_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).unwrap()
    }

    async fn receive_all(&mut self) -> String {
        let mut all = Vec::new();
        self.stream.read_to_end(&mut all).await.unwrap();
        String::from_utf8(all).unwrap()
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Runs `test` where local tasks can be spawned.
async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn requests_share_a_connection() {
    local(async {
        let mut client = Client::connect(Fake::default());
        for _ in 0..3 {
            client.get("/hello").await;
            let (head, body) = client.receive().await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert_eq!(body, b"hello");
            assert_eq!(field(&head, "server"), Some("rushlane"));
            assert_eq!(field(&head, "x-protocol"), Some("H1 secure=false"));
            assert_eq!(field(&head, "connection"), None);
            assert_eq!(field(&head, "alt-svc"), None);
            assert!(field(&head, "date").unwrap().ends_with(" GMT"));
        }
        client.get("/large").await;
        assert_eq!(client.receive().await.1, *fake::large().to_bytes());
        client.get("/missing").await;
        let (head, body) = client.receive().await;
        assert_eq!(status(&head), 404);
        assert_eq!(
            field(&head, "content-type"),
            Some("application/problem+json")
        );
        assert!(
            String::from_utf8(body)
                .unwrap()
                .contains("/missing is not here")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn secure_replies_say_where_http3_is() {
    local(async {
        let mut client = Client::connect_by(
            Fake::default(),
            Link {
                secure: true,
                ..LINK
            },
        );
        client.get("/hello").await;
        let (head, _) = client.receive().await;
        assert_eq!(field(&head, "alt-svc"), Some("h3=\":443\""));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let mut client = Client::connect(service);
        client.get("/wait").await;
        client.get("/missing").await;
        client.get("/hello").await;
        until(|| waiting.get() == 1).await;
        release.notify_waiters();
        assert_eq!(client.receive().await.1, b"hello");
        assert_eq!(status(&client.receive().await.0), 404);
        assert_eq!(client.receive().await.1, b"hello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn head_has_the_fields_of_get_and_no_body() {
    local(async {
        let mut client = Client::connect(Fake::default());
        client.send("HEAD /hello HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(
            field(&client.receive_head().await, "content-length"),
            Some("5")
        );
        client.send("HEAD /live HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(status(&client.receive_head().await), 200);
        client.get("/nothing").await;
        let head = client.receive_head().await;
        assert_eq!((status(&head), field(&head, "content-length")), (204, None));
        client.get("/hello").await;
        assert_eq!(client.receive().await.1, b"hello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connection_closes_when_the_peer_says_so() {
    local(async {
        for (request, connection) in [
            (
                "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                "close",
            ),
            ("GET /hello HTTP/1.0\r\n\r\n", "close"),
        ] {
            let mut client = Client::connect(Fake::default());
            client.send(request).await;
            let all = client.receive_all().await;
            assert_eq!(field(&all, "connection"), Some(connection), "{request}");
            assert!(all.ends_with("\r\n\r\nhello"), "{all}");
        }
        let mut client = Client::connect(Fake::default());
        client
            .send("GET /hello HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(
            field(&client.receive().await.0, "connection"),
            Some("keep-alive")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn peer_that_leaves_drops_its_parked_request() {
    local(async {
        let service = Fake::default();
        let waiting = service.waiting.clone();
        let mut client = Client::connect(service);
        client.get("/wait").await;
        until(|| waiting.get() == 1).await;
        client.stream.shutdown().await.unwrap();
        until(|| waiting.get() == 0).await;
        until(|| client.ended.get()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn parked_peer_cannot_fill_memory() {
    local(async {
        let service = Fake::default();
        let waiting = service.waiting.clone();
        let mut client = Client::connect(service);
        client.get("/wait").await;
        until(|| waiting.get() == 1).await;
        let flood = vec![b'x'; 1 << 20];
        let sent = timeout(Duration::from_secs(5), client.stream.write_all(&flood)).await;
        assert!(sent.is_err(), "the rest stays in the socket");
        assert_eq!(waiting.get(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_head_is_told_so_after_ten_seconds() {
    local(async {
        let mut client = Client::connect(Fake::default());
        let start = clock::now();
        let drip = async {
            for byte in "GET / HTTP/1.1\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".bytes() {
                client.stream.write_u8(byte).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            io::Result::Ok(())
        };
        assert!(drip.await.is_err(), "the connection closes under it");
        assert!(start.elapsed() < Duration::from_secs(15));
        let all = client.receive_all().await;
        assert_eq!(status(&all), 408);
        assert_eq!(field(&all, "connection"), Some("close"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_close_without_a_word() {
    local(async {
        let mut client = Client::connect(Fake::default());
        let start = clock::now();
        assert_eq!(client.receive_all().await, "");
        assert_eq!(start.elapsed().as_secs(), HEAD_WAIT.as_secs());

        let mut client = Client::connect(Fake::default());
        client.get("/hello").await;
        client.receive().await;
        let start = clock::now();
        assert_eq!(client.receive_all().await, "");
        assert_eq!(start.elapsed().as_secs(), IDLE_WAIT.as_secs());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn peer_that_takes_nothing_is_dropped() {
    local(async {
        let mut client = Client::connect(Fake::default());
        client.get("/large").await;
        let start = clock::now();
        until(|| client.ended.get()).await;
        assert!(start.elapsed() >= Duration::from_secs(20));
        let mut rest = Vec::new();
        client.stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < fake::large().len());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn refusals_close_the_connection() {
    local(async {
        for (request, expected) in [
            ("GARBAGE\r\n\r\n".to_owned(), 400),
            (
                format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "x".repeat(20_000)),
                431,
            ),
            (
                "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\
                 content-length: 65537\r\n\r\n"
                    .to_owned(),
                413,
            ),
            (
                "GET /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 65537\r\n\r\n".to_owned(),
                413,
            ),
            (
                "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n"
                    .to_owned(),
                413,
            ),
            (
                "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n"
                    .to_owned(),
                400,
            ),
            (
                "GET /duplex HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n\
                 upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: short\r\n\r\n"
                    .to_owned(),
                400,
            ),
        ] {
            let mut client = Client::connect(Fake::default());
            client.send(&request).await;
            let all = client.receive_all().await;
            assert_eq!(status(&all), expected, "{request}");
            assert_eq!(field(&all, "connection"), Some("close"));
            assert_eq!(
                field(&all, "content-type"),
                Some("application/problem+json")
            );
            assert!(all.ends_with('}'), "{all}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sends_cannot_add_fields_to_a_reply() {
    local(async {
        let mut client = Client::connect(Fake::default());
        client.get("/a%0d%0ax-injected:%20b%22%7d").await;
        let (head, body) = client.receive().await;
        assert_eq!(field(&head, "x-injected"), None);
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["status"], 404);

        client
            .send("GET /a\rx-injected: b HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        assert_eq!(status(&client.receive().await.0), 400);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn body_of_a_get_is_dropped() {
    local(async {
        let mut client = Client::connect(Fake::default());
        let body = "GET /x HTTP/1.1\r\n".repeat(3000);
        let length = body.len();
        let head = format!("GET /missing HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        client.send(&head).await;
        client.send(&body).await;
        client.get("/hello").await;
        assert_eq!(status(&client.receive().await.0), 404);
        assert_eq!(client.receive().await.1, b"hello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bodies_reach_the_service_and_the_connection_stays() {
    local(async {
        let mut client = Client::connect(Fake::default());
        let large = "x".repeat(65_536);
        for (fields, body, expected) in [
            ("content-length: 5".to_owned(), "hello", "POSThello"),
            (
                "transfer-encoding: chunked".to_owned(),
                "5\r\nhello\r\n0\r\n\r\n",
                "POSThello",
            ),
            ("content-length: 0".to_owned(), "", "POST"),
            (
                "content-length: 65536".to_owned(),
                &large,
                &format!("POST{large}"),
            ),
        ] {
            let head = format!("POST /echo HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n");
            client.send(&head).await;
            client.send(body).await;
            let (head, body) = client.receive().await;
            assert_eq!(status(&head), 200, "{fields}");
            assert_eq!(body, expected.as_bytes(), "{fields}");
        }
        client
            .send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab")
            .await;
        client.get("/hello").await;
        assert_eq!(client.receive().await.1, b"POSTab");
        assert_eq!(client.receive().await.1, b"hello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn peer_that_asks_for_leave_to_send_its_body_gets_it() {
    local(async {
        let mut client = Client::connect(Fake::default());
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\
                    content-length: 5\r\n\r\n";
        client.send(head).await;
        assert_eq!(status(&client.receive_head().await), 100);
        client.send("hello").await;
        assert_eq!(client.receive().await.1, b"POSThello");
        // One that did not wait needs no leave.
        client.send(&format!("{head}hello")).await;
        assert_eq!(client.receive().await.1, b"POSThello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_body_is_told_so() {
    local(async {
        for fields in ["content-length: 60000", "transfer-encoding: chunked"] {
            let mut client = Client::connect(Fake::default());
            let head = format!("POST /echo HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n");
            client.send(&head).await;
            let start = clock::now();
            let drip = async {
                while client.stream.write_all(b"1\r\nx\r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            drip.await;
            assert!(start.elapsed() < BODY_WAIT + Duration::from_secs(5));
            assert_eq!(status(&client.receive_all().await), 408);
        }
    })
    .await;
}

/// What a browser sends for a WebSocket on `path`.
fn websocket(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test(start_paused = true)]
async fn websocket_takes_both_sides_of_the_connection() {
    local(async {
        let service = Fake::default();
        let duplexes = service.duplexes.clone();
        let mut client = Client::connect(service);
        let ask = websocket("/duplex") + "early";
        client.send(&ask).await;
        let head = client.receive_head().await;
        assert_eq!(status(&head), 101);
        assert_eq!(field(&head, "connection"), Some("upgrade"));
        assert_eq!(field(&head, "upgrade"), Some("websocket"));
        let accept = Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(field(&head, "sec-websocket-accept"), accept);
        assert_eq!(field(&head, "content-length"), None);
        until(|| !duplexes.borrow().is_empty() && client.ended.get()).await;

        let (mut reader, writer) = duplexes.borrow_mut().pop().unwrap().split();
        client.send(" and late").await;
        let mut text = [0; 14];
        reader.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"early and late");
        let frame = [io::IoSlice::new(b"fra"), io::IoSlice::new(b"me")];
        assert_eq!(writer.try_write(&frame).unwrap(), 5);
        let mut frame = [0; 5];
        client.stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"frame");
        let sent = client.front.metrics.sent(Protocol::H1).get();
        assert_eq!(sent, head.len() as u64 + 5);
        client.stream.shutdown().await.unwrap();
        assert_eq!(reader.read(&mut text).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_who_asks_is_upgraded_and_only_where_the_service_does() {
    local(async {
        let mut client = Client::connect(Fake::default());
        client.get("/duplex").await;
        assert_eq!(status(&client.receive().await.0), 426);
        client.send(&websocket("/session")).await;
        assert_eq!(status(&client.receive().await.0), 426);
        client.send(&websocket("/missing")).await;
        assert_eq!(status(&client.receive().await.0), 404);
        client.send(&websocket("/hello")).await;
        assert_eq!(client.receive().await.1, b"hello");
        let old = websocket("/duplex").replace(": 13", ": 8");
        client.send(&old).await;
        let head = client.receive().await.0;
        assert_eq!(status(&head), 426);
        assert_eq!(field(&head, "sec-websocket-version"), Some("13"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn live_reply_takes_the_connection_over() {
    local(async {
        let service = Fake::default();
        let sinks = service.sinks.clone();
        let mut client = Client::connect(service);
        client.get("/live").await;
        let head = client.receive_head().await;
        assert_eq!(field(&head, "connection"), Some("close"));
        assert_eq!(field(&head, "content-length"), None);
        until(|| !sinks.borrow().is_empty() && client.ended.get()).await;
        let Some(Sink::Connection(mut sink)) = sinks.borrow_mut().pop() else {
            panic!("a connection is handed over")
        };
        sink.write_all(b"frame").await.unwrap();
        let mut frame = [0; 5];
        client.stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"frame");

        // What the viewer says is dropped; that it leaves is told at the next write.
        client.send("hello?").await;
        sink.write_all(b"frame").await.unwrap();
        client.stream.shutdown().await.unwrap();
        let error = sink.write_all(b"frame").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn drain_closes_idle_connections_and_lets_replies_end() {
    local(async {
        let mut idle = Client::connect(Fake::default());
        idle.get("/hello").await;
        idle.receive().await;
        idle.front.leaving().request();
        assert_eq!(idle.receive_all().await, "");

        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let mut parked = Client::connect(service);
        parked.get("/wait").await;
        until(|| waiting.get() == 1).await;
        parked.front.leaving().request();
        release.notify_waiters();
        let all = parked.receive_all().await;
        assert_eq!(field(&all, "connection"), Some("close"));
        assert!(all.ends_with("hello"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn http2_is_recognised_by_its_preface() {
    local(async {
        let (mut client, stream) = tokio::io::duplex(1024);
        client
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore")
            .await
            .unwrap();
        let preface = serve(stream, None, LINK, fake::front(Fake::default()), ())
            .await
            .unwrap();
        assert_eq!(preface.read, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore");
    })
    .await;
}

#[tokio::test]
async fn connection_is_a_small_task() {
    let (_, stream) = tokio::io::duplex(1);
    let task = serve(stream, None, LINK, fake::front(Fake::default()), ());
    let bytes = size_of_val(&task);
    assert!(bytes <= 2048, "{bytes} bytes");
}
