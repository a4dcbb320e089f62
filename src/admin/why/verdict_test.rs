use super::*;
use crate::admin::why::room::Room;
use crate::admin::why::witness::{Child, Ingest, Testimony};
use crate::delivery::Viewers;
use crate::telemetry::Spread;

const NOW_US: i64 = 1_700_000_000_000_000;

/// A usual second, in microseconds: lateness, and in turn wait and link of each hop, edge, queue.
const USUAL: [i64; 7] = [8000, 300, 12_000, 200, 9000, 1500, 0];

/// A room two hops down that was fine for a minute.
struct Scene {
    room: Room,
    above: Option<Vec<Testimony>>,
    own: Testimony,
}

fn second(us: i64) -> Spread {
    let mut spread = Spread::default();
    (0..30).for_each(|_| spread.add(us));
    spread
}

fn node(name: &str, child: &str) -> Testimony {
    Testimony {
        node: name.into(),
        lag_ms: 1.5,
        usual_lag_ms: 1.5,
        children: vec![Child {
            node: child.into(),
            rtt_ms: 20.0,
            lost_per_second: 0.0,
        }],
        ..Testimony::default()
    }
}

impl Scene {
    fn new() -> Self {
        let mut origin = node("origin-1", "relay-1");
        origin.ingest = Some(Ingest {
            frames_per_second: 30.0,
            ..Ingest::default()
        });
        let mut room = Room::default();
        room.heard_us = Some(NOW_US - 20_000);
        room.waits.resize_with(2, Default::default);
        room.links.resize_with(2, Default::default);
        let mut scene = Self {
            room,
            above: Some(vec![origin, node("relay-1", "edge-1")]),
            own: node("edge-1", ""),
        };
        (0..60).for_each(|_| scene.step(USUAL));
        scene
    }

    /// Three seconds that differ from usual ones in what stands at some places.
    fn suffer(&mut self, faults: &[(usize, i64)]) {
        let mut us = USUAL;
        faults.iter().for_each(|(place, time)| us[*place] = *time);
        (0..3).for_each(|_| self.step(us));
    }

    fn step(&mut self, us: [i64; 7]) {
        let [late, wait0, link0, wait1, link1, edge, queue] = us.map(second);
        let room = &mut self.room;
        room.late.step(late);
        room.waits[0].step(wait0);
        room.links[0].step(link0);
        room.waits[1].step(wait1);
        room.links[1].step(link1);
        room.edge.step(edge);
        room.queue.step(queue);
    }

    fn verdict(&self) -> (State, Option<Place>, String) {
        let evidence = Evidence {
            room: &self.room,
            above: self.above.as_deref(),
            own: &self.own,
            parents: &[],
            viewers: Viewers { hls: 3, flv: 10 },
        };
        let hops = crate::admin::why::hops::waterfall(&evidence);
        let verdict = judge(&evidence, &hops, NOW_US);
        let marked = marked(hops, &verdict);
        let bad = marked.iter().filter(|hop| hop.bad).count();
        assert_eq!(bad, usize::from(verdict.hop.is_some()), "{verdict:?}");
        (verdict.state, verdict.hop, verdict.at.unwrap_or_default())
    }
}

#[test]
fn a_usual_minute_is_fine() {
    let scene = Scene::new();
    assert_eq!(scene.verdict(), (State::Fine, None, String::new()));
}

#[test]
fn each_hop_is_named_when_it_alone_is_late() {
    let table = [
        (0, 500_000, Place::Host, "host → origin-1"),
        (1, 200_000, Place::Origin, "origin-1"),
        (2, 160_000, Place::Relay, "origin-1 → relay-1"),
        (3, 90_000, Place::Node, "relay-1"),
        (4, 80_000, Place::Relay, "relay-1 → edge-1"),
        (5, 130_000, Place::Edge, "edge-1"),
        (6, 1_500_000, Place::LastMile, "edge-1 → viewers"),
    ];
    for (index, us, place, at) in table {
        let mut scene = Scene::new();
        scene.suffer(&[(index, us)]);
        assert_eq!(scene.verdict(), (State::Slow, Some(place), at.into()));
    }
}

#[test]
fn a_host_that_pauses_and_a_thin_uplink_differ_at_the_origins_socket() {
    let mut scene = Scene::new();
    scene.suffer(&[(0, 900_000), (6, 60_000)]);
    let ingest = |scene: &mut Scene, cut_short, silent| {
        let origin = &mut scene.above.as_mut().unwrap()[0];
        origin.ingest = Some(Ingest {
            cut_short,
            silent,
            ..Ingest::default()
        });
    };
    ingest(&mut scene, 0.9, 0.0);
    assert_eq!(scene.verdict().1, Some(Place::Uplink));
    ingest(&mut scene, 0.02, 0.4);
    assert_eq!(scene.verdict().1, Some(Place::Host));
}

#[test]
fn a_node_that_stands_still_explains_the_legs_beside_it() {
    let mut scene = Scene::new();
    // The origin stops for 400 ms again and again: frames seem late at ingest and on its link.
    scene.suffer(&[(0, 380_000), (1, 4000), (2, 300_000)]);
    scene.above.as_mut().unwrap()[0].lag_ms = 370.0;
    assert_eq!(scene.verdict().1, Some(Place::Origin));

    let mut scene = Scene::new();
    // So does this edge: frames seem late on the link to it.
    scene.suffer(&[(4, 380_000), (5, 5000)]);
    scene.own.lag_ms = 350.0;
    assert_eq!(scene.verdict().1, Some(Place::Edge));
}

#[test]
fn what_waits_before_a_lossy_link_waits_for_the_link() {
    let mut scene = Scene::new();
    scene.suffer(&[(1, 120_000), (2, 90_000)]);
    scene.above.as_mut().unwrap()[0].children[0].lost_per_second = 12.0;
    assert_eq!(scene.verdict().1, Some(Place::Relay));
}

#[test]
fn silence_is_the_hosts_when_the_origin_says_so() {
    let mut scene = Scene::new();
    scene.room.heard_us = Some(NOW_US - 3_000_000);
    let silent = scene.verdict();
    assert_eq!((silent.0, silent.1), (State::Silent, Some(Place::Relay)));
    scene.room.gaps = 4;
    assert_eq!(scene.verdict().1, Some(Place::Host));
    scene.own.lag_ms = 2000.0;
    assert_eq!(scene.verdict().1, Some(Place::Edge));
    scene.room.heard_us = None;
    assert_eq!(scene.verdict().0, State::Unknown);
}
