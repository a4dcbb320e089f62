use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::coding::{put_prefixed, put_varint};
use crate::media::RoomName;
use crate::media::broadcast::{self, EPOCH_BYTES_MAX, Info, Timing};
use crate::media::group::Id;
use crate::media::track::{Info as TrackInfo, Kind, TRACK_NAME_BYTES_MAX};

fn text(limit: usize) -> impl Strategy<Value = Arc<str>> {
    proptest::collection::vec(b'!'..=b'~', 1..=limit)
        .prop_map(|bytes| String::from_utf8(bytes).unwrap().into())
}

fn room() -> impl Strategy<Value = RoomName> {
    proptest::collection::vec(b'a'..=b'z', 1..=64)
        .prop_map(|bytes| RoomName::parse(&String::from_utf8(bytes).unwrap()).unwrap())
}

fn track() -> impl Strategy<Value = TrackInfo> {
    let kind = prop_oneof![
        Just(Kind::Video),
        Just(Kind::Audio),
        (0..5u8).prop_map(|class| Kind::Data(class.try_into().unwrap()))
    ];
    (text(TRACK_NAME_BYTES_MAX), kind, 1..u32::MAX).prop_map(|(name, kind, timescale)| TrackInfo {
        name,
        kind,
        timescale,
    })
}

fn announce() -> impl Strategy<Value = Message> {
    let info = (
        room(),
        text(EPOCH_BYTES_MAX),
        any::<i64>(),
        any::<[u32; 3]>(),
        any::<bool>(),
    );
    let tracks = proptest::collection::vec(track(), 0..=TRACKS_MAX);
    let came = (
        any::<u32>(),
        proptest::collection::vec(text(NODE_NAME_BYTES_MAX), 0..=PATH_MAX),
    );
    let all = (any::<u64>(), info, any::<bool>(), tracks, came);
    all.prop_map(|(broadcast, info, ended, tracks, (term, path))| {
        let (room, epoch, started_us, [part_ms, hold_back_ms, segment_ms], has_events) = info;
        let kind = match has_events {
            true => broadcast::Kind::Events,
            false => broadcast::Kind::Show,
        };
        Message::Announce(Announce {
            broadcast,
            info: Info {
                room,
                kind,
                epoch,
                started_us,
                timing: Timing {
                    part_ms,
                    hold_back_ms,
                    segment_ms,
                },
            },
            ended,
            tracks,
            term,
            path,
        })
    })
}

fn numbers() -> impl Strategy<Value = Message> {
    any::<[u64; 3]>().prop_flat_map(|[first, second, third]| {
        prop_oneof![
            Just(Message::Gone { broadcast: first }),
            Just(Message::Unsubscribe {
                subscription: first
            }),
            Just(Message::SubscribeError {
                subscription: first
            }),
            Just(Message::SubscribeOk {
                subscription: first,
                start: Id(second),
                latest: Id(third),
            }),
            Just(Message::Missing {
                subscription: first,
                group: Id(second),
            }),
            Just(Message::TrackEnd {
                subscription: first,
                last: (second % 2 == 0).then_some(Id(third)),
            }),
            Just(Message::Progress {
                broadcast: first,
                newest: (second % 2 == 0).then_some(Position {
                    group: Id(second),
                    frames: third,
                }),
            }),
        ]
    })
}

