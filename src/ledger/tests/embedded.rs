//! The embedded store: the suite, and what happens to its file.

use std::path::Path;

use super::{Open, decided, decision, order, put, room, suite};
use crate::ledger::order::State;
use crate::ledger::{Config, Error};
use crate::runtime::clock;

fn config(folder: &Path) -> Config {
    Config {
        path: Some(folder.join("ledger.redb")),
        ..Config::default()
    }
}

#[tokio::test]
async fn file_keeps_to_the_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    suite::all(&config(folder.path())).await;
}

#[tokio::test]
async fn memory_keeps_to_the_suite() {
    suite::all(&Config::default()).await;
}

#[tokio::test]
async fn old_orders_are_swept_when_they_are_decided() {
    let folder = tempfile::tempdir().expect("a folder");
    suite::sweep(&config(folder.path())).await;
}

#[tokio::test]
async fn old_decisions_of_moderation_are_swept() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let now = clock::unix_us() / 1000;
    let long_ago = now - i64::from(config.audit_days) * 86_400_000 - 60_000;
    let open = Open::new(&config).await;
    for name in ["one", "two"] {
        for at in [long_ago, long_ago + 1, now] {
            let records = vec![decision(at)];
            let done = open.ledger.append_audit(&room(name), records).await;
            done.expect("a store that works");
        }
    }
    open.close().await;
    let open = Open::new(&config).await;
    for name in ["one", "two"].map(room) {
        let ask = || open.ledger.audit(&name, None, 10);
        let left = Ok(vec![decision(now)]);
        let found = suite::until("what is left", ask, |found| *found == left).await;
        found.expect("a store that works");
    }
    open.close().await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = Open::new(&config(folder.path())).await;
    let first = order("restart", "key-0001", 1);
    put(&open.ledger, &first, 0).await;
    let dead = decided(&order("restart", "key-0002", 2), State::Unknown, 3);
    put(&open.ledger, &dead, 0).await;
    let depth = open.ledger.depth();
    open.close().await;

    let open = Open::new(&config(folder.path())).await;
    assert_eq!(open.ledger.is_healthy(), Ok(()));
    assert_eq!(open.repairs(), "0");
    assert_eq!(open.ledger.depth(), depth);
    let found = open
        .ledger
        .order(&first.id)
        .await
        .expect("a store that works");
    assert_eq!(found.map(|entry| entry.order), Some(first));
    open.close().await;
}

#[tokio::test]
async fn damaged_file_refuses_orders_and_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let path = config.path.clone().expect("a path");
    for damage in [&b"this is no ledger"[..], &b""[..]] {
        std::fs::write(&path, damage).expect("a file");
        let open = Open::new(&config).await;
        open.ledger.is_healthy().expect_err("nothing was opened");
        let refused = open.ledger.put(&order("damage", "key-0001", 1), 0).await;
        assert!(matches!(refused, Err(Error::Down(_))), "{refused:?}");
        open.close().await;
        assert_eq!(std::fs::read(&path).expect("the file"), damage);
    }
}

#[tokio::test]
async fn damaged_trail_is_told_and_left_as_it_is_while_orders_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let trail = folder.path().join("ledger.audit.redb");
    std::fs::write(&trail, b"this is no trail").expect("a file");
    let open = Open::new(&config(folder.path())).await;
    let told = open.ledger.is_healthy().expect_err("no trail was opened");
    assert!(told.starts_with("the audit trail: "), "{told}");
    put(&open.ledger, &order("damage", "key-0001", 1), 0).await;
    let name = room("damage");
    let refused = open.ledger.append_audit(&name, vec![decision(1)]).await;
    assert!(matches!(refused, Err(Error::Down(_))), "{refused:?}");
    open.close().await;
    let left = std::fs::read(&trail).expect("the file");
    assert_eq!(left, b"this is no trail");
}
