use proptest::prelude::*;

use super::*;

fn header() -> impl Strategy<Value = Header> {
    let numbers = any::<(u64, u64, u64, u32, u32)>();
    let rest = any::<(i64, i64, bool, Vec<u8>)>();
    (numbers, rest).prop_map(|(numbers, (wall_us, dts, independent, init))| Header {
        subscription: numbers.0,
        first_frame: numbers.1,
        head: Head {
            id: Id(numbers.2),
            discontinuities: numbers.3,
            init_id: numbers.4,
            init: init.into(),
            wall_us,
            dts,
            independent,
        },
    })
}

fn frame() -> impl Strategy<Value = Sent> {
    let hops = proptest::collection::vec(any::<(i64, i64, i32)>(), 0..=HOPS_MAX);
    let times = any::<(i64, i64, i64)>();
    let payload = proptest::collection::vec(any::<u8>(), 0..3000);
    (any::<(i64, i32, u32, u8)>(), times, hops, payload).prop_map(
        |((dts, composition, duration, flags), times, hops, payload)| Sent {
            frame: Frame {
                dts,
                composition,
                duration,
                flags: Flags(flags),
                stamps: Stamps {
                    capture_us: times.0,
                    ingest_us: times.1,
                    hops: hops
                        .into_iter()
                        .map(|(sent_us, received_us, offset_us)| Hop {
                            sent_us,
                            received_us,
                            offset_us,
                        })
                        .collect(),
                },
                payload: payload.into(),
            },
            sent_us: times.2,
        },
    )
}

fn encode(header: &Header, frames: &[Sent], incomplete: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(header.head.dts);
    let mut bytes = header.encode().to_vec();
    for sent in frames {
        bytes.extend(encoder.frame(&sent.frame, sent.sent_us));
        bytes.extend(&sent.frame.payload);
    }
    if incomplete {
        bytes.extend(encoder.incomplete());
    }
    bytes
}

proptest! {
    #[test]
    fn streams_come_back_from_any_portions(
        header in header(),
        frames in proptest::collection::vec(frame(), 0..5),
        incomplete: bool,
        portion in 1..2000_usize,
    ) {
        let mut decoder = Decoder::new();
        let mut items = Vec::new();
        for portion in encode(&header, &frames, incomplete).chunks(portion) {
            decoder.push(portion);
            while let Some(item) = decoder.poll().unwrap() {
                items.push(item);
            }
        }
        let mut expect = vec![Item::Header(header)];
        expect.extend(frames.into_iter().map(Item::Frame));
        if incomplete {
            expect.push(Item::Incomplete);
        }
        prop_assert_eq!(items, expect);
        prop_assert!(decoder.is_between_records());
    }

    #[test]
    fn noise_never_panics(header in header(), noise: Vec<u8>) {
        let mut decoder = Decoder::new();
        decoder.push(&noise);
        while let Ok(Some(_)) = decoder.poll() {}
        let mut decoder = Decoder::new();
        decoder.push(&header.encode());
        decoder.push(&noise);
        while let Ok(Some(_)) = decoder.poll() {}
    }
}

#[test]
fn later_records_are_skipped() {
    let header = Header {
        subscription: 1,
        first_frame: 0,
        head: Head {
            id: Id(1),
            discontinuities: 0,
            init_id: 0,
            init: Bytes::new(),
            wall_us: 0,
            dts: 0,
            independent: true,
        },
    };
    let mut decoder = Decoder::new();
    decoder.push(&header.encode());
    assert!(matches!(decoder.poll(), Ok(Some(Item::Header(_)))));
    decoder.push(&[77, 3, 4, 0, 0, b'b', b'o']);
    assert_eq!(decoder.poll(), Ok(None));
    assert!(!decoder.is_between_records());
    decoder.push(b"dy");
    assert_eq!(decoder.poll(), Ok(None));
    assert!(decoder.is_between_records());
}

#[test]
fn oversized_claims_are_errors() {
    let claim = |bytes: &[u8]| {
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        decoder.poll()
    };
    let mut bytes = BytesMut::new();
    put_varint(&mut bytes, 1 << 30);
    assert!(matches!(claim(&bytes), Err(Error::TooLarge { .. })));
    assert_eq!(claim(&[0xff; 10]), Err(Error::Truncated("stream header")));
}
