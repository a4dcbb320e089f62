use proptest::strategy::Strategy as _;

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
    let figures = Figures {
        received_frames: Counter::default(),
        missed_groups: Counter::default(),
        flow: Arc::new(Flow::new()),
    };
    let intake = Intake::new(track, 0, figures);
    Harness {
        intake: Arc::new(intake),
        show,
    }
}

impl Harness {
    /// A stream of a group over the newest subscription.
    fn enter(&self, id: u64, first_frame: u64) -> Option<Incoming> {
        let turn = self.intake.state.lock().turn;
        self.intake.enter(turn, head(id), first_frame)
    }

    fn start(&self, id: u64) {
        let turn = self.intake.state.lock().turn;
        self.intake.start(turn, Id(id));
    }

    fn missed(&self, id: u64) {
        let turn = self.intake.state.lock().turn;
        self.intake.missed(turn, Id(id));
    }

    fn whole(&self, id: u64) {
        let mut group = self.enter(id, 0).unwrap();
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
    assert_eq!(intake.resume(0).1, Start::Window);
    harness.start(3);
    assert_eq!(intake.resume(0).1, Start::At(Id(3), 0));
    harness.whole(5);
    let mut group = harness.enter(3, 0).unwrap();
    group.append(frame(3, 0, 10));
    assert!(harness.enter(3, 0).is_none(), "a second stream of it");
    drop(group);
    assert_eq!(intake.resume(0).1, Start::At(Id(3), 1));
    let mut group = harness.enter(3, 0).unwrap();
    group.append(frame(3, 0, 10));
    group.append(frame(3, 1, 10));
    group.finish();
    let track = harness.show.broadcast.consumer().track("video").unwrap();
    assert_eq!(track.group(Id(3)).map(|group| group.frames.len()), Some(2));
    assert_eq!(intake.resume(0).1, Start::At(Id(4), 0));
    harness.missed(4);
    assert_eq!(intake.resume(0).1, Start::At(Id(6), 0));
    assert!(intake.has_all(Id(5)) && !intake.has_all(Id(6)));
}

#[test]
fn gap_inside_a_group_is_the_end_of_it() {
    let harness = harness();
    harness.start(0);
    let mut group = harness.enter(0, 0).unwrap();
    group.append(frame(0, 0, 10));
    drop(group);
    assert!(harness.enter(0, 2).is_none());
    assert_eq!(harness.intake.resume(0).1, Start::At(Id(1), 0));
}

#[test]
fn next_parent_may_begin_later() {
    let harness = harness();
    harness.start(0);
    harness.whole(0);
    harness.start(4);
    harness.whole(4);
    assert_eq!(harness.range(), Some((Id(0), Id(4))));
    harness.start(9_000_000);
    harness.whole(9_000_000);
    let last = Id(9_000_000);
    assert_eq!(harness.range(), Some((last, last)));
    assert_eq!(harness.intake.resume(0).1, Start::At(last.next(), 0));
}

#[test]
fn parent_that_leaves_holes_is_outlived() {
    let harness = harness();
    harness.start(0);
    harness.missed(u64::MAX);
    for id in 1..=GROUPS_MAX as u64 + 1 {
        assert!(!harness.intake.has_all(Id(0)));
        harness.whole(id);
    }
    assert!(harness.intake.has_all(Id(GROUPS_MAX as u64)));
}

#[test]
fn closed_intake_leaves_the_store_alone() {
    let harness = harness();
    harness.start(0);
    harness.intake.close();
    assert!(harness.enter(0, 0).is_none());
}

#[test]
fn later_turn_takes_a_group_over_at_the_very_frame() {
    let harness = harness();
    let intake = &harness.intake;
    let (first, _) = intake.resume(0);
    intake.start(first, Id(3));
    let mut before = intake.enter(first, head(3), 0).unwrap();
    assert!(before.append(frame(3, 0, 10)));
    let (second, start) = intake.resume(0);
    assert_eq!(start, Start::At(Id(3), 1));
    assert!(before.append(frame(3, 1, 10)), "until the other brings it");
    let mut after = intake.enter(second, head(3), 1).unwrap();
    assert!(!before.append(frame(3, 2, 10)));
    assert!(intake.enter(first, head(3), 0).is_none());
    assert!(after.append(frame(3, 1, 10)), "passed over: it is here");
    assert!(after.append(frame(3, 2, 10)));
    drop(before);
    intake.missed(first, Id(3));
    after.finish();
    let track = harness.show.broadcast.consumer().track("video").unwrap();
    let times: Vec<_> = track
        .group(Id(3))
        .unwrap()
        .frames
        .iter()
        .map(|frame| frame.dts)
        .collect();
    assert_eq!(times, [0, 1, 2].map(|index| frame(3, index, 0).dts));
}

#[test]
fn higher_term_begins_with_a_group_of_its_own() {
    let harness = harness();
    let intake = &harness.intake;
    let (first, _) = intake.resume(0);
    intake.start(first, Id(0));
    let mut before = intake.enter(first, head(0), 0).unwrap();
    before.append(frame(0, 0, 10));
    let (second, start) = intake.resume(1);
    assert_eq!(start, Start::At(Id(1), 0));
    assert!(!before.append(frame(0, 1, 10)));
    assert!(intake.enter(first, head(1), 0).is_none(), "of the old term");
    assert!(intake.enter(second, head(1), 0).is_some());
}

/// What two parents do, in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The track is asked for anew, over the other link.
    Switch,
    /// One of the links brings its next frame.
    Frame(bool),
    /// One of the links loses the stream it is in.
    Cut(bool),
}

