//! Several parents: which one frames come over, and what becomes of them when it fails.

use std::time::Duration;

use crate::live::track::{Reader, Start};
use crate::media::Class;
use crate::net::tls::Authority;
use crate::relay::tests::host::{Host, origin};
use crate::relay::tests::netem::Proxy;
use crate::relay::tests::peers::*;
use crate::relay::{Config, Standing};
use crate::runtime::clock;

/// An origin, two nodes below it, and an edge below both of them; proxies stand before the two.
struct Fleet {
    _origin: Node,
    relays: [Node; 2],
    ways: [Proxy; 2],
    edge: Node,
    show: Show,
}

impl Fleet {
    async fn start(config_of: impl Fn(Config) -> Config) -> Self {
        let authority = Authority::create("test");
        let origin = Node::new("origin", &authority).serve();
        let show = Show::new(origin.store(), "demo", "e1");
        let below = |name| {
            Node::new(name, &authority)
                .serve()
                .pull(&[origin.address()])
        };
        let relays = [below("first"), below("second")];
        let way =
            async |to: &Node| Proxy::start(to.address(), 0, Duration::ZERO, &origin.scope).await;
        let ways = [way(&relays[0]).await, way(&relays[1]).await];
        let mut edge = Node::new("edge", &authority);
        let parents = [ways[0].address, ways[1].address];
        edge.pull_with(&config_of(config(&parents)));
        let fleet = Self {
            _origin: origin,
            relays,
            ways,
            edge,
            show,
        };
        eventually("both links are up", || fleet.standings().len() == 2).await;
        fleet
    }

    fn standings(&self) -> Vec<(String, Standing)> {
        let status = self.edge.puller.as_ref().unwrap().status();
        let one =
            |status: crate::relay::Status| (status.peer.to_string(), status.standing.unwrap());
        status.into_iter().map(one).collect()
    }

    fn is_fed_by(&self, name: &str) -> bool {
        self.standings()[0] == (name.into(), Standing::Active)
    }

    fn switches(&self, reason: &str) -> f64 {
        let line = format!("rushlane_relay_route_switches_total{{reason=\"{reason}\"}}");
        self.edge.figure(&line)
    }

    async fn reader(&self) -> Reader {
        let mut reader = self.edge.reader("demo", "video", Start::Oldest).await;
        self.show.whole(0, 2, 1000);
        assert_eq!(text(&read(&mut reader, 4).await), "g0 0.0 0.1 .");
        assert!(self.is_fed_by("first"));
        reader
    }
}

#[tokio::test]
async fn silent_parent_is_left_before_its_link_is_lost() {
    let fleet = Fleet::start(|config| config).await;
    let mut reader = fleet.reader().await;
    let group = fleet.show.open(1, 2, 1000);
    assert_eq!(text(&read(&mut reader, 3).await), "g1 1.0 1.1");
    fleet.ways[0].cut();
    group.append(frame(1, 2, 1000));
    assert_eq!(text(&read(&mut reader, 1).await), "1.2");
    group.finish();
    fleet.show.whole(2, 1, 1000);
    assert_eq!(text(&read(&mut reader, 4).await), ". g2 2.0 .");
    let moved = fleet.switches("Silence") + fleet.switches("Stall");
    assert_eq!(moved, 1.0);
    assert!(fleet.is_fed_by("second"));
}

#[tokio::test]
async fn goodbye_moves_tracks_without_a_gap() {
    let fleet = Fleet::start(|config| config).await;
    let mut reader = fleet.reader().await;
    let group = fleet.show.open(1, 2, 1000);
    assert_eq!(text(&read(&mut reader, 3).await), "g1 1.0 1.1");
    let server = fleet.relays[0].server.as_ref().unwrap();
    server.drain(clock::now() + Duration::from_secs(30));
    eventually("frames come over the second", || fleet.is_fed_by("second")).await;
    group.append(frame(1, 2, 1000));
    group.finish();
    assert_eq!(text(&read(&mut reader, 2).await), "1.2 .");
    assert_eq!(fleet.switches("Goaway"), 1.0);
    eventually("the link is given up", || fleet.standings().len() == 1).await;
}

