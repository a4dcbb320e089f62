//! Nodes, a NATS server of their own, and what becomes of rooms when it is away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::media::RoomName;
use crate::nats::server::{Server, WAIT};
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry;

/// A node with its registry.
struct Open {
    registry: Registry,
    scope: TaskScope,
}

impl Open {
    async fn new(server: &Server, name: &str) -> Self {
        let config = Config {
            backend: Backend::Nats,
            servers: server.servers(),
            lease_seconds: 3,
            ..Config::default()
        };
        let scope = TaskScope::under(&Shutdown::new());
        let metrics = telemetry::Metrics::default();
        let registry = Registry::open(&config, name, &metrics, &scope)
            .await
            .unwrap();
        let open = Self { registry, scope };
        open.is(true).await;
        open
    }

    /// Waits until the cluster is there, or away.
    async fn is(&self, connected: bool) {
        let fleet = self.registry.0.as_ref().unwrap();
        until("the cluster's state", || fleet.is_ready() == connected).await;
    }
}

async fn until(what: &str, mut probe: impl FnMut() -> bool) {
    let waiting = async {
        while !probe() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT, waiting).await.expect(what);
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        role: Role::Origin,
        relay: Some(format!("{name}:4430")),
        http: BTreeMap::new(),
        level: 0,
    }
}

#[tokio::test]
async fn static_registry_grants_everything() {
    let registry = Registry::default();
    let _lease = registry.claim(&room("r")).await.unwrap();
    assert!(registry.claim(&room("r")).await.is_ok());
    assert!(registry.nodes().is_empty());
}

#[tokio::test]
async fn room_has_one_owner_until_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 0).await;
    let (one, two) = (
        Open::new(&server, "one").await,
        Open::new(&server, "two").await,
    );
    let lease = one.registry.claim(&room("r")).await.unwrap();
    let again = one.registry.claim(&room("r")).await.unwrap();
    let taken = two.registry.claim(&room("r")).await.unwrap_err();
    assert_eq!(&*taken.owner, "one");
    assert!(two.registry.claim(&room("other")).await.is_ok());

    drop(lease);
    assert!(
        two.registry.claim(&room("r")).await.is_err(),
        "it is held twice"
    );
    // Longer than a lease: it is renewed.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(two.registry.claim(&room("r")).await.is_err());
    drop(again);
    let freed = async {
        while two.registry.claim(&room("r")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), freed)
        .await
        .unwrap();
}

#[tokio::test]
async fn lease_of_a_dead_node_runs_out_and_can_be_seized_before() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 0).await;
    let (one, two) = (
        Open::new(&server, "one").await,
        Open::new(&server, "two").await,
    );
    let three = Open::new(&server, "three").await;
    let _lease = one.registry.claim(&room("r")).await.unwrap();
    let fleet = two.registry.0.clone().unwrap();
    until("the news of the lease", || {
        fleet.owner(&room("r")).is_some()
    })
    .await;
    let _seized = two.registry.seize(&room("r"));
    let owned_by_two = || {
        fleet
            .owner(&room("r"))
            .is_some_and(|owner| &*owner == "two")
    };
    until("the room's new owner", owned_by_two).await;
    let taken = three.registry.claim(&room("r")).await.unwrap_err();
    assert_eq!(&*taken.owner, "two");

    let _other = one.registry.claim(&room("dead")).await.unwrap();
    // What a node owned is free once it has gone.
    one.scope.shutdown().request();
    let freed = async {
        while three.registry.claim(&room("dead")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(WAIT, freed).await.unwrap();
}

#[tokio::test]
async fn nodes_see_each_other_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 0).await;
    let (one, two) = (
        Open::new(&server, "one").await,
        Open::new(&server, "two").await,
    );
    one.registry.introduce(node("one"));
    two.registry.introduce(node("two"));
    until("the other node", || two.registry.nodes() == [node("one")]).await;
    let busy = Node {
        level: 3,
        ..node("one")
    };
    one.registry.introduce(busy.clone());
    until("its new level", || two.registry.nodes() == [busy.clone()]).await;
    one.scope.finish(Duration::from_secs(5)).await;
    until("its goodbye", || two.registry.nodes().is_empty()).await;
}

#[tokio::test]
async fn last_known_state_decides_while_the_cluster_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 0).await;
    let port = server.port;
    let (one, two) = (
        Open::new(&server, "one").await,
        Open::new(&server, "two").await,
    );
    let _lease = one.registry.claim(&room("r")).await.unwrap();
    one.registry.introduce(node("one"));
    until("the other node", || !two.registry.nodes().is_empty()).await;
    let fleet = two.registry.0.clone().unwrap();
    until("the news of the lease", || {
        fleet.owner(&room("r")).is_some()
    })
    .await;
    drop(server);
    two.is(false).await;
    one.is(false).await;
    // Longer than a lease: nobody could renew it.
    tokio::time::sleep(Duration::from_secs(4)).await;

    assert!(two.registry.claim(&room("r")).await.is_err());
    assert_eq!(two.registry.nodes(), [node("one")]);
    let asked = crate::runtime::clock::now();
    let new = two.registry.claim(&room("new")).await;
    assert!(new.is_ok(), "nobody is known to have it");
    assert!(asked.elapsed() < Duration::from_secs(CLAIM_SECONDS + 1));

    let _server = Server::start(folder.path(), port).await;
    two.is(true).await;
    one.is(true).await;
    until("the lease is renewed", || {
        fleet.owner(&room("new")).is_some()
    })
    .await;
    assert!(two.registry.claim(&room("r")).await.is_err());
}

#[tokio::test]
async fn cluster_that_never_was_keeps_nobody_waiting() {
    let config = Config {
        backend: Backend::Nats,
        servers: Servers(vec!["nats://127.0.0.1:1".into()]),
        ..Config::default()
    };
    let scope = TaskScope::under(&Shutdown::new());
    let metrics = telemetry::Metrics::default();
    let registry = Registry::open(&config, "one", &metrics, &scope)
        .await
        .unwrap();
    let asked = room("r");
    let claim = registry.claim(&asked);
    let claimed = tokio::time::timeout(Duration::from_secs(3), claim).await;
    assert!(claimed.unwrap().is_ok());
}
