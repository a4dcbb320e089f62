//! A room's events: data tracks of few, small frames, in groups that may stand open for long.

use std::time::Duration;

use bytes::Bytes;

use crate::live::broadcast::Consumer;
use crate::live::track::{Event, GroupProducer, Producer, Reader, Start};
use crate::live::{Store, broadcast};
use crate::media::broadcast::{Info, Kind as Holds, Profile};
use crate::media::frame::{Flags, Stamps};
use crate::media::group::{Head, Id};
use crate::media::track::{Info as TrackInfo, Kind};
use crate::media::{Class, Frame, RoomName};
use crate::net::tls::Authority;
use crate::relay::tests::netem::Proxy;
use crate::relay::tests::peers::*;

/// The events of the room `demo`, with one track.
pub(super) struct Events {
    broadcast: broadcast::Producer,
    track: Producer,
}

impl Events {
    pub(super) fn new(store: &Store, class: Class) -> Self {
        let info = Info {
            room: RoomName::parse("demo").unwrap(),
            kind: Holds::Events,
            epoch: "e1".into(),
            started_us: 0,
            timing: Profile::Low.timing(),
        };
        let broadcast = store.publish(info).unwrap();
        let track = broadcast.create_track(data("c", class)).unwrap();
        Self { broadcast, track }
    }

    /// Opens the group that begins with an event at `ms`.
    pub(super) fn open(&self, id: u64, ms: i64) -> GroupProducer {
        let head = Head {
            id: Id(id),
            discontinuities: 0,
            init_id: 0,
            init: Bytes::new(),
            wall_us: ms * 1000,
            dts: ms,
            independent: true,
        };
        let group = self.track.group(head).unwrap();
        group.append(event(ms, 100));
        group
    }
}

fn data(name: &str, class: Class) -> TrackInfo {
    TrackInfo {
        name: name.into(),
        kind: Kind::Data(class),
        timescale: 1000,
    }
}

pub(super) fn event(ms: i64, bytes: usize) -> Frame {
    Frame {
        dts: ms,
        composition: 0,
        duration: 0,
        flags: Flags::KEY,
        stamps: Stamps::default(),
        payload: vec![b'e'; bytes].into(),
    }
}

/// Events as a short text: `g3` group, `7` frame at 7 ms, `.` group end, `!` skipped.
fn short(events: &[Event]) -> String {
    let one = |event: &Event| match event {
        Event::Group(head) => format!("g{}", head.id),
        Event::Frame(frame) => frame.dts.to_string(),
        Event::GroupEnd => ".".into(),
        Event::Skipped => "!".into(),
        Event::Ended => "$".into(),
    };
    events.iter().map(one).collect::<Vec<_>>().join(" ")
}

async fn next(reader: &mut Reader, count: usize) -> String {
    short(&read(reader, count).await)
}

/// A reader of the whole window on `node`, once the room is here.
pub(super) async fn reader(node: &Node) -> Reader {
    let found = || node.store().events("demo").as_ref().and_then(track);
    eventually("the events are announced", || found().is_some()).await;
    found().unwrap().read_from(Start::Oldest)
}

fn track(events: &Consumer) -> Option<crate::live::track::Consumer> {
    events.track("c")
}

/// Origin, middle and leaf.
async fn two_hops(authority: &Authority) -> [Node; 3] {
    let origin = Node::new("origin", authority).serve();
    let middle = Node::new("middle", authority)
        .serve()
        .pull(&[origin.address()]);
    let leaf = Node::new("leaf", authority).pull(&[middle.address()]);
    [origin, middle, leaf]
}

#[tokio::test]
async fn show_and_events_of_a_room_travel_side_by_side() {
    let authority = Authority::create("test");
    let [origin, _middle, leaf] = two_hops(&authority).await;
    let events = Events::new(origin.store(), Class::Program);
    let show = Show::new(origin.store(), "demo", "e1");
    show.whole(0, 1, 100);
    let _open = events.open(0, 0);
    let mut pictures = leaf.reader("demo", "video", Start::Oldest).await;
    assert_eq!(text(&read(&mut pictures, 3).await), "g0 0.0 .");
    let mut cards = reader(&leaf).await;
    assert_eq!(next(&mut cards, 2).await, "g0 0");
    let kind = cards.info().kind;
    assert_eq!(kind, Kind::Data(Class::Program));
    drop(show);
    eventually("the show is over", || leaf.store().room("demo").is_none()).await;
    assert!(leaf.store().events("demo").is_some());
    assert_eq!(events.broadcast.info().kind, Holds::Events);
}

