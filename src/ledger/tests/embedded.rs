//! The embedded store: the suite, and what happens to its file.

use std::path::Path;

use super::{Open, decided, order, put, suite};
use crate::ledger::order::State;
use crate::ledger::{Config, Error};

fn config(folder: &Path) -> Config {
    Config {
        path: Some(folder.join("ledger.redb")),
        ..Config::default()
    }
}

#[tokio::test]
async fn file_keeps_to_the_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = Open::new(&config(folder.path())).await;
    suite::all(&open.ledger).await;
    open.close().await;
}

#[tokio::test]
async fn memory_keeps_to_the_suite() {
    let open = Open::new(&Config::default()).await;
    suite::all(&open.ledger).await;
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
