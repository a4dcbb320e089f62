//! Nodes of other versions, and parents that lie.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::coding::{put_prefixed, put_varint};
use crate::live::track::Start;
use crate::media::group::Id;
use crate::net::tls::Authority;
use crate::relay::error::CLOSE_REFUSED;
use crate::relay::tests::peers::*;
use crate::relay::tests::stranger::Stranger;
use crate::relay::wire::control::{Announce, Message};
use crate::relay::wire::stream::{Encoder, Header};
use crate::relay::{control, transport};
use crate::runtime::clock;

/// A hello as version 1 wrote it.
fn hello_of(version: u64, node: &str) -> Bytes {
    let mut body = BytesMut::new();
    put_varint(&mut body, version);
    put_prefixed(&mut body, node.as_bytes());
    let mut out = BytesMut::new();
    put_varint(&mut out, 1);
    put_prefixed(&mut out, &body);
    out.freeze()
}

#[tokio::test]
async fn child_of_version_1_is_served_and_hears_nothing_new() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    origin.fleet.policy.send_replace(vec![b'x'; 9000].into());
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 1, 10);
    let mut old = Stranger::dial_saying(&origin, &authority, hello_of(1, "old")).await;
    old.subscribe().await;
    let server = origin.server.as_ref().unwrap();
    server.drain(clock::now() + Duration::from_secs(30));
    drop(show);
    loop {
        let message = tokio::time::timeout(PATIENCE, old.reader.next()).await;
        match message.expect("the end of the show is told").unwrap() {
            Message::Goaway { .. } | Message::Policy(_) => panic!("version 1 knows no such thing"),
            Message::Gone { .. } => return,
            _ => {}
        }
    }
}

#[tokio::test]
async fn child_of_an_unknown_version_is_refused_with_the_reason() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let connection = Stranger::connect(&origin, &authority).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_chunk(hello_of(7, "late")).await.unwrap();
    let quinn::ConnectionError::ApplicationClosed(close) = connection.closed().await else {
        panic!("not closed by the parent");
    };
    assert_eq!(close.error_code, CLOSE_REFUSED);
    let reason = String::from_utf8_lossy(&close.reason);
    assert!(reason.contains("versions 7 to 7"), "{reason}");
}

/// A parent made by hand: it announces the show `demo`, and answers subscriptions as it is told.
struct Parent {
    endpoint: quinn::Endpoint,
    hello: Bytes,
}

impl Parent {
    fn new(authority: &Authority, hello: Bytes) -> Self {
        let local = Node::new("parent", authority).local;
        let server = transport::server_config(&config(&[]), &local.identity, &local.authorities);
        let any = ([127, 0, 0, 1], 0).into();
        let endpoint = transport::endpoint(any, Some(server.unwrap())).unwrap();
        Self { endpoint, hello }
    }

    /// Serves one child until it leaves: `group` is what it gets of group 0.
    async fn serve(&self, group: Vec<Bytes>) -> quinn::ConnectionError {
        let connection = self.endpoint.accept().await.unwrap().await.unwrap();
        let (mut send, receive) = connection.accept_bi().await.unwrap();
        let mut reader = control::Reader::new(receive);
        reader.hello().await.unwrap();
        send.write_chunk(self.hello.clone()).await.unwrap();
        let announce = Announce {
            broadcast: 1,
            info: info("demo", "e1"),
            ended: false,
            tracks: vec![video()],
            term: 0,
            path: Vec::new(),
        };
        let announce = Message::Announce(announce).encode();
        send.write_chunk(announce).await.unwrap();
        while let Ok(message) = reader.next().await {
            match message {
                Message::Subscribe(subscribe) => {
                    let subscription = subscribe.subscription;
                    let ok = Message::SubscribeOk {
                        subscription,
                        start: Id(0),
                        latest: Id(0),
                    };
                    send.write_chunk(ok.encode()).await.unwrap();
                    let header = Header {
                        subscription,
                        first_frame: 0,
                        head: head(0),
                    };
                    let mut stream = connection.open_uni().await.unwrap();
                    let mut chunks = vec![header.encode()];
                    chunks.extend(group.iter().cloned());
                    stream.write_all_chunks(&mut chunks).await.unwrap();
                    stream.finish().unwrap();
                }
                Message::Ping(ping) => {
                    let pong = Message::Pong {
                        sent_us: ping.sent_us,
                        received_us: ping.sent_us,
                        answered_us: ping.sent_us,
                    };
                    let _child_left = send.write_chunk(pong.encode()).await.is_err();
                }
                Message::Report(_) | Message::Probe { .. } => {
                    panic!("version 1 knows no such thing")
                }
                _ => {}
            }
        }
        connection.closed().await
    }

    fn address(&self) -> std::net::SocketAddr {
        self.endpoint.local_addr().unwrap()
    }
}

/// The records of frames of group 0 at these indexes.
fn frames_at(indexes: &[usize]) -> Vec<Bytes> {
    let mut encoder = Encoder::new(head(0).dts);
    let frames = indexes.iter().map(|index| frame(0, *index, 10));
    let records = frames.flat_map(|frame| [encoder.frame(&frame, 0), frame.payload.clone()]);
    records.collect()
}

#[tokio::test]
async fn parent_of_version_1_feeds_and_hears_nothing_new() {
    let authority = Authority::create("test");
    let parent = Parent::new(&authority, hello_of(1, "old"));
    let edge = Node::new("edge", &authority);
    edge.fleet.report.send_replace("report".into());
    let edge = edge.pull(&[parent.address()]);
    let test = async {
        let mut reader = edge.reader("demo", "video", Start::Oldest).await;
        assert_eq!(text(&read(&mut reader, 4).await), "g0 0.0 0.1 .");
    };
    tokio::select! {
        closed = parent.serve(frames_at(&[0, 1])) => panic!("{closed}"),
        () = test => {}
    }
}

#[tokio::test]
async fn lying_parent_is_cut_off_and_the_next_one_is_taken() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 3, 10);
    let noise = Bytes::from_static(&[1, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let lies = [
        frames_at(&[0, 5, 1]),
        vec![noise],
        frames_at(&[0, 400_000_000]),
    ];
    for lie in lies {
        let liar = Parent::new(&authority, hello_of(1, "liar"));
        let edge = Node::new("edge", &authority).pull(&[liar.address(), origin.address()]);
        let test = async {
            let mut reader = edge.reader("demo", "video", Start::Oldest).await;
            let puller = edge.puller.as_ref().unwrap();
            eventually("the liar is cut off", || {
                let status = puller.status();
                status.len() == 1 && &*status[0].peer == "origin"
            })
            .await;
            let events = read(&mut reader, 5).await;
            assert!(text(&events).starts_with("g0 0.0 "), "{}", text(&events));
        };
        let lying = async {
            let closed = liar.serve(lie).await;
            let quinn::ConnectionError::ApplicationClosed(close) = closed else {
                panic!("not closed by the child");
            };
            assert!(!close.reason.is_empty());
        };
        tokio::join!(lying, test);
        assert!(
            tokio::time::timeout(Duration::from_millis(700), liar.endpoint.accept())
                .await
                .is_err()
        );
    }
}

/// What `info` of the tests' shows says.
fn info(room: &str, epoch: &str) -> crate::media::broadcast::Info {
    let authority = Authority::create("test");
    let node = Node::new("any", &authority);
    let show = Show::new(node.store(), room, epoch);
    let info = show.broadcast.info().clone();
    drop(Arc::new(show));
    info
}
