//! Shows that are published on edges, and origins side by side.

use crate::live::track::Start;
use crate::media::RoomName;
use crate::media::broadcast::Kind;
use crate::net::tls::Authority;
use crate::relay::Config;
use crate::relay::tests::peers::*;

#[tokio::test]
async fn show_of_an_edge_travels_up_two_hops_and_down_to_others() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let middle = Node::new("middle", &authority)
        .serve()
        .pull(&[origin.address()]);
    let edge = Node::new("edge", &authority).pull(&[middle.address()]);
    let sibling = Node::new("sibling", &authority).pull(&[origin.address()]);
    let show = Show::new(edge.store(), "demo", "e1");
    let mut reader = sibling.reader("demo", "video", Start::Oldest).await;
    show.whole(0, 2, 1000);
    assert_eq!(text(&read(&mut reader, 4).await), "g0 0.0 0.1 .");
    let received = r#"rushlane_relay_frames_received_total{room="demo",track="video"}"#;
    assert_eq!(
        edge.figure(received),
        0.0,
        "it does not take its own show back"
    );
    assert_eq!(middle.figure(received), 2.0);
    assert_eq!(origin.figure(received), 2.0);
    let source = origin.puller.as_ref().unwrap().source();
    let came = source
        .rooms
        .came(&(RoomName::parse("demo").unwrap(), Kind::Show));
    let path = ["edge", "middle"].map(Into::into);
    assert_eq!(came.unwrap().path, path);
    drop(show);
    assert_eq!(text(&read(&mut reader, 1).await), "$");
    eventually("nobody has it any more", || {
        origin.store().room("demo").is_none() && middle.store().room("demo").is_none()
    })
    .await;
}

#[tokio::test]
async fn push_goes_on_over_the_next_parent() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let relay = |name| {
        Node::new(name, &authority)
            .serve()
            .pull(&[origin.address()])
    };
    let (mut first, second) = (relay("first"), relay("second"));
    let edge = Node::new("edge", &authority).pull(&[first.address(), second.address()]);
    let show = Show::new(edge.store(), "demo", "e1");
    let mut reader = origin.reader("demo", "video", Start::Oldest).await;
    let group = show.open(0, 2, 1000);
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 0.1");
    first.stop().await;
    group.append(frame(0, 2, 1000));
    group.finish();
    assert_eq!(text(&read(&mut reader, 2).await), "0.2 .");
}

#[tokio::test]
async fn origins_follow_what_is_published_beside_them_and_nothing_else() {
    let authority = Authority::create("test");
    let first = Node::new("first", &authority).serve();
    let follow = |name, beside: &Node| {
        let mut node = Node::new(name, &authority);
        let config = Config {
            peers: vec![beside.address().to_string()],
            ..config(&[])
        };
        node.serve_with(&config);
        node.puller.as_ref().unwrap().run(&node.scope);
        node
    };
    let second = follow("second", &first);
    let third = follow("third", &second);
    let show = Show::new(first.store(), "demo", "e1");
    let mut reader = second.reader("demo", "video", Start::Oldest).await;
    show.whole(0, 1, 10);
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 .");
    let own = Show::new(second.store(), "own", "e1");
    own.whole(0, 1, 10);
    third.reader("own", "video", Start::Oldest).await;
    assert!(
        third.store().room("demo").is_none(),
        "second only follows it"
    );
    let edge = Node::new("edge", &authority).pull(&[second.address()]);
    edge.reader("demo", "video", Start::Oldest).await;
}

#[tokio::test]
async fn show_that_another_origin_went_on_with_is_followed_under_the_same_broadcast() {
    let authority = Authority::create("test");
    let first = Node::new("first", &authority).serve();
    let mut second = Node::new("second", &authority);
    second.serve_with(&Config {
        peers: vec![first.address().to_string()],
        ..config(&[])
    });
    second.puller.as_ref().unwrap().run(&second.scope);
    let edge = Node::new("edge", &authority).pull(&[first.address(), second.address()]);
    let show = Show::new(first.store(), "demo", "e1");
    let mut reader = edge.reader("demo", "video", Start::Oldest).await;
    let mut beside = second.reader("demo", "video", Start::Oldest).await;
    let _half = show.open(0, 2, 1000);
    assert_eq!(text(&read(&mut reader, 3).await), "g0 0.0 0.1");
    assert_eq!(text(&read(&mut beside, 3).await), "g0 0.0 0.1");
    let followed = second.store().room("demo").unwrap();
    assert!(followed.is_followed());

    let (producer, tracks) = second.store().succeed(&followed, 1).unwrap();
    let group = tracks[0].group(head(1)).unwrap();
    group.append(frame(1, 0, 1000));
    assert_eq!(text(&read(&mut reader, 3).await), "! g1 1.0");
    let here = edge.store().room("demo").unwrap();
    eventually("the edge knows of it", || here.term() == 1).await;
    assert_eq!(text(&read(&mut beside, 3).await), ". g1 1.0");
    group.finish();

    // The first one is told, and follows in its turn.
    let mut first = first;
    let source = Config {
        peers: vec![second.address().to_string()],
        ..config(&[])
    };
    first.follow(&source);
    let own = first.store().room("demo").unwrap();
    eventually("it yields", || own.term() == 1 && own.is_followed()).await;
    assert!(show.broadcast.is_superseded());
    drop((producer, tracks));
    assert_eq!(text(&read(&mut reader, 2).await), ". $");
}