#[tokio::test]
async fn track_without_an_event_is_waited_for() {
    let authority = Authority::create("test");
    let [origin, _middle, leaf] = two_hops(&authority).await;
    let events = Events::new(origin.store(), Class::Order);
    let mut reader = reader(&leaf).await;
    eventually("the origin has the subscription", || {
        origin.figure("rushlane_relay_served_subscriptions") == 1.0
    })
    .await;
    let group = events.open(0, 5);
    assert_eq!(next(&mut reader, 2).await, "g0 5");
    group.append(event(6, 10));
    group.append(event(7, 10));
    assert_eq!(next(&mut reader, 2).await, "6 7");
}

#[tokio::test]
async fn late_reader_gets_the_whole_window_with_its_open_group() {
    let authority = Authority::create("test");
    let [origin, _middle, leaf] = two_hops(&authority).await;
    for class in [Class::Order, Class::Comment] {
        let events = Events::new(origin.store(), class);
        for id in 0..20 {
            events.open(id, id.cast_signed() * 2000).finish();
        }
        let open = events.open(20, 40_000);
        let mut reader = reader(&leaf).await;
        let expect: Vec<_> = (0..20).map(|id| format!("g{id} {} .", id * 2000)).collect();
        let expect = format!("{} g20 40000", expect.join(" "));
        assert_eq!(next(&mut reader, 20 * 3 + 2).await, expect);
        open.append(event(100_000, 10));
        assert_eq!(
            next(&mut reader, 1).await,
            "100000",
            "it stood open for a minute"
        );
        drop((events, reader));
        eventually("the room is gone", || leaf.store().events("demo").is_none()).await;
    }
}

/// Writes groups while nothing passes between `origin` and a child, and returns what a reader of
/// `class` gets then.
async fn after_a_standstill(class: Class) -> (String, f64) {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let events = Events::new(origin.store(), class);
    events.open(0, 0).finish();
    let proxy = Proxy::start(origin.address(), 0, Duration::ZERO, &origin.scope).await;
    let edge = Node::new("edge", &authority).pull(&[proxy.address]);
    let mut reader = reader(&edge).await;
    assert_eq!(next(&mut reader, 3).await, "g0 0 .");
    proxy.hold();
    for id in 1..=8 {
        events.open(id, id.cast_signed() * 2000).finish();
        let sent = || origin.figure("rushlane_relay_frames_sent_total");
        eventually("it begins while it is the newest", || {
            sent() == (id + 1) as f64
        })
        .await;
    }
    proxy.release();
    let mut got = Vec::new();
    while !short(&got).ends_with("g8 16000 .") {
        got.extend(read(&mut reader, 1).await);
    }
    (
        short(&got),
        origin.figure("rushlane_relay_groups_dropped_total"),
    )
}

#[tokio::test]
async fn events_that_may_not_be_missing_outlast_a_standstill() {
    let expect: Vec<_> = (1..=8).map(|id| format!("g{id} {} .", id * 2000)).collect();
    for class in [Class::Order, Class::Program] {
        let (got, dropped) = after_a_standstill(class).await;
        assert_eq!(got, expect.join(" "));
        assert_eq!(dropped, 0.0);
    }
}

#[tokio::test]
async fn totals_that_are_late_are_left_out() {
    let (got, dropped) = after_a_standstill(Class::Total).await;
    assert!(got.contains('!'), "{got}");
    assert!(dropped >= 1.0);
}

#[tokio::test]
async fn lossy_link_delivers_every_event() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let events = Events::new(origin.store(), Class::Order);
    let delay = Duration::from_millis(2);
    let proxy = Proxy::start(origin.address(), 50, delay, &origin.scope).await;
    let edge = Node::new("edge", &authority).pull(&[proxy.address]);
    let mut reader = reader(&edge).await;
    for id in 0..25 {
        let group = events.open(id, id.cast_signed() * 2000);
        for more in 1..10 {
            group.append(event(id.cast_signed() * 2000 + more, 300));
        }
        group.finish();
    }
    let got = frames(&read(&mut reader, 25 * 12).await);
    let times: Vec<i64> = got.iter().map(|frame| frame.dts).collect();
    let expect: Vec<i64> = (0..25)
        .flat_map(|id| (0..10).map(move |at| id * 2000 + at))
        .collect();
    assert_eq!(times, expect);
}

#[tokio::test]
async fn track_is_held_while_read_and_lingers_like_any_other() {
    let authority = Authority::create("test");
    let origin = Node::new("origin", &authority).serve();
    let events = Events::new(origin.store(), Class::Program);
    let group = events.open(0, 0);
    let edge = Node::new("edge", &authority).pull(&[origin.address()]);
    let mut held = reader(&edge).await;
    assert_eq!(next(&mut held, 2).await, "g0 0");
    drop(reader(&edge).await);
    group.append(event(90_000, 10));
    assert_eq!(next(&mut held, 1).await, "90000");
    drop(held);
    let subscriptions = || origin.figure("rushlane_relay_served_subscriptions");
    assert_eq!(subscriptions(), 1.0);
    eventually("it is dropped after the linger", || subscriptions() == 0.0).await;
}
