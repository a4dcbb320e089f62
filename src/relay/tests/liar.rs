//! Parents that lie: they hold a certificate of the fleet, and are cut off at the first thing that
//! cannot be.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::coding::put_varint;
use crate::live::track::Start;
use crate::media::broadcast::{Info, Kind as Holds, Profile};
use crate::media::group::{Head, Id};
use crate::media::{Frame, RoomName};
use crate::net::tls::Authority;
use crate::relay::error::CLOSE_PROTOCOL;
use crate::relay::tests::peers::*;
use crate::relay::wire::control::{Announce, Message, Purpose};
use crate::relay::wire::stream::{Encoder, Header};
use crate::relay::{control, transport};

/// What a liar says of the track that is asked of it.
struct Lie {
    /// The group that it says it begins with.
    start: Id,
    /// What it sends on the stream of its first group.
    stream: fn(subscription: u64) -> Vec<Bytes>,
}

/// Begins with a first frame, as the true parent would if the group's number were true.
fn begun(subscription: u64, id: u64) -> (Vec<Bytes>, Encoder) {
    let head = Head {
        id: Id(id),
        ..head(0)
    };
    let mut encoder = Encoder::new(head.dts);
    let header = Header {
        subscription,
        first_frame: 0,
        head,
    };
    let first = frame(0, 0, 1000);
    let chunks = vec![
        header.encode(),
        encoder.frame(&first, 0),
        first.payload.clone(),
    ];
    (chunks, encoder)
}

/// Begins well, and goes on with a frame that comes `ticks` after the first.
fn out_of_time(subscription: u64, ticks: i64) -> Vec<Bytes> {
    let (mut chunks, mut encoder) = begun(subscription, 0);
    let first = frame(0, 0, 1000);
    let second = Frame {
        dts: first.dts.saturating_add(ticks),
        ..first
    };
    chunks.extend([encoder.frame(&second, 0), second.payload]);
    chunks
}

/// Begins well, and goes on with a record that begins so.
fn record(subscription: u64, varints: &[u64]) -> Vec<Bytes> {
    let (mut chunks, _) = begun(subscription, 0);
    let mut out = BytesMut::new();
    for varint in varints {
        put_varint(&mut out, *varint);
    }
    out.put_bytes(0, 64);
    chunks.push(out.freeze());
    chunks
}

const FAR: Id = Id(1 << 60);

const LIES: [(&str, Lie); 7] = [
    (
        "noise instead of a group",
        Lie {
            start: Id(0),
            stream: |_| vec![Bytes::from_static(&[0xff; 4096])],
        },
    ),
    (
        "a record that is longer than any",
        Lie {
            start: Id(0),
            stream: |subscription| record(subscription, &[1, 1 << 40]),
        },
    ),
    (
        "a frame that is longer than any",
        Lie {
            start: Id(0),
            stream: |subscription| record(subscription, &[1, 40, 1 << 50]),
        },
    ),
    (
        "time that runs backward",
        Lie {
            start: Id(0),
            stream: |subscription| out_of_time(subscription, -90_000),
        },
    ),
    (
        "a frame of tomorrow",
        Lie {
            start: Id(0),
            stream: |subscription| out_of_time(subscription, 86_400 * 90_000),
        },
    ),
    (
        "a group that nobody can have reached",
        Lie {
            start: Id(0),
            stream: |subscription| begun(subscription, 1 << 50).0,
        },
    ),
    (
        "a start that nobody can have reached",
        Lie {
            start: FAR,
            stream: |_| Vec::new(),
        },
    ),
];

/// Serves one child, and says how the child closed the connection.
async fn lie(endpoint: quinn::Endpoint, lie: &Lie) -> Option<quinn::ConnectionError> {
    let connection = endpoint.accept().await?.await.ok()?;
    let (mut send, receive) = connection.accept_bi().await.ok()?;
    let mut reader = control::Reader::new(receive);
    reader.hello().await.ok()?;
    let announce = Announce {
        broadcast: 1,
        info: Info {
            room: RoomName::parse("demo").unwrap(),
            kind: Holds::Show,
            epoch: "e1".into(),
            started_us: 1_763_800_000_000_000,
            timing: Profile::Low.timing(),
        },
        ended: false,
        tracks: vec![video()],
        term: 0,
        path: vec!["origin".into(), "liar".into()],
    };
    for message in [
        control::hello(&"liar".into(), Purpose::Pull),
        Message::Announce(announce),
    ] {
        send.write_chunk(message.encode()).await.ok()?;
    }
    while let Ok(message) = reader.next().await {
        match message {
            Message::Subscribe(asked) => {
                let subscription = asked.subscription;
                let answer = Message::SubscribeOk {
                    subscription,
                    start: lie.start,
                    latest: lie.start,
                };
                send.write_chunk(answer.encode()).await.ok()?;
                let mut stream = connection.open_uni().await.ok()?;
                let mut chunks = (lie.stream)(subscription);
                stream.write_all_chunks(&mut chunks).await.ok()?;
                // Neither finished nor reset: it might go on.
                std::mem::forget(stream);
            }
            Message::Ping(ping) => {
                let now = ping.sent_us;
                let pong = Message::Pong {
                    sent_us: now,
                    received_us: now,
                    answered_us: now,
                };
                send.write_chunk(pong.encode()).await.ok()?;
            }
            _ => {}
        }
    }
    Some(connection.closed().await)
}

#[tokio::test]
async fn lying_parent_is_cut_off_and_the_next_one_brings_every_frame_once() {
    let authority = Authority::create("test");
    for (name, told) in &LIES {
        let local = Node::new("liar", &authority).local;
        let server = transport::server_config(&config(&[]), &local.identity, &local.authorities);
        let endpoint =
            transport::endpoint(([127, 0, 0, 1], 0).into(), Some(server.unwrap())).unwrap();
        let address = endpoint.local_addr().unwrap();

        let origin = Node::new("origin", &authority).serve();
        let second = Node::new("second", &authority)
            .serve()
            .pull(&[origin.address()]);
        let show = Show::new(origin.store(), "demo", "e1");
        show.whole(0, 2, 1000);
        let group = show.open(1, 1, 1000);
        let edge = Node::new("edge", &authority).pull(&[address, second.address()]);
        let watched = async {
            let mut reader = edge.reader("demo", "video", Start::Oldest).await;
            let seen = text(&read(&mut reader, 6).await);
            assert_eq!(seen, "g0 0.0 0.1 . g1 1.0", "{name}");
            group.append(frame(1, 1, 1000));
            group.finish();
            assert_eq!(text(&read(&mut reader, 2).await), "1.1 .", "{name}");
            let peer = edge.puller.as_ref().unwrap().status()[0].peer.clone();
            assert_eq!(&*peer, "second", "{name}");
        };
        let lied = tokio::time::timeout(PATIENCE, lie(endpoint, told));
        let (closed, ()) = tokio::join!(lied, watched);
        let Ok(Some(quinn::ConnectionError::ApplicationClosed(close))) = closed else {
            panic!("{name}: not closed by the child: {closed:?}");
        };
        assert_eq!(close.error_code, CLOSE_PROTOCOL, "{name}");
    }
}
