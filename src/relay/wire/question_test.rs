use proptest::prelude::*;

use super::*;

fn asked() -> impl Strategy<Value = Asked> {
    let room = proptest::collection::vec(b'a'..=b'z', 1..=64)
        .prop_map(|bytes| RoomName::parse(&String::from_utf8(bytes).unwrap()).unwrap());
    (any::<u64>(), room, any::<Vec<u8>>()).prop_map(|(number, room, body)| Asked {
        number,
        room,
        body: body.into(),
    })
}

fn answered() -> impl Strategy<Value = Answered> {
    let outcome = prop_oneof![
        any::<Vec<u8>>().prop_map(|body| Outcome::Answer(body.into())),
        ".{0,60}".prop_map(Outcome::Unreachable),
        Just(Outcome::Busy),
        any::<u64>().prop_map(Outcome::TooLong),
    ];
    (any::<u64>(), outcome).prop_map(|(number, outcome)| Answered { number, outcome })
}

/// Reads records that arrive in portions.
fn read<T>(
    bytes: &[u8],
    portion: usize,
    take: impl Fn(&mut BytesMut) -> Result<Option<T>, Error>,
) -> Vec<T> {
    let mut buffer = BytesMut::new();
    let mut read = Vec::new();
    for portion in bytes.chunks(portion) {
        buffer.extend_from_slice(portion);
        while let Some(record) = take(&mut buffer).unwrap() {
            read.push(record);
        }
    }
    assert!(buffer.is_empty());
    read
}

proptest! {
    #[test]
    fn questions_come_back_from_any_portions(
        asked in proptest::collection::vec(asked(), 1..5),
        portion in 1..300_usize,
    ) {
        let bytes: Vec<u8> = asked.iter().cloned().flat_map(Asked::encode).flatten().collect();
        prop_assert_eq!(read(&bytes, portion, Asked::take), asked);
    }

    #[test]
    fn answers_come_back_from_any_portions(
        answered in proptest::collection::vec(answered(), 1..5),
        portion in 1..300_usize,
    ) {
        let bytes: Vec<u8> =
            answered.iter().cloned().flat_map(Answered::encode).flatten().collect();
        prop_assert_eq!(read(&bytes, portion, Answered::take), answered);
    }

    #[test]
    fn noise_never_panics(noise: Vec<u8>) {
        let mut buffer = BytesMut::from(&noise[..]);
        while let Ok(Some(_)) = Asked::take(&mut buffer) {}
        let mut buffer = BytesMut::from(&noise[..]);
        while let Ok(Some(_)) = Answered::take(&mut buffer) {}
    }
}

#[test]
fn longest_body_comes_back() {
    let asked = Asked {
        number: u64::MAX,
        room: RoomName::parse(&"r".repeat(64)).unwrap(),
        body: vec![7; QUESTION_BYTES_MAX].into(),
    };
    let bytes = asked.clone().encode().concat();
    assert_eq!(
        Asked::take(&mut BytesMut::from(&bytes[..])),
        Ok(Some(asked))
    );
}

#[test]
fn later_fields_and_codes_are_taken() {
    let take = |bytes: &[u8]| Answered::take(&mut BytesMut::from(bytes));
    let busy = Answered {
        number: 5,
        outcome: Outcome::Busy,
    };
    assert_eq!(take(&[5, 5, 2, 0, 9, 9]), Ok(Some(busy)));
    let later = Answered {
        number: 5,
        outcome: Outcome::Unreachable("the parent said 77".into()),
    };
    assert_eq!(take(&[3, 5, 77, 0]), Ok(Some(later)));
}

#[test]
fn long_reasons_are_cut_between_characters() {
    let reason = "因".repeat(100);
    let answered = Answered {
        number: 1,
        outcome: Outcome::Unreachable(reason),
    };
    let bytes = answered.encode().concat();
    let taken = Answered::take(&mut BytesMut::from(&bytes[..]))
        .unwrap()
        .unwrap();
    assert_eq!(taken.outcome, Outcome::Unreachable("因".repeat(85)));
}

#[test]
fn bad_records_are_errors() {
    let take = |bytes: &[u8]| Asked::take(&mut BytesMut::from(bytes));
    assert_eq!(take(&[0xff; 10]), Err(Error::Truncated("question")));
    assert_eq!(take(&[0]), Err(Error::Truncated("question")));
    assert_eq!(take(&[4, 1, 1, b'/', 0]), Err(Error::BadField("room name")));
    assert_eq!(take(&[4, 1, 1, b'r', 9]), Err(Error::Truncated("question")));
    assert!(matches!(
        take(&[0xff, 0xff, 0xff, 1]),
        Err(Error::TooLarge { .. })
    ));
}
