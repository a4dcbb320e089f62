//! Frames flow: backfill, live, two hops, demand, fetches, resumption.

use crate::live::FetchError;
use crate::live::track::Start;
use crate::media::group::Id;
use crate::net::tls::Authority;
use crate::relay::tests::peers::*;

#[tokio::test]
async fn cold_child_gets_the_window_then_live_frames() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    for id in 3..6 {
        show.whole(id, 2, 5000);
    }
    let live = show.open(6, 1, 100);
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    let events = read(&mut reader, 3 * 4 + 2).await;
    assert_eq!(
        text(&events),
        "g3 3.0 3.1 . g4 4.0 4.1 . g5 5.0 5.1 . g6 6.0"
    );
    live.append(frame(6, 1, 100));
    live.finish();
    show.whole(7, 1, 100);
    assert_eq!(text(&read(&mut reader, 5).await), "6.1 . g7 7.0 .");
    let broadcast = edge.store().room("demo").unwrap();
    assert_eq!(broadcast.info(), show.broadcast.info());
}

#[tokio::test]
async fn two_hops_carry_the_same_bytes_and_two_stamps() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    for id in 0..5 {
        show.whole(id, 3, 40_000);
    }
    let middle = Node::new("middle", &authority)
        .serve()
        .pull(&[origin.address()]);
    let leaf = Node::new("leaf", &authority).pull(&[middle.address()]);
    let mut reader = leaf.reader("demo", "video", Start::Oldest).await;
    let events = read(&mut reader, 5 * 5).await;
    let ours = frames(&events);
    let mut reader = origin.reader("demo", "video", Start::Oldest).await;
    let theirs = frames(&read(&mut reader, 5 * 5).await);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let mut copy = (**ours).clone();
        assert_eq!(copy.stamps.hops.len(), 2);
        assert!(copy.stamps.hops.iter().all(|hop| hop.sent_us > 0));
        copy.stamps.hops.clear();
        assert_eq!(&copy, &**theirs);
    }
    drop(show);
    eventually("the leaf hears of the end", || {
        leaf.store().room("demo").is_none()
    })
    .await;
}

#[tokio::test]
async fn many_readers_cost_one_subscription_which_ends_after_the_linger() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 10, 1000);
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(edge.reader("demo", "video", Start::Oldest).await);
    }
    for reader in &mut readers {
        read(reader, 12).await;
    }
    let received = r#"rushlane_relay_frames_received_total{room="demo",track="video"}"#;
    assert_eq!(edge.figure(received), 10.0);
    assert_eq!(origin.figure("rushlane_relay_served_subscriptions"), 1.0);
    readers.clear();
    eventually("the subscription is dropped", || {
        origin.figure("rushlane_relay_served_subscriptions") == 0.0
    })
    .await;
    let track = edge.store().room("demo").unwrap().track("video").unwrap();
    eventually("the ring is empty", || track.status().groups == 0).await;
    let mut reader = track.read_from(Start::Oldest);
    read(&mut reader, 12).await;
    assert_eq!(edge.figure(received), 20.0);
}

#[tokio::test]
async fn unwatched_and_unknown_rooms_cost_nothing() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 1, 1000);
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    eventually("the room is announced", || {
        edge.store().room("demo").is_some()
    })
    .await;
    assert!(edge.store().room("nowhere").is_none());
    assert_eq!(origin.figure("rushlane_relay_frames_sent_total"), 0.0);
    assert_eq!(origin.figure("rushlane_relay_served_subscriptions"), 0.0);
}

#[tokio::test]
async fn tracks_rooms_and_epochs_follow_the_parent() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let show = Show::new(origin.store(), "demo", "e1");
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    let rendition = crate::media::track::Info {
        name: "720p".into(),
        ..video()
    };
    let _rendition = show.broadcast.create_track(rendition).unwrap();
    edge.reader("demo", "720p", Start::Oldest).await;
    show.whole(0, 1, 100);
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
    show.broadcast.end();
    let old = edge.store().room("demo").unwrap();
    eventually("the end is told", || old.is_ended()).await;
    drop(show);
    let show = Show::new(origin.store(), "demo", "e2");
    show.whole(0, 1, 100);
    assert_eq!(text(&read(&mut reader, 1).await), "$");
    eventually("the next show takes the room", || {
        let room = edge.store().room("demo");
        room.is_some_and(|room| &*room.info().epoch == "e2")
    })
    .await;
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
}

#[tokio::test]
async fn older_groups_are_fetched_over_two_hops() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(4, 3, 30_000);
    let middle = Node::new("middle", &authority)
        .serve()
        .pull(&[origin.address()]);
    let leaf = Node::new("leaf", &authority).pull(&[middle.address()]);
    eventually("the room is announced", || {
        leaf.store()
            .room("demo")
            .is_some_and(|room| room.track("video").is_some())
    })
    .await;
    let broadcast = leaf.store().room("demo").unwrap();
    let group = leaf
        .store()
        .fetch(&broadcast, "video", Id(4))
        .await
        .unwrap();
    assert_eq!(*group.head, head(4));
    assert_eq!(group.frames.len(), 3);
    assert_eq!(group.frames[2].payload, frame(4, 2, 30_000).payload);
    assert_eq!(group.frames[0].stamps.hops.len(), 2);
    let missing = leaf.store().fetch(&broadcast, "video", Id(99)).await;
    assert_eq!(missing.unwrap_err(), FetchError::NotFound(Id(99)));
}

#[tokio::test]
async fn restarted_parent_is_taken_up_at_the_very_frame() {
    let authority = Authority::create("test");
    let mut origin = Node::new("origin", &authority).serve();
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 2, 1000);
    let group = show.open(1, 2, 1000);
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    assert_eq!(text(&read(&mut reader, 7).await), "g0 0.0 0.1 . g1 1.0 1.1");
    origin.stop().await;
    eventually("the loss is noticed", || {
        !edge.puller.as_ref().unwrap().is_connected()
    })
    .await;
    group.append(frame(1, 2, 1000));
    origin.start_again().await;
    group.append(frame(1, 3, 1000));
    group.finish();
    show.whole(2, 1, 100);
    assert_eq!(text(&read(&mut reader, 6).await), "1.2 1.3 . g2 2.0 .");
    let received = r#"rushlane_relay_frames_received_total{room="demo",track="video"}"#;
    assert_eq!(edge.figure(received), 7.0, "no frame came twice");
}
