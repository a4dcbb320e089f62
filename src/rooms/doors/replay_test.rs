use proptest::prelude::*;

use super::*;
use crate::runtime::clock;

fn item(lane: usize, seq: u64) -> Item {
    let json = format!(
        r#"{{"v":1,"type":"notice","class":{lane},"seq":{seq},"id":"i","at":1,"body":{{}}}}"#
    );
    Item::read(json.into(), 0).unwrap()
}

fn at(c0: u64, c1: u64) -> Position {
    Position {
        epoch: "e".into(),
        seq: [c0, c1],
    }
}

fn replay() -> Replay {
    Replay::new("e".into())
}

fn push(replay: &mut Replay, lane: usize, seq: u64) -> Push {
    replay.push(lane, seq, item(lane, seq), clock::now())
}

/// The numbers between two positions.
fn numbers(replay: &Replay, from: Position, upto: Position) -> Option<Vec<(usize, u64)>> {
    let items = replay.between(&from, &upto)?;
    Some(items.iter().filter_map(Item::numbered).collect())
}

#[test]
fn a_room_is_settled_by_a_snapshot_whether_events_were_there_first_or_not() {
    let mut early = replay();
    assert_eq!(push(&mut early, 0, 91), Push::New);
    assert_eq!(push(&mut early, 0, 92), Push::New);
    assert_eq!(early.position(), None);
    assert!(early.settle(&at(91, 5)));
    assert_eq!(early.position(), Some(at(92, 5)));
    assert_eq!(numbers(&early, at(91, 5), at(92, 5)), Some(vec![(0, 92)]));
    assert_eq!(numbers(&early, at(89, 5), at(92, 5)), None);

    let mut late = replay();
    assert!(late.settle(&at(91, 5)));
    assert_eq!(push(&mut late, 0, 90), Push::Known);
    assert_eq!(push(&mut late, 0, 92), Push::New);
    assert_eq!(push(&mut late, 1, 6), Push::New);
    assert_eq!(
        numbers(&late, at(91, 5), at(92, 6)),
        Some(vec![(0, 92), (1, 6)])
    );
}

#[test]
fn a_missing_number_unsettles_until_the_next_snapshot() {
    let mut replay = replay();
    replay.settle(&at(3, 0));
    assert_eq!(push(&mut replay, 0, 4), Push::New);
    assert_eq!(push(&mut replay, 0, 6), Push::Gap);
    assert_eq!(replay.position(), None);
    // A snapshot from before the gap does not bridge it.
    replay.settle(&at(4, 0));
    assert_eq!(replay.position(), Some(at(6, 0)));
    assert_eq!(numbers(&replay, at(4, 0), at(6, 0)), None);
    assert_eq!(numbers(&replay, at(5, 0), at(6, 0)), Some(vec![(0, 6)]));
}

#[test]
fn snapshots_of_another_epoch_settle_nothing() {
    let mut replay = replay();
    let other = Position {
        epoch: "f".into(),
        seq: [1, 1],
    };
    assert!(!replay.settle(&other));
    assert_eq!(replay.position(), None);
    replay.settle(&at(1, 1));
    assert_eq!(numbers(&replay, other, at(1, 1)), None);
}

#[test]
fn the_last_minute_and_the_last_five_hundred_are_kept() {
    let mut replay = replay();
    replay.settle(&at(0, 0));
    let start = clock::now();
    for seq in 1..=1200 {
        let now = start + Duration::from_millis(100) * u32::try_from(seq).unwrap();
        replay.push(0, seq, item(0, seq), now);
    }
    // 100 ms apart, 600 are of the last minute.
    assert!(numbers(&replay, at(600, 0), at(1200, 0)).is_some());
    assert!(numbers(&replay, at(590, 0), at(1200, 0)).is_none());
    for seq in 1..=600 {
        let now = start + Duration::from_secs(120 + seq);
        replay.push(1, seq, item(1, seq), now);
    }
    assert!(numbers(&replay, at(1200, 100), at(1200, 600)).is_some());
    assert!(numbers(&replay, at(1200, 90), at(1200, 600)).is_none());
}

proptest! {
    #[test]
    fn what_lies_between_two_positions_is_complete_or_not_given(
        pushes in prop::collection::vec((0_usize..2, 1_u64..12), 0..40),
        snapshot in (0_u64..8, 0_u64..8),
        settle_at in 0_usize..40,
        from in (0_u64..12, 0_u64..12),
    ) {
        let mut replay = replay();
        for (index, (lane, seq)) in pushes.into_iter().enumerate() {
            if index == settle_at {
                replay.settle(&at(snapshot.0, snapshot.1));
            }
            push(&mut replay, lane, seq);
        }
        if let Some(upto) = replay.position()
            && let Some(found) = numbers(&replay, at(from.0, from.1), upto.clone())
        {
            let class_0 = (from.0 + 1..=upto.seq[0]).map(|seq| (0, seq));
            let class_1 = (from.1 + 1..=upto.seq[1]).map(|seq| (1, seq));
            prop_assert_eq!(found, class_0.chain(class_1).collect::<Vec<_>>());
        }
    }
}
