use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

type Runs<'a> = &'a [(u64, u64, u32, u64)];

fn report(likes: &mut Likes, edge: &str, total: u64, runs: Runs<'_>) -> u64 {
    let report = Report {
        edge: edge.into(),
        total,
        runs: runs.to_vec(),
    };
    likes.report(&report, 0);
    likes.total()
}

#[test]
fn repeated_and_late_reports_change_nothing() {
    let mut likes = Likes::new(0);
    report(&mut likes, "a", 5, &[(1, 1, 5, 1)]);
    report(&mut likes, "b", 3, &[(2, 1, 3, 1)]);
    report(&mut likes, "a", 5, &[(1, 1, 5, 1)]);
    assert_eq!(report(&mut likes, "a", 2, &[]), 8);
}

#[test]
fn batch_that_two_edges_have_counted_counts_once() {
    let mut likes = Likes::new(0);
    // Batches 1 to 6 here; 6, of four likes, there too because its answer was lost.
    report(&mut likes, "a", 12, &[(1, 1, 2, 6)]);
    assert_eq!(report(&mut likes, "b", 4, &[(1, 6, 4, 6)]), 12);
    assert_eq!(report(&mut likes, "b", 9, &[(1, 6, 4, 8)]), 17);
    // Back again, where 9 follows a hole.
    assert_eq!(report(&mut likes, "a", 13, &[(1, 9, 1, 9)]), 18);
}

#[test]
fn edge_that_reports_late_takes_nothing_twice_either() {
    let mut likes = Likes::new(0);
    report(&mut likes, "a", 12, &[(1, 1, 2, 5)]);
    report(&mut likes, "b", 4, &[(1, 6, 4, 6)]);
    assert_eq!(report(&mut likes, "a", 16, &[(1, 1, 2, 6)]), 16);
}

#[test]
fn first_batch_of_a_session_is_no_exception() {
    let mut likes = Likes::new(0);
    report(&mut likes, "a", 7, &[(1, 1, 7, 1)]);
    report(&mut likes, "b", 7, &[(1, 1, 7, 3)]);
    assert_eq!(report(&mut likes, "c", 7, &[(1, 1, 7, 1)]), 7);
}

#[test]
fn total_never_sinks_when_a_run_is_told_before_its_likes() {
    let mut likes = Likes::new(0);
    report(&mut likes, "b", 4, &[(1, 7, 4, 7)]);
    assert_eq!(report(&mut likes, "a", 0, &[(1, 7, 4, 7)]), 4);
    assert_eq!(report(&mut likes, "a", 4, &[]), 4);
}

#[test]
fn total_is_not_settled_until_known_edges_have_reported_again() {
    let mut likes = Likes::new(0);
    report(&mut likes, "a", 5, &[]);
    report(&mut likes, "b", 5, &[]);
    assert!(likes.is_settled(0));
    let saved = likes.save();
    let mut likes = Likes::restore(saved.clone(), 0);
    report(&mut likes, "a", 9, &[]);
    assert!(!likes.is_settled(1));
    assert_eq!(report(&mut likes, "b", 6, &[]), 15);
    assert!(likes.is_settled(2));
    let mut likes = Likes::restore(saved, 0);
    assert!(
        likes.is_settled(SETTLING_MS),
        "a dead edge is not waited for"
    );
}

#[test]
fn edges_beyond_the_limit_are_kept_as_a_sum() {
    let mut likes = Likes::new(0);
    for n in 0..EDGES_MAX + 10 {
        report(&mut likes, &format!("e{n}"), 1, &[]);
    }
    assert_eq!(likes.edges.len(), EDGES_MAX);
    assert_eq!(likes.total(), EDGES_MAX as u64 + 10);
    assert_eq!(Likes::restore(likes.save(), 0).total(), likes.total());
}

#[test]
fn earlier_runs_are_final_when_there_are_too_many() {
    let mut likes = Likes::new(0);
    let runs: Vec<_> = (1..=30).map(|n| (1, n, 1, n)).collect();
    report(&mut likes, "a", 30, &runs);
    report(&mut likes, "b", 30, &runs);
    let sum = likes.sum();
    report(&mut likes, "a", 30, &runs);
    report(&mut likes, "b", 30, &runs);
    assert_eq!(likes.sum(), sum);
}

// === every interleaving ===

/// An edge by the rules of `question::Likes`.
#[derive(Debug, Default)]
struct Counter {
    total: u64,
    /// The run that goes on of each session: first, likes, last, connection.
    runs: BTreeMap<u64, (u64, u32, u64, u64)>,
    /// All runs, those that are over too: likes and last batch by session and first batch.
    all: BTreeMap<(u64, u64), (u32, u64)>,
    /// Those that are not reported, or not answered.
    news: BTreeMap<(u64, u64), (u32, u64)>,
    origin: u32,
}

impl Counter {
    fn like(&mut self, session: u64, batch: u64, count: u32, connection: u64) {
        let begin = (batch, count, 0, connection);
        let run = self.runs.entry(session).or_insert(begin);
        if batch <= run.2 {
            return;
        }
        if run.2 != 0 && (batch != run.2 + 1 || connection != run.3) {
            *run = begin;
        }
        run.2 = batch;
        self.total += u64::from(count);
        self.all.insert((session, run.0), (run.1, run.2));
        self.news.insert((session, run.0), (run.1, run.2));
    }

