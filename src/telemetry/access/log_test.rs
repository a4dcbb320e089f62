use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::telemetry::access::{Slip, Trace};

fn record(status: u16) -> Record {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4711));
    let mut record = Record::new(1_700_000_000_123_456, peer);
    record.status = status;
    record
}

fn config(path: &Path, sample_ok: f64) -> Config {
    Config {
        path: path.to_owned(),
        sample_ok,
        ..Config::default()
    }
}

fn start(config: &Config) -> (Log, Metrics) {
    let metrics = Metrics::default();
    let log = Log::start(config, &otlp::Config::default(), "edge-1", &metrics).unwrap();
    (log, metrics)
}

/// The lines of `path` once there are `count`; the thread writes when the log is dropped at last.
fn lines(path: &Path, count: usize) -> Vec<Value> {
    for _ in 0..1000 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= count {
            return text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    panic!("{} never held {count} lines", path.display());
}

#[test]
fn a_line_has_all_fields_and_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, _metrics) = start(&config(&path, 1.0));
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let slip = Slip::filed(Trace::parse(caller), true);
    slip.object(|| Object {
        class: "part",
        room: "show".into(),
        rendition: "720p".into(),
        msn: Some(12),
        part: Some(3),
    });
    slip.kid("2026-11");
    slip.cache("hit");
    let mut one = record(200);
    one.cmcd = Some(Box::new(cmcd::read(Some("sid=\"s1\",bl=900,bs"), [])));
    one.take(&slip);
    log.file(one);
    log.file(record(404));
    let lines = lines(&path, 2);
    let part = &lines[0];
    assert_eq!(part["ts"], "2023-11-14T22:13:20.123456Z");
    assert_eq!(
        (&part["class"], &part["room"]),
        (&"part".into(), &"show".into())
    );
    assert_eq!((&part["msn"], &part["part"]), (&12.into(), &3.into()));
    assert_eq!(
        (&part["kid"], &part["cache"]),
        (&"2026-11".into(), &"hit".into())
    );
    assert_eq!(part["cmcd"]["bl"], 900);
    assert_eq!(part["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let fields =
        |line: &Value| -> Vec<String> { line.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(fields(part), fields(&lines[1]), "the schema is fixed");
    assert_eq!(log.players("show").map(|sums| sums.starved()), Some(1));
}

#[test]
fn plain_successes_are_sampled_and_failures_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, _metrics) = start(&config(&path, 0.1));
    for _ in 0..1000 {
        log.file(record(200));
    }
    for _ in 0..7 {
        log.file(record(503));
    }
    let mut slow = record(200);
    slow.first_us = 3_000_000;
    slow.held_us = 500_000;
    log.file(slow);
    drop(log);
    let found = lines(&path, 100);
    let of = |status: u16| found.iter().filter(|line| line["status"] == status).count();
    assert_eq!(of(503), 7);
    assert!((95..=110).contains(&of(200)), "{}", of(200));
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, _metrics) = start(&config(&path, 1.0));
    log.file(record(200));
    lines(&path, 1);
    std::fs::rename(&path, folder.path().join("access.log.1")).unwrap();
    for _ in 0..200 {
        log.file(record(200));
        if path.exists() {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    panic!("no new file was made");
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let (log, metrics) = start(&config(Path::new("/dev/full"), 1.0));
    log.file(record(200));
    for _ in 0..500 {
        let text = metrics.encode();
        if text.contains("rushlane_telemetry_access_records_total{outcome=\"failed\"} 1") {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    panic!("the lost line was not counted:\n{}", metrics.encode());
}

#[test]
fn events_come_at_least_once_and_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, _metrics) = start(&config(&path, 1.0));
    let body = "v=2,e=ps,sta=p,sid=\"s\",cid=\"show\",sn=1\nv=2,e=t,sid=\"s\",cid=\"no\",sn=2\n";
    for _ in 0..3 {
        let collected = log.collect(&record(204), body, |room| room == "show");
        assert_eq!(collected, Collected::Taken);
    }
    drop(log.clone());
    let lines = lines(&path, 2);
    let rooms: Vec<&Value> = lines.iter().map(|line| &line["room"]).collect();
    assert_eq!(rooms, [&Value::from("show"), &Value::Null]);
}
