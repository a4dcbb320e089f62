//! Bad links, bad peers and lost parents.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::live::track::Start;
use crate::media::group::Id;
use crate::net::tls::Authority;
use crate::relay::error::{CLOSE_PROTOCOL, CLOSE_STUCK};
use crate::relay::tests::netem::Proxy;
use crate::relay::tests::peers::*;
use crate::relay::tests::stranger::Stranger;
use crate::relay::wire::control::Message;

#[tokio::test]
async fn child_that_reads_no_frames_loses_groups_and_its_sibling_none() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 1, 1000);
    let mut slow = Stranger::dial_narrow(&origin, &authority, 1 << 16, 1 << 24).await;
    slow.subscribe().await;
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
    for id in 1..=10 {
        show.whole(id, 1, 1 << 20);
        let expect = format!("g{id} {id}.0 .");
        assert_eq!(text(&read(&mut reader, 3).await), expect);
    }
    let missing = |group| Message::Missing {
        subscription: 1,
        group: Id(group),
    };
    for group in 1..=7 {
        let message = tokio::time::timeout(PATIENCE, slow.reader.next()).await;
        assert_eq!(
            message.expect("late groups are given up").unwrap(),
            missing(group)
        );
    }
}

#[tokio::test]
async fn child_that_reads_nothing_at_all_is_closed() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 1, 1000);
    let mut stuck = Stranger::dial_narrow(&origin, &authority, 1 << 13, 1 << 13).await;
    stuck.subscribe().await;
    let closed = tokio::time::timeout(PATIENCE, async {
        for id in 1.. {
            // Groups that fit fill the window and stay; what is left fills with control messages.
            show.whole(id, 1, 100);
            let step = Duration::from_millis(5);
            if let Ok(closed) = tokio::time::timeout(step, stuck.connection.closed()).await {
                return closed;
            }
        }
        unreachable!("the loop has no end of its own")
    })
    .await;
    let Ok(quinn::ConnectionError::ApplicationClosed(close)) = closed else {
        panic!("not closed by the parent: {closed:?}");
    };
    assert_eq!(close.error_code, CLOSE_STUCK);
}

#[tokio::test]
async fn stranger_without_our_certificate_is_refused() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let other = Authority::create("other");
    let refused = match Stranger::connect(&origin, &other).await {
        // TLS 1.3: the server looks at the certificate after the client is done.
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    };
    assert!(
        matches!(refused, quinn::ConnectionError::ConnectionClosed(_)),
        "{refused:?}"
    );
    eventually("it is counted", || {
        origin.figure("rushlane_relay_children_refused_total") == 1.0
    })
    .await;
    assert!(origin.server.as_ref().unwrap().status().is_empty());
}

#[tokio::test]
async fn child_does_not_trust_a_strange_parent() {
    let authority = Authority::create("test");
    let other = Authority::create("other");
    let impostor = Node::new("impostor", &other).serve();
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 1, 10);
    let edge = Node::new("edge", &authority).pull(&[impostor.address(), origin.address()]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
    let puller = edge.puller.as_ref().unwrap();
    assert_eq!(&*puller.status()[0].peer, "origin");
}

#[tokio::test]
async fn noise_closes_only_its_own_connection() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    let noises: [&'static [u8]; 3] = [
        &[0xff; 64],
        // A hello with an empty name, and a pong, which only parents send.
        &[1, 2, 1, 0],
        &[
            11, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
    ];
    for noise in noises {
        let mut stranger = Stranger::dial(&origin, &authority).await;
        let noise = Bytes::from_static(noise);
        stranger.send.write_chunk(noise).await.unwrap();
        let quinn::ConnectionError::ApplicationClosed(close) = stranger.connection.closed().await
        else {
            panic!("not closed by the parent");
        };
        assert_eq!(close.error_code, CLOSE_PROTOCOL);
    }
    show.whole(0, 1, 10);
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
}

