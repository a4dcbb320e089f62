//! Parked reloads over real sockets: their replies are written in one pass.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rushlane::net::{Drain, Server, http};
use rushlane::runtime::{Shutdown, TaskScope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::show::{Show, media, on_worker};

/// With the other ends of their connections, below the usual limit of 1,024 descriptors.
const VIEWERS: usize = 400;
/// Those of them who hang up.
const LEAVERS: usize = 10;

/// Waits until `count` reloads are parked.
async fn parked(show: &Show, count: usize) {
    let line = format!("rushlane_delivery_hls_parked {count}\n");
    while !show.metrics.encode().contains(&line) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The body of one reply, after a head without `connection: close`.
async fn body(viewer: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(viewer.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(!head.contains("connection:"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.expect("a length").parse().unwrap()];
    viewer.read_exact(&mut body).await.unwrap();
    body
}

#[tokio::test]
async fn parked_viewers_get_the_same_bytes_and_leavers_none() {
    on_worker(async {
        let mut show = Show::start();
        show.groups(5);
        show.pictures(20);
        show.warm(5, 1).await;
        let listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let config = http::Config {
            listen,
            tls_listen: None,
            workers: 1,
            ..http::Config::default()
        };
        let delivery = show.delivery.clone();
        let make = move |worker| delivery.service(worker);
        let metrics = http::Metrics::register(&show.metrics);
        let server = Server::bind(config, None, make, metrics).unwrap();
        let address = server.local_addresses().plain.unwrap();
        let (scope, shutdown) = (TaskScope::under(&Shutdown::new()), Shutdown::new());
        let stop = shutdown.clone();
        let serving = scope.spawn("server", async move {
            let drain = Drain::default();
            server
                .run(&drain, &stop, Duration::from_secs(1))
                .await
                .unwrap();
        });

        let target = media("video", "?_HLS_msn=5&_HLS_part=2");
        let mut viewers = Vec::new();
        for index in 0..VIEWERS {
            let mut viewer = TcpStream::connect(address).await.unwrap();
            // Two kinds of reply, in turns.
            let coding = if index % 2 == 0 { "identity" } else { "gzip" };
            let asks =
                format!("GET {target} HTTP/1.1\r\nhost: a\r\naccept-encoding: {coding}\r\n\r\n");
            viewer.write_all(asks.as_bytes()).await.unwrap();
            viewers.push(viewer);
        }
        parked(&show, VIEWERS).await;
        let mut leavers = viewers.split_off(VIEWERS - LEAVERS);
        for leaver in &mut leavers {
            leaver.shutdown().await.unwrap();
        }
        parked(&show, VIEWERS - LEAVERS).await;
        show.pictures(10);

        let plain = show.get(&target).await;
        let packed = show.get_with(&target, &[("accept-encoding", "gzip")]).await;
        assert_ne!(plain.body, packed.body);
        for (index, viewer) in viewers.iter_mut().enumerate() {
            let expected = if index % 2 == 0 { &plain } else { &packed };
            assert_eq!(body(viewer).await, expected.body, "viewer {index}");
        }
        for leaver in &mut leavers {
            let mut rest = Vec::new();
            leaver.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"");
        }
        parked(&show, 0).await;
        drop(viewers);
        shutdown.request();
        serving.await.unwrap();
    })
    .await;
}
