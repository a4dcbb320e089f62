use tokio::sync::mpsc;

use super::*;
use crate::media::Class;
use crate::protocol::interact::Role;
use crate::runtime::clock;
use crate::telemetry::Metrics;

/// A member whose connection takes one buffer at a time.
fn member(queue_bytes_max: usize) -> (Member, mpsc::Receiver<Bytes>, Figures) {
    let (queue, taken) = mpsc::channel(1);
    let who = interact::Member::new("u", "", Role::Viewer).unwrap();
    let now = clock::now();
    let who = (who, Pass::of_nobody());
    let member = Member::new(who, Format::Json, Wire::Queue(queue), queue_bytes_max, now);
    member.seat();
    (member, taken, Figures::new(&Metrics::default()))
}

/// One event of each class, 100 bytes each.
fn form(classes: &[Class]) -> Form {
    let run = |class: &Class| (*class, Bytes::from(vec![u8::from(*class); 100]));
    let runs: Vec<_> = classes.iter().map(run).collect();
    let whole: Vec<&[u8]> = runs.iter().map(|(_, bytes)| &bytes[..]).collect();
    Form {
        whole: whole.concat().into(),
        runs,
    }
}

/// Everything that the connection takes, as classes.
fn drain(member: &Member, taken: &mut mpsc::Receiver<Bytes>) -> Vec<u8> {
    let mut classes = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let _pending = member.poll_drain(&mut cx);
        let Ok(bytes) = taken.try_recv() else {
            return classes;
        };
        classes.extend(bytes.iter().step_by(100));
    }
}

const ALL: [Class; 4] = [Class::Order, Class::Program, Class::Comment, Class::Total];

#[test]
fn what_fits_is_written_whole_and_nothing_is_kept() {
    let (member, mut taken, figures) = member(1000);
    assert!(member.give(&form(&ALL), clock::now(), &figures));
    assert!(member.inner.borrow().queue.is_empty());
    assert_eq!(drain(&member, &mut taken), [0, 1, 3, 4]);
}

#[test]
fn likes_go_first_then_comments_and_never_what_counts() {
    let (member, mut taken, figures) = member(700);
    let now = clock::now();
    // The first is taken; of the second, the first piece does not count as waiting.
    for _ in 0..3 {
        assert!(member.give(&form(&ALL), now, &figures));
    }
    assert_eq!(member.inner.borrow().waiting_bytes, 700);
    assert!(member.give(&form(&[Class::Comment]), now, &figures));
    assert_eq!(member.inner.borrow().waiting_bytes, 600);
    assert!(member.give(&form(&[Class::Order, Class::Comment]), now, &figures));
    assert_eq!(member.inner.borrow().waiting_bytes, 400);
    assert_eq!(drain(&member, &mut taken), [0, 1, 3, 4, 0, 1, 0, 1, 0]);
}

#[test]
fn what_counts_and_does_not_fit_closes_the_connection() {
    let (member, mut taken, figures) = member(300);
    let now = clock::now();
    let order = form(&[Class::Order]);
    for _ in 0..5 {
        assert!(member.give(&order, now, &figures));
    }
    assert!(!member.give(&order, now, &figures));
    assert_eq!(member.state(), State::Closing(CloseCode::TooSlow));
    assert!(!member.give(&order, now, &figures));
    assert_eq!(taken.try_recv().unwrap().len(), 100);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(member.poll_drain(&mut cx).is_ready());
    assert_eq!(taken.try_recv().unwrap()[..4], [0x88, 43, 0x11, 0x38]);
}

#[test]
fn who_takes_nothing_for_ten_seconds_is_closed() {
    let (member, _taken, figures) = member(10_000);
    let now = clock::now();
    let beat = Duration::from_secs(3600);
    for _ in 0..2 {
        assert!(member.give(&form(&ALL), now, &figures));
    }
    assert!(member.tend(beat, beat, now + BEHIND_MAX, &figures));
    let later = now + BEHIND_MAX + Duration::from_secs(1);
    assert!(!member.tend(beat, beat, later, &figures));
    assert_eq!(member.state(), State::Closing(CloseCode::TooSlow));
}

#[test]
fn a_silent_member_is_asked_and_then_given_up() {
    let (member, mut taken, figures) = member(10_000);
    let start = clock::now();
    let second = Duration::from_secs(1);
    let tend = |after| member.tend(30 * second, 90 * second, start + after, &figures);
    assert!(tend(29 * second));
    assert!(taken.try_recv().is_err());
    assert!(tend(30 * second));
    assert_eq!(taken.try_recv().unwrap()[..], [0x89, 0]);
    assert!(tend(31 * second));
    assert!(taken.try_recv().is_err());
    member.heard(start + 31 * second);
    assert!(tend(91 * second));
    assert!(!tend(122 * second));
    assert_eq!(member.state(), State::Closing(CloseCode::Away));
}

#[test]
fn who_has_gone_is_noticed() {
    let (member, taken, figures) = member(10_000);
    drop(taken);
    assert!(!member.give(&form(&ALL), clock::now(), &figures));
    assert_eq!(member.state(), State::Gone);
}