#[tokio::test]
async fn children_beyond_the_limit_are_refused() {
    let authority = Authority::create("test");
    let mut origin = Node::new("origin", &authority);
    let mut few = config(&[]);
    few.children_max = 1;
    origin.serve_with(&few);
    let _first = Stranger::dial(&origin, &authority).await;
    assert!(Stranger::connect(&origin, &authority).await.is_err());
}

#[tokio::test]
async fn own_parent_is_refused() {
    let authority = Authority::create("test");
    let node = Node::new("loop", &authority).serve();
    let address = node.address();
    let node = node.pull(&[address]);
    eventually("it was tried twice", || {
        node.figure("rushlane_relay_parent_dials_total") >= 2.0
    })
    .await;
    assert!(!node.puller.as_ref().unwrap().is_connected());
}

#[tokio::test]
async fn lossy_link_delivers_every_frame() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    let delay = Duration::from_millis(2);
    let proxy = Proxy::start(origin.address(), 50, delay, &origin.scope).await;
    let edge = Node::new("edge", &authority).pull(&[proxy.address]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    for id in 0..5 {
        show.whole(id, 20, 2000);
    }
    let events = read(&mut reader, 5 * 22).await;
    let expect: Vec<_> = (0..5)
        .map(|id| {
            let frames: Vec<_> = (0..20).map(|index| format!("{id}.{index}")).collect();
            format!("g{id} {} .", frames.join(" "))
        })
        .collect();
    assert_eq!(text(&events), expect.join(" "));
    let status = edge.puller.as_ref().unwrap().status();
    assert_eq!(status[0].subscriptions, 1);
    eventually("the clocks are compared", || {
        edge.puller.as_ref().unwrap().status()[0]
            .offset_us
            .is_some()
    })
    .await;
}

#[tokio::test]
async fn next_parent_takes_over_where_the_first_fell_silent() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let second = Node::new("second", &authority)
        .serve()
        .pull(&[origin.address()]);
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 2, 1000);
    let group = show.open(1, 2, 1000);
    let proxy = Proxy::start(origin.address(), 0, Duration::ZERO, &origin.scope).await;
    let edge = Node::new("edge", &authority).pull(&[proxy.address, second.address()]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    assert_eq!(text(&read(&mut reader, 7).await), "g0 0.0 0.1 . g1 1.0 1.1");
    proxy.cut();
    group.append(frame(1, 2, 1000));
    group.finish();
    let late = text(&read(&mut reader, 2).await);
    assert_eq!(late, "1.2 .");
    assert_eq!(&*edge.puller.as_ref().unwrap().status()[0].peer, "second");
}

#[tokio::test]
async fn orphaned_rooms_end_when_no_parent_comes_back() {
    let authority = Authority::create("test");
    let mut origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 1, 10);
    let mut edge = Node::new("edge", &authority);
    let mut short = config(&[origin.address()]);
    short.orphan_seconds = 1;
    edge.pull_with(&short);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
    origin.stop().await;
    assert_eq!(text(&read(&mut reader, 1).await), "$");
    assert!(edge.store().room("demo").is_none());
    assert!(edge.store().has_ended("demo", "e1"));
}

#[tokio::test]
async fn room_published_here_is_not_taken_over_until_it_ends() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let own = Show::new(edge.store(), "demo", "own");
    let theirs = Show::new(origin.store(), "demo", "theirs");
    theirs.whole(0, 1, 10);
    let other = Show::new(origin.store(), "other", "e1");
    other.whole(0, 1, 10);
    edge.reader("other", "video", Start::Oldest).await;
    assert_eq!(&*edge.store().room("demo").unwrap().info().epoch, "own");
    drop(own);
    eventually("the parent's show comes in", || {
        let room = edge.store().room("demo");
        room.is_some_and(|room| Arc::<str>::from("theirs") == room.info().epoch)
    })
    .await;
}
