use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::net::http::Protocol;
use crate::net::http::fake::{self, Fake, LINK, WAIT, until};

/// Far below what `/begin` answers with, on both sides of the connection.
const BUFFER_BYTES: usize = 8 << 10;

/// A client's end of a plain connection to `service`.
async fn connect(service: Fake) -> (TcpStream, Rc<Front>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let sized = socket2::SockRef::from(&stream).set_send_buffer_size(BUFFER_BYTES);
    sized.unwrap();
    let sized = socket2::SockRef::from(&client).set_recv_buffer_size(BUFFER_BYTES);
    sized.unwrap();
    let front = fake::front(service);
    let (shared, task_front) = (Shared::new(stream), front.clone());
    front.scope.spawn_local("test", async move {
        http1::serve(shared.clone(), Some(shared), LINK, task_front, ()).await;
    });
    (client, front)
}

/// Reads a head and so much body as it promises.
async fn receive(client: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.expect("a length").parse().unwrap()];
    client.read_exact(&mut body).await.unwrap();
    (head, body)
}

async fn local(test: impl Future<Output = ()>) {
    let limited = LocalSet::new().run_until(timeout(WAIT, test)).await;
    limited.expect("the test ends");
}

#[tokio::test]
async fn the_task_writes_what_the_socket_did_not_take() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let begun = service.begun_bytes.clone();
        let (mut client, front) = connect(service).await;
        let asks = b"GET /begin HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(asks).await.unwrap();
        until(|| waiting.get() == 1).await;
        release.notify_waiters();
        until(|| waiting.get() == 0).await;
        let (head, body) = receive(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nserver: rushlane\r\n"), "{head}");
        assert!(!head.contains("connection:"), "{head}");
        assert_eq!(body, *fake::large().to_bytes());
        let all = head.len() + body.len();
        assert!((1..all).contains(&begun.get()), "{} of {all}", begun.get());
        until(|| front.metrics.sent(Protocol::H1).get() == all as u64).await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_asked_for_often_comes_from_a_file_and_whole() {
    local(async {
        let (mut client, front) = connect(Fake::default()).await;
        let mut all = 0;
        for _ in 0..5 {
            let asks =
                b"GET /large HTTP/1.1\r\nhost: a\r\n\r\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
            client.write_all(asks).await.unwrap();
            let (head, body) = receive(&mut client).await;
            assert_eq!(body, *fake::large().to_bytes());
            let (next, hello) = receive(&mut client).await;
            assert_eq!(hello, b"hello");
            all += head.len() + body.len() + next.len() + hello.len();
        }
        until(|| front.metrics.sent(Protocol::H1).get() == all as u64).await;
    })
    .await;
}

#[tokio::test]
async fn the_next_request_is_answered_after_a_begun_reply() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let (mut client, _front) = connect(service).await;
        for _ in 0..2 {
            let asks =
                b"GET /begin HTTP/1.1\r\nhost: a\r\n\r\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
            client.write_all(asks).await.unwrap();
            until(|| waiting.get() == 1).await;
            release.notify_waiters();
            assert_eq!(receive(&mut client).await.1, *fake::large().to_bytes());
            assert_eq!(receive(&mut client).await.1, b"hello");
        }
    })
    .await;
}

#[tokio::test]
async fn a_drain_closes_the_connection_after_a_begun_reply() {
    local(async {
        let service = Fake::default();
        let (release, waiting) = (service.release.clone(), service.waiting.clone());
        let (mut client, front) = connect(service).await;
        let asks = b"GET /begin HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(asks).await.unwrap();
        until(|| waiting.get() == 1).await;
        front.leaving().request();
        release.notify_waiters();
        let (head, body) = receive(&mut client).await;
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(body, *fake::large().to_bytes());
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn only_a_get_that_keeps_the_connection_is_begun() {
    local(async {
        for asks in [
            "GET /begin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "GET /begin HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
        ] {
            let service = Fake::default();
            let (release, waiting) = (service.release.clone(), service.waiting.clone());
            let begun = service.begun_bytes.clone();
            let (mut client, _front) = connect(service).await;
            client.write_all(asks.as_bytes()).await.unwrap();
            until(|| waiting.get() == 1).await;
            release.notify_waiters();
            let (head, body) = receive(&mut client).await;
            assert!(head.contains("\r\nconnection: "), "{head}");
            assert_eq!(body, *fake::large().to_bytes());
            assert_eq!(begun.get(), 0);
        }
    })
    .await;
}
