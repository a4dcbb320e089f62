use super::*;
use crate::live::{self, Store};
use crate::relay::tests::peers::{Show, frame, head};

struct Harness {
    intake: Arc<Intake>,
    show: Show,
}

fn harness() -> Harness {
    let mut show = Show::new(&Store::new(live::Config::default()), "r", "e");
    let track = Arc::new(show.take_video());
    let intake = Intake::new(track, Counter::default(), Counter::default());
    Harness {
        intake: Arc::new(intake),
        show,
    }
}

impl Harness {
    fn whole(&self, id: u64) {
        let mut group = self.intake.enter(head(id), 0).unwrap();
        assert!(group.append(frame(id, 0, 10)));
        group.finish();
    }

    fn range(&self) -> Option<(Id, Id)> {
        let track = self.show.broadcast.consumer().track("video").unwrap();
        track.range()
    }
}

#[test]
fn resumes_at_the_first_frame_that_is_not_here() {
    let harness = harness();
    let intake = &harness.intake;
    assert_eq!(intake.resume(), Start::Window);
    intake.start(Id(3));
    assert_eq!(intake.resume(), Start::At(Id(3), 0));
    harness.whole(5);
    let mut group = intake.enter(head(3), 0).unwrap();
    group.append(frame(3, 0, 10));
    assert!(intake.enter(head(3), 0).is_none(), "a second stream of it");
    drop(group);
    assert_eq!(intake.resume(), Start::At(Id(3), 1));
    let mut group = intake.enter(head(3), 0).unwrap();
    group.append(frame(3, 0, 10));
    group.append(frame(3, 1, 10));
    group.finish();
    let track = harness.show.broadcast.consumer().track("video").unwrap();
    assert_eq!(track.group(Id(3)).map(|group| group.frames.len()), Some(2));
    assert_eq!(intake.resume(), Start::At(Id(4), 0));
    intake.missed(Id(4));
    assert_eq!(intake.resume(), Start::At(Id(6), 0));
    assert!(intake.has_all(Id(5)) && !intake.has_all(Id(6)));
}

#[test]
fn gap_inside_a_group_is_the_end_of_it() {
    let harness = harness();
    harness.intake.start(Id(0));
    let mut group = harness.intake.enter(head(0), 0).unwrap();
    group.append(frame(0, 0, 10));
    drop(group);
    assert!(harness.intake.enter(head(0), 2).is_none());
    assert_eq!(harness.intake.resume(), Start::At(Id(1), 0));
}

#[test]
fn next_parent_may_begin_later() {
    let harness = harness();
    harness.intake.start(Id(0));
    harness.whole(0);
    harness.intake.start(Id(4));
    harness.whole(4);
    assert_eq!(harness.range(), Some((Id(0), Id(4))));
    harness.intake.start(Id(9_000_000));
    harness.whole(9_000_000);
    let last = Id(9_000_000);
    assert_eq!(harness.range(), Some((last, last)));
    assert_eq!(harness.intake.resume(), Start::At(last.next(), 0));
}

#[test]
fn parent_that_leaves_holes_is_outlived() {
    let harness = harness();
    harness.intake.start(Id(0));
    harness.intake.missed(Id(u64::MAX));
    for id in 1..=GROUPS_MAX as u64 + 1 {
        assert!(!harness.intake.has_all(Id(0)));
        harness.whole(id);
    }
    assert!(harness.intake.has_all(Id(GROUPS_MAX as u64)));
}

#[test]
fn closed_intake_leaves_the_store_alone() {
    let harness = harness();
    harness.intake.start(Id(0));
    harness.intake.close();
    assert!(harness.intake.enter(head(0), 0).is_none());
}