fn clock() -> impl Strategy<Value = Message> {
    (any::<[i64; 3]>(), any::<Option<(u64, i64, u64)>>()).prop_flat_map(
        |([sent_us, received_us, answered_us], estimate)| {
            let estimate = estimate.map(|(rtt_us, offset_us, error_us)| Estimate {
                rtt_us,
                offset_us,
                error_us,
            });
            prop_oneof![
                Just(Message::Ping(Ping { sent_us, estimate })),
                Just(Message::Pong {
                    sent_us,
                    received_us,
                    answered_us,
                }),
            ]
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let purpose = prop_oneof![
        Just(Purpose::Pull),
        Just(Purpose::Push),
        Just(Purpose::Peer)
    ];
    let hello = (any::<[u64; 2]>(), text(NODE_NAME_BYTES_MAX), purpose).prop_map(
        |([lowest, version], node, purpose)| {
            Message::Hello(Hello {
                lowest,
                version,
                node,
                purpose,
            })
        },
    );
    let start = prop_oneof![
        Just(Start::Window),
        any::<(u64, u64)>().prop_map(|(group, frame)| Start::At(Id(group), frame)),
    ];
    let subscribe = (any::<(u64, u64)>(), text(TRACK_NAME_BYTES_MAX), start).prop_map(
        |((subscription, broadcast), track, start)| {
            Message::Subscribe(Subscribe {
                subscription,
                broadcast,
                track,
                start,
            })
        },
    );
    let fetch = (room(), text(EPOCH_BYTES_MAX), text(TRACK_NAME_BYTES_MAX)).prop_map(
        |(room, epoch, track)| {
            Message::Fetch(Fetch {
                room,
                epoch,
                track,
                group: Id(7),
            })
        },
    );
    let questions = (0..5u8).prop_map(|class| Message::Questions {
        class: class.try_into().unwrap(),
    });
    prop_oneof![
        hello,
        announce(),
        subscribe,
        fetch,
        numbers(),
        clock(),
        questions,
        fleet()
    ]
}

fn fleet() -> impl Strategy<Value = Message> {
    let body = || proptest::collection::vec(any::<u8>(), 0..9000).prop_map(Into::into);
    let goodbye = (".{0,60}", any::<u64>()).prop_filter_map("control characters", |(text, ms)| {
        (!text.contains(char::is_control)).then(|| Message::Goaway {
            reason: text.into(),
            deadline_ms: ms,
        })
    });
    let probe = (any::<u64>(), text(TRACK_NAME_BYTES_MAX))
        .prop_map(|(broadcast, track)| Message::Probe { broadcast, track });
    prop_oneof![
        body().prop_map(Message::Report),
        body().prop_map(Message::Policy),
        goodbye,
        probe
    ]
}

proptest! {
    #[test]
    fn messages_come_back_from_any_portions(
        messages in proptest::collection::vec(message(), 1..5),
        portion in 1..50_usize,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        let mut buffer = BytesMut::new();
        let mut read = Vec::new();
        for portion in bytes.chunks(portion) {
            buffer.extend_from_slice(portion);
            while let Some(message) = take(&mut buffer).unwrap() {
                read.push(message);
            }
        }
        prop_assert_eq!(read, messages);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn noise_never_panics(noise: Vec<u8>) {
        let mut buffer = BytesMut::from(&noise[..]);
        while let Ok(Some(_)) = take(&mut buffer) {}
    }

    #[test]
    fn cut_bodies_never_panic(message in message(), keep: prop::sample::Index) {
        let bytes = message.encode();
        let mut buffer = BytesMut::from(&bytes[..keep.index(bytes.len())]);
        prop_assert_eq!(take(&mut buffer), Ok(None));
    }
}

#[test]
fn later_kinds_and_fields_are_skipped() {
    let gone = Message::Gone { broadcast: 5 };
    let mut buffer = BytesMut::new();
    put_varint(&mut buffer, 9000);
    put_prefixed(&mut buffer, b"a message of version 3");
    put_varint(&mut buffer, kind::GONE);
    put_prefixed(&mut buffer, &[5, 1, 2, 3]);
    assert_eq!(take(&mut buffer), Ok(Some(gone)));
    assert_eq!(take(&mut buffer), Ok(None));
}

#[test]
fn hello_is_one_of_version_1_with_more_behind_it() {
    let hello = Message::Hello(Hello {
        lowest: 1,
        version: 2,
        node: "a".into(),
        purpose: Purpose::Push,
    });
    assert_eq!(&hello.encode()[..], [1, 5, 1, 1, b'a', 2, 1]);
    let of_version_1 = Message::Hello(Hello {
        lowest: 1,
        version: 1,
        node: "a".into(),
        purpose: Purpose::Pull,
    });
    assert_eq!(decode(kind::HELLO, &[1, 1, b'a']), Ok(Some(of_version_1)));
}

#[test]
fn longest_announcement_keeps_within_the_limit_of_version_1() {
    let track = TrackInfo {
        name: "t".repeat(TRACK_NAME_BYTES_MAX).into(),
        kind: Kind::Video,
        timescale: u32::MAX,
    };
    let message = Message::Announce(Announce {
        broadcast: u64::MAX,
        info: Info {
            room: RoomName::parse(&"r".repeat(64)).unwrap(),
            kind: broadcast::Kind::Show,
            epoch: "e".repeat(EPOCH_BYTES_MAX).into(),
            started_us: 0,
            timing: broadcast::Profile::Low.timing(),
        },
        ended: false,
        tracks: vec![track; TRACKS_MAX],
        term: u32::MAX,
        path: vec!["n".repeat(NODE_NAME_BYTES_MAX).into(); PATH_MAX],
    });
    assert!(message.encode().len() <= MESSAGE_BYTES_MAX);
}

#[test]
fn bad_messages_are_errors() {
    let check = |kind: u64, body: &[u8], expect: Error| {
        assert_eq!(decode(kind, body), Err(expect));
    };
    check(
        kind::HELLO,
        &[1, 1, b'a', 2, 7],
        Error::BadField("purpose of a dial"),
    );
    check(
        kind::GOAWAY,
        &[0, 1, 7],
        Error::BadField("reason of a goodbye"),
    );
    check(kind::HELLO, &[1, 0], Error::BadField("node name"));
    check(kind::HELLO, &[1, 1, b'\n'], Error::BadField("node name"));
    check(kind::HELLO, &[1, 9, b'a'], Error::Truncated("node name"));
    check(kind::FETCH, &[1, b'/'], Error::BadField("room name"));
    check(kind::QUESTIONS, &[5], Error::BadField("class of questions"));
    check(kind::GONE, &[], Error::Truncated("message"));
    let mut huge = BytesMut::new();
    put_varint(&mut huge, kind::HELLO);
    put_varint(&mut huge, 1 << 40);
    let expect = Error::TooLarge {
        what: "message",
        bytes: 1 << 40,
        limit: MESSAGE_BYTES_MAX,
    };
    assert_eq!(take(&mut huge), Err(expect));
}