#[tokio::test]
async fn tracks_return_to_the_better_parent_when_it_is_steady() {
    let fleet = Fleet::start(|config| Config {
        return_seconds: 1,
        ..config
    })
    .await;
    let mut reader = fleet.reader().await;
    let host = async {
        for id in 1.. {
            fleet.show.whole(id, 1, 1000);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let test = async {
        fleet.ways[0].hold();
        eventually("frames come over the second", || fleet.is_fed_by("second")).await;
        fleet.ways[0].release();
        eventually("tracks return", || fleet.switches("Return") == 1.0).await;
        eventually("frames come over the first again", || {
            fleet.is_fed_by("first")
        })
        .await;
    };
    let viewer = async {
        for id in 1.. {
            let expect = format!("g{id} {id}.0 .");
            assert_eq!(text(&read(&mut reader, 3).await), expect);
        }
    };
    tokio::select! {
        () = host => {}
        () = viewer => {}
        () = test => {}
    }
}

#[tokio::test]
async fn parent_that_has_nothing_new_is_left_for_one_that_has() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    let way = Proxy::start(origin.address(), 0, Duration::ZERO, &origin.scope).await;
    let stale = Node::new("stale", &authority).serve().pull(&[way.address]);
    let fresh = Node::new("fresh", &authority)
        .serve()
        .pull(&[origin.address()]);
    let edge = Node::new("edge", &authority).pull(&[stale.address(), fresh.address()]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    let group = show.open(0, 2, 1000);
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 0.1");
    way.hold();
    group.append(frame(0, 2, 1000));
    assert_eq!(text(&read(&mut reader, 1).await), "0.2");
    way.release();
    let by = |reason| format!("rushlane_relay_route_switches_total{{reason=\"{reason}\"}}");
    assert_eq!(edge.figure(&by("Stall")), 1.0);
    assert_eq!(edge.figure(&by("Silence")), 0.0);
}

#[tokio::test]
async fn each_room_comes_from_the_origin_that_has_it() {
    let authority = Authority::create("test");
    let (first_host, second_host) = (Host::open(), Host::open());
    let first = origin(&authority, &first_host);
    let mut second = Node::new("second", &authority);
    second.local.exchange.set_authority(second_host.door());
    second.serve_with(&config(&[]));
    let shows = [
        Show::new(first.store(), "a", "e1"),
        Show::new(second.store(), "b", "e1"),
    ];
    let edge = Node::new("edge", &authority).pull(&[first.address(), second.address()]);
    for (show, room) in shows.iter().zip(["a", "b"]) {
        show.whole(0, 1, 10);
        let mut reader = edge.reader(room, "video", Start::Oldest).await;
        assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
    }
    edge.ask_in("b", Class::Order, "buy").await.unwrap();
    assert_eq!((first_host.heard(), second_host.heard()), (0, 1));
    edge.ask_in("a", Class::Comment, "hello").await.unwrap();
    assert_eq!((first_host.heard(), second_host.heard()), (1, 1));
}

#[tokio::test]
async fn third_parent_is_dialled_when_one_of_two_is_lost() {
    let authority = Authority::create("test");
    let serve = |name| Node::new(name, &authority).serve();
    let mut first = serve("first");
    let (second, third) = (serve("second"), serve("third"));
    let parents = [first.address(), second.address(), third.address()];
    let edge = Node::new("edge", &authority).pull(&parents);
    let names = || {
        let status = edge.puller.as_ref().unwrap().status();
        let names = status.iter().map(|status| status.peer.to_string());
        names.collect::<Vec<_>>()
    };
    eventually("two links are up", || names() == ["first", "second"]).await;
    first.stop().await;
    eventually("the third one steps in", || names() == ["second", "third"]).await;
    first.start_again().await;
    eventually("and out again", || names() == ["first", "second"]).await;
}

#[tokio::test]
async fn reports_go_up_and_policies_down() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    origin.fleet.policy.send_replace("first".into());
    let mut edge = Node::new("edge", &authority).pull(&[origin.address()]);
    edge.fleet.report.send_replace("I am well".into());
    let server = origin.server.as_ref().unwrap();
    let expect = vec![("edge".into(), "I am well".into())];
    eventually("the report is here", || server.reports() == expect).await;
    assert_eq!(edge.fleet.policies.recv().await.unwrap(), "first");
    origin.fleet.policy.send_replace("second".into());
    assert_eq!(edge.fleet.policies.recv().await.unwrap(), "second");
}

#[tokio::test]
async fn withdrawn_certificate_is_refused_at_the_next_handshake() {
    let (old, new) = (Authority::create("old"), Authority::create("new"));
    let origin = Node::new("origin", &old).serve();
    let before = Node::new("before", &old).pull(&[origin.address()]);
    eventually("it is let in", || {
        before.puller.as_ref().unwrap().is_connected()
    })
    .await;
    let server = origin.server.as_ref().unwrap();
    let identity = new.issue(&["localhost"]).unwrap();
    server.reload(&identity, &[new.certificate()]).unwrap();
    let after = Node::new("after", &new).pull(&[origin.address()]);
    eventually("the new one is let in", || {
        after.puller.as_ref().unwrap().is_connected()
    })
    .await;
    let withdrawn = Node::new("withdrawn", &old).pull(&[origin.address()]);
    eventually("it has tried twice", || {
        withdrawn.figure("rushlane_relay_parent_dials_total") >= 2.0
    })
    .await;
    assert!(!withdrawn.puller.as_ref().unwrap().is_connected());
    assert!(
        before.puller.as_ref().unwrap().is_connected(),
        "links that stand stay"
    );
    let puller = withdrawn.puller.as_ref().unwrap();
    puller.reload(&identity, &[new.certificate()]).unwrap();
    eventually("it has a new one", || puller.is_connected()).await;
}
