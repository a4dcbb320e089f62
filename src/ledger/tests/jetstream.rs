//! The cluster's store: the suite, and servers that come and go.

use std::time::Duration;

use super::{Open, decided, id, order, put, suite};
use crate::ledger::order::State;
use crate::ledger::{Backend, Config, Error, JetstreamConfig, Put};
use crate::nats::Servers;
use crate::nats::server::{Server, WAIT};
use crate::runtime::clock;

fn config(server: &Server) -> Config {
    Config {
        backend: Backend::Jetstream,
        jetstream: JetstreamConfig {
            servers: server.servers(),
            replicas: 1,
            ..JetstreamConfig::default()
        },
        ..Config::default()
    }
}

#[tokio::test]
async fn cluster_keeps_to_the_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0).await;
    suite::all(&config(&server)).await;
}

#[tokio::test]
async fn old_orders_are_swept_when_they_are_decided() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0).await;
    suite::sweep(&config(&server)).await;
}

#[tokio::test]
async fn nodes_share_one_book() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0).await;
    let (one, two) = (
        Open::new(&config(&server)).await,
        Open::new(&config(&server)).await,
    );
    let taken = order("shared", "key-0001", 1);
    let revision = put(&one.ledger, &taken, 0).await;
    let late = two.ledger.put(&order("shared", "key-0001", 2), 0).await;
    assert!(matches!(late, Ok(Put::Changed(Some(found))) if found.order == taken));

    let sold = decided(&taken, State::Confirmed, 2);
    put(&two.ledger, &sold, revision).await;
    let found = one
        .ledger
        .order(&taken.id)
        .await
        .expect("a store that works");
    assert_eq!(found.map(|entry| entry.order), Some(sold));
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn orders_are_refused_while_the_server_is_away_and_found_after_it_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0).await;
    let (config, port) = (config(&server), server.port);
    let open = Open::new(&config).await;
    let first = order("away", "key-0001", 1);
    put(&open.ledger, &first, 0).await;
    drop(server);

    let asked = clock::now();
    let refused = open.ledger.put(&order("away", "key-0002", 2), 0).await;
    assert!(matches!(refused, Err(Error::Down(_))), "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(5));

    let _server = Server::start(folder.path(), port).await;
    let recovers = async {
        while open.ledger.is_healthy().is_err()
            || open
                .ledger
                .put(&order("away", "key-0003", 3), 0)
                .await
                .is_err()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WAIT, recovers)
        .await
        .expect("the connection comes back");
    let found = open
        .ledger
        .order(&first.id)
        .await
        .expect("a store that works");
    assert_eq!(found.map(|entry| entry.order), Some(first));
    open.close().await;

    let open = Open::new(&config).await;
    let found = open.ledger.order(&id("away", "key-0003")).await;
    assert!(found.expect("a store that works").is_some());
    open.close().await;
}

#[tokio::test]
async fn cluster_that_is_not_there_is_no_reason_to_stop() {
    let config = Config {
        backend: Backend::Jetstream,
        jetstream: JetstreamConfig {
            servers: Servers(vec!["nats://127.0.0.1:1".into()]),
            ..JetstreamConfig::default()
        },
        ..Config::default()
    };
    let open = Open::new(&config).await;
    open.ledger.is_healthy().expect_err("nobody is there");
    let refused = open.ledger.put(&order("nowhere", "key-0001", 1), 0).await;
    assert!(matches!(refused, Err(Error::Down(_))), "{refused:?}");
    open.close().await;
}