    fn report(&self, edge: usize) -> Report {
        let news = self.news.iter();
        Report {
            edge: format!("edge-{edge}").into(),
            total: self.total,
            runs: news
                .map(|(&(hash, first), &(likes, last))| (hash, first, likes, last))
                .collect(),
        }
    }

    fn answered(&mut self, report: &Report, origin: u32) {
        for &(hash, first, likes, last) in &report.runs {
            if self.news.get(&(hash, first)) == Some(&(likes, last)) {
                self.news.remove(&(hash, first));
            }
        }
        if std::mem::replace(&mut self.origin, origin) != origin {
            self.news.clone_from(&self.all);
        }
    }
}

/// A member, with one batch under way at a time.
#[derive(Debug, Default)]
struct Member {
    edge: usize,
    connection: u64,
    sent: u64,
    under_way: Option<(u64, u32)>,
}

#[derive(Debug, Clone)]
enum Step {
    /// A member taps, or sends again what is unanswered; the edge may get it or not, the member
    /// may get its answer or not.
    Tap {
        who: usize,
        arrives: bool,
        answered: bool,
    },
    /// A member goes to another edge.
    Move { who: usize, to: usize },
    /// An edge reports; the report may be lost, its answer too.
    Report {
        edge: usize,
        arrives: bool,
        answered: bool,
    },
    /// The n-th last report arrives again.
    Again { back: usize },
    /// The room is saved by the way.
    Save,
    /// The origin dies and is started again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let yes = || prop::bool::weighted(0.8);
    prop_oneof![
        6 => (0..3usize, yes(), yes())
            .prop_map(|(who, arrives, answered)| Step::Tap { who, arrives, answered }),
        2 => (0..3usize, 0..3usize).prop_map(|(who, to)| Step::Move { who, to }),
        4 => (0..3usize, yes(), yes())
            .prop_map(|(edge, arrives, answered)| Step::Report { edge, arrives, answered }),
        1 => (0..6usize).prop_map(|back| Step::Again { back }),
        1 => Just(Step::Save),
        1 => Just(Step::Restart),
    ]
}

#[derive(Debug)]
struct World {
    likes: Likes,
    saved: Saved,
    origin: u32,
    edges: Vec<Counter>,
    members: Vec<Member>,
    reports: Vec<Report>,
    distinct: HashSet<(usize, u64)>,
    expect: u64,
}

impl World {
    fn new() -> Self {
        Self {
            likes: Likes::new(0),
            saved: Saved::default(),
            origin: 1,
            edges: (0..3).map(|_| Counter::default()).collect(),
            members: (0..3).map(|_| Member::default()).collect(),
            reports: Vec::new(),
            distinct: HashSet::new(),
            expect: 0,
        }
    }

    fn tap(&mut self, who: usize, arrives: bool, answered: bool) {
        let member = &mut self.members[who];
        let (batch, count) = *member.under_way.get_or_insert_with(|| {
            member.sent += 1;
            (member.sent, 1 << (3 * who))
        });
        if !arrives {
            return;
        }
        if self.distinct.insert((who, batch)) {
            self.expect += u64::from(count);
        }
        self.edges[member.edge].like(who as u64, batch, count, member.connection);
        if answered {
            member.under_way = None;
        }
    }

    fn report(&mut self, edge: usize, arrives: bool, answered: bool) {
        let report = self.edges[edge].report(edge);
        if !arrives {
            return;
        }
        self.reports.push(report.clone());
        let before = self.likes.total();
        self.likes.report(&report, 0);
        assert!(self.likes.total() >= before, "the total never sinks");
        if answered {
            self.edges[edge].answered(&report, self.origin);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Tap {
                who,
                arrives,
                answered,
            } => self.tap(who, arrives, answered),
            Step::Move { who, to } => {
                let member = &mut self.members[who];
                if member.connection + 1 < RUNS_MAX as u64 {
                    member.edge = to;
                    member.connection += 1;
                }
            }
            Step::Report {
                edge,
                arrives,
                answered,
            } => self.report(edge, arrives, answered),
            Step::Again { back } => {
                if let Some(index) = self.reports.len().checked_sub(back + 1) {
                    self.likes.report(&self.reports[index], 0);
                }
            }
            Step::Save => self.saved = self.likes.save(),
            Step::Restart => {
                self.origin += 1;
                let json = serde_json::to_vec(&self.saved).expect("JSON");
                let saved = serde_json::from_slice(&json).expect("its own JSON");
                self.likes = Likes::restore(saved, 0);
                // What was on its way to the dead process never arrives.
                self.reports.clear();
            }
        }
    }

    /// All is sent until all is answered.
    fn come_to_rest(&mut self) {
        for _ in 0..3 {
            for who in 0..self.members.len() {
                self.tap(who, true, true);
            }
            for edge in 0..self.edges.len() {
                self.report(edge, true, true);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_batch_counts_once_whatever_happens(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.come_to_rest();
        prop_assert_eq!(world.likes.sum(), world.expect);
    }
}
