//! Processes that die while they write.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Open, id, order};
use crate::ledger::{Config, Put};

/// Names the victim's file.
const FILE: &str = "RUSHLANE_TEST_LEDGER";

/// How often a process is killed.
const ROUNDS: usize = 6;

fn config(path: &Path) -> Config {
    Config {
        path: Some(path.to_owned()),
        ..Config::default()
    }
}

/// Stores orders and prints the key of each one that is stored, until it is killed.
#[tokio::test]
#[ignore = "the process that is killed"]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn victim() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let open = Open::new(&config(&path)).await;
    let ledger = &open.ledger;
    let writers = (0..8).map(|writer| async move {
        for number in 0.. {
            let key = format!("key-{}-{writer}-{number}", std::process::id());
            let order = order("crash", &key, number);
            if let Ok(Put::Done(_)) = ledger.put(&order, 0).await {
                println!("stored {key}");
            }
        }
    });
    futures_util::future::join_all(writers).await;
}

/// Runs a victim, kills it after `orders` orders, and returns the keys that it had stored.
fn killed_after(path: &Path, orders: usize) -> Vec<String> {
    let program = std::env::current_exe().expect("this program");
    let mut victim = Command::new(program)
        .args([
            "--exact",
            "ledger::tests::crash::victim",
            "--ignored",
            "--nocapture",
        ])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let lines = BufReader::new(victim.stdout.take().expect("a pipe")).lines();
    let mut stored = Vec::new();
    for line in lines.map_while(Result::ok) {
        // The harness of the tests writes into the first line.
        let key = line.split_once("stored ").map(|(_, key)| key.to_owned());
        stored.extend(key);
        if stored.len() == orders {
            victim.kill().expect("it runs");
        }
    }
    victim.wait().expect("it has ended");
    assert!(
        stored.len() >= orders,
        "the victim ended by itself after {}",
        stored.len()
    );
    stored
}

#[tokio::test]
async fn what_was_stored_survives_a_kill_at_any_point() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.redb");
    let mut stored = Vec::new();
    for round in 1..=ROUNDS {
        stored.extend(killed_after(&path, 23 * round));
        let open = Open::new(&config(&path)).await;
        assert_eq!(open.ledger.is_healthy(), Ok(()));
        assert_eq!(open.repairs(), "1");
        for key in &stored {
            let found = open.ledger.order(&id("crash", key)).await;
            assert!(
                found.expect("a store that works").is_some(),
                "{key} is lost"
            );
        }
        let waiting = usize::try_from(open.ledger.depth().accepted).expect("a count");
        assert!(
            waiting >= stored.len(),
            "{waiting} of {} wait",
            stored.len()
        );
        open.close().await;
    }
}

#[tokio::test]
async fn torn_file_is_refused_or_whole_never_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.redb");
    let stored = killed_after(&path, 200);
    let bytes = std::fs::metadata(&path).expect("the file").len();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("the file");
    for left in [bytes - 100, bytes / 2, 4096, 100] {
        file.set_len(left).expect("a shorter file");
        let open = Open::new(&config(&path)).await;
        if open.ledger.is_healthy().is_ok() {
            let found = open.ledger.order(&id("crash", &stored[0])).await;
            assert!(matches!(found, Ok(Some(_))), "{left} bytes: {found:?}");
        }
        open.close().await;
    }
}
