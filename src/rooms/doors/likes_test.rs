use super::*;
use crate::runtime::clock;

fn like(session: &str, n: u64, count: u32) -> Like {
    Like {
        count,
        session: session.into(),
        n,
    }
}

fn taken(total: u64, origin: &str) -> LikesTaken {
    LikesTaken {
        total,
        origin: origin.into(),
    }
}

/// Runs without the hash of their session.
fn runs(report: &question::Likes) -> Vec<(u64, u32, u64)> {
    let runs = report.runs.iter();
    runs.map(|(_, first, count, last)| (*first, *count, *last))
        .collect()
}

#[test]
fn a_batch_counts_once_however_often_it_is_sent() {
    let likes = Likes::new("e".into());
    let now = clock::now();
    for (n, count, total) in [(1, 5, 5), (1, 5, 5), (2, 3, 8), (1, 5, 8), (7, 2, 10)] {
        assert_eq!(
            likes.count(&like("s", n, count), 0, now),
            Ok(total),
            "n {n}"
        );
    }
    let report = likes.report(now).unwrap();
    assert_eq!(report.total, 10);
    assert_eq!(runs(&report), [(1, 5, 2), (7, 2, 7)]);
}

#[test]
fn another_connection_begins_a_run() {
    let likes = Likes::new("e".into());
    let now = clock::now();
    for (n, connection) in [(1, 7), (2, 7), (2, 8), (3, 8), (4, 8)] {
        likes.count(&like("s", n, 1), connection, now).unwrap();
    }
    let report = likes.report(now).unwrap();
    assert_eq!(
        (report.total, runs(&report)),
        (4, vec![(1, 1, 2), (3, 1, 4)])
    );
}

#[test]
fn runs_that_begin_are_told_at_once_and_growth_a_little_later() {
    let likes = Likes::new("e".into());
    let now = clock::now();
    likes.count(&like("s", 1, 1), 0, now).unwrap();
    let report = likes.report(now).unwrap();
    likes.taken(&report, &taken(100, "o"));
    assert_eq!(likes.report(now), None);
    assert_eq!(likes.count(&like("s", 2, 1), 0, now), Ok(100));
    let report = likes.report(now).unwrap();
    assert_eq!((report.total, report.runs.len()), (2, 0));
    likes.taken(&report, &taken(101, "o"));
    let report = likes.report(now + GROWTH).unwrap();
    assert_eq!(runs(&report), [(1, 1, 2)]);
    likes.taken(&report, &taken(101, "o"));
    assert_eq!(likes.report(now + 2 * GROWTH), None);
}

#[test]
fn a_lost_report_is_said_again_with_what_came_since() {
    let likes = Likes::new("e".into());
    let now = clock::now();
    likes.count(&like("s", 4, 1), 0, now).unwrap();
    likes.report(now).unwrap();
    likes.count(&like("s", 5, 9), 0, now).unwrap();
    let report = likes.report(now).unwrap();
    assert_eq!((report.total, runs(&report)), (10, vec![(4, 1, 5)]));
}

#[test]
fn another_origin_process_is_told_everything() {
    let likes = Likes::new("e".into());
    let now = clock::now();
    for session in ["a", "b"] {
        likes.count(&like(session, 1, 1), 0, now).unwrap();
    }
    let report = likes.report(now).unwrap();
    likes.taken(&report, &taken(2, "first"));
    likes.count(&like("a", 2, 1), 0, now).unwrap();
    let report = likes.report(now).unwrap();
    likes.taken(&report, &taken(3, "second"));
    let mut report = likes.report(now).unwrap();
    report.runs.sort_by_key(|run| run.3);
    assert_eq!(report.total, 3);
    assert_eq!(runs(&report), [(1, 1, 1), (1, 1, 2)]);
}

#[test]
fn sessions_are_bounded_and_the_silent_go_first() {
    let likes = Likes::new("e".into());
    let start = clock::now();
    for n in 0..SESSIONS_MAX {
        likes.state.lock().sessions.insert(
            n as u64,
            Session {
                runs: SmallVec::new(),
                seen: start,
            },
        );
    }
    assert_eq!(likes.count(&like("s", 1, 1), 0, start), Err(Full));
    assert_eq!(likes.count(&like("s", 1, 1), 0, start + SILENT), Ok(1));
    assert_eq!(likes.state.lock().sessions.len(), 1);
}

#[test]
fn the_silent_are_forgotten_once_the_origin_knows_of_them() {
    let likes = Likes::new("e".into());
    let start = clock::now();
    let each = |from: usize, at| {
        for n in from..from + 1024 {
            likes.count(&like(&format!("s{n}"), 1, 1), 0, at).unwrap();
        }
    };
    each(0, start);
    each(1024, start + SILENT);
    assert_eq!(likes.state.lock().sessions.len(), 2048, "not told yet");
    while let Some(report) = likes.report(start + SILENT) {
        likes.taken(&report, &taken(2048, "first"));
    }
    each(2048, start + 2 * SILENT);
    assert_eq!(likes.state.lock().sessions.len(), 1024);
}