/// A link: the turn of its subscription, and where it is.
#[derive(Default)]
struct Side {
    turn: u64,
    at: (u64, u64),
    stream: Option<Incoming>,
}

const GROUPS: u64 = 6;
const FRAMES: u64 = 5;

impl Side {
    /// Brings the next frame of the show, and opens and ends groups on the way.
    fn step(&mut self, intake: &Arc<Intake>) {
        let (group, index) = self.at;
        if self.turn == 0 || group >= GROUPS {
            return;
        }
        if self.stream.is_none() {
            self.stream = intake.enter(self.turn, head(group), index);
            if self.stream.is_none() {
                self.at = (group + 1, 0);
                return;
            }
        }
        let stream = self.stream.as_mut();
        if index < FRAMES {
            self.at = (group, index + 1);
            let frame = frame(group, index as usize, 10);
            if !stream.is_some_and(|stream| stream.append(frame)) {
                (self.stream, self.at) = (None, (group + 1, 0));
            }
        } else {
            self.at = (group + 1, 0);
            self.stream.take().unwrap().finish();
        }
    }

    fn ask(&mut self, intake: &Intake) {
        let (turn, start) = intake.resume(0);
        intake.start(turn, Id(0));
        self.stream = None;
        let at = match start {
            Start::Window => (0, 0),
            Start::At(group, frame) => (group.0, frame),
        };
        (self.turn, self.at) = (turn, at);
    }
}

proptest::proptest! {
    /// Whichever link brings what, and wherever tracks move, each frame comes once, in order.
    #[test]
    fn copies_of_two_parents_make_one_show(
        steps in proptest::collection::vec(
            proptest::prop_oneof![
                1 => proptest::prelude::Just(Step::Switch),
                12 => proptest::prelude::any::<bool>().prop_map(Step::Frame),
                1 => proptest::prelude::any::<bool>().prop_map(Step::Cut),
            ],
            0..150,
        ),
    ) {
        let harness = harness();
        let mut sides = [Side::default(), Side::default()];
        let mut over = 0;
        sides[0].ask(&harness.intake);
        for step in steps {
            match step {
                Step::Switch => {
                    over = 1 - over;
                    sides[over].ask(&harness.intake);
                }
                Step::Frame(side) => sides[usize::from(side)].step(&harness.intake),
                Step::Cut(side) => {
                    // A cut stream is asked for again.
                    let side = usize::from(side);
                    sides[side].stream = None;
                    sides[side].turn = 0;
                    over = 1 - side;
                    sides[over].ask(&harness.intake);
                }
            }
        }
        sides[over].ask(&harness.intake);
        while sides[over].at.0 < GROUPS {
            sides[over].step(&harness.intake);
        }
        let track = harness.show.broadcast.consumer().track("video").unwrap();
        for id in 0..GROUPS {
            let group = track.group(Id(id)).expect("a whole group");
            let times: Vec<_> = group.frames.iter().map(|frame| frame.dts).collect();
            let expect: Vec<_> = (0..FRAMES as usize).map(|at| frame(id, at, 0).dts).collect();
            proptest::prop_assert_eq!(times, expect);
        }
    }
}
