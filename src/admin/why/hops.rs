//! The waterfall: each leg of a frame's way, now and as it usually is.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::admin::why::course::Course;
use crate::admin::why::room::Room;
use crate::admin::why::witness::{Child, Testimony};
use crate::delivery::Viewers;
use crate::relay;
use crate::telemetry::Quantiles;

/// FLV viewers that lag by more than this are slow.
const SLOW_US: u64 = 500_000;

/// Lag of a node's tasks that is no news, in milliseconds.
const LAG_MS: f64 = 20.0;

/// A place on the way that can be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// The host's machine or encoder.
    Host,
    /// The host's network.
    Uplink,
    /// The origin.
    Origin,
    /// A link of the relay.
    Relay,
    /// A node in the middle.
    Node,
    /// The node that viewers are at: this one.
    Edge,
    /// From there to the viewers.
    LastMile,
}

/// One leg.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Hop {
    pub(super) hop: Place,
    /// The node, or the two ends of the link.
    pub(super) at: String,
    /// What is measured.
    pub(super) what: &'static str,
    pub(super) now: Option<Times>,
    pub(super) baseline: Option<Times>,
    /// What 95 of 100 frames take longer than usual, without what other hops explain.
    pub(super) excess_ms: f64,
    /// How far the clocks of the two ends may be apart.
    pub(super) uncertainty_ms: Option<f64>,
    pub(super) bad: bool,
    pub(super) signals: BTreeMap<&'static str, f64>,
}

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Times {
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) samples: u64,
}

/// All that is known.
pub(super) struct Evidence<'a> {
    pub(super) room: &'a Room,
    /// The nodes above, the origin first; `None` when they do not answer.
    pub(super) above: Option<&'a [Testimony]>,
    pub(super) own: &'a Testimony,
    pub(super) parents: &'a [relay::Status],
    pub(super) viewers: Viewers,
}

impl From<Quantiles> for Times {
    fn from(quantiles: Quantiles) -> Self {
        let ms = |us: u64| us as f64 / 1000.0;
        Self {
            p50_ms: ms(quantiles.p50_us),
            p95_ms: ms(quantiles.p95_us),
            p99_ms: ms(quantiles.p99_us),
            samples: quantiles.samples,
        }
    }
}

impl Hop {
    /// A leg; `typical_ms` is what 95 of 100 frames take while nothing usual is known.
    fn of(hop: Place, at: String, what: &'static str, course: &Course, typical_ms: f64) -> Self {
        let now = course.recent().quantiles().map(Times::from);
        let baseline = course.baseline().map(Times::from);
        let usual_ms = baseline.map_or(typical_ms, |usual| usual.p95_ms);
        let excess_ms = now.map_or(0.0, |now| (now.p95_ms - usual_ms).max(0.0));
        Self {
            hop,
            at,
            what,
            now,
            baseline,
            excess_ms,
            uncertainty_ms: None,
            bad: false,
            signals: BTreeMap::new(),
        }
    }

    fn without(mut self, explained_ms: f64) -> Self {
        self.excess_ms = (self.excess_ms - explained_ms).max(0.0);
        self
    }

    fn signal(&mut self, key: &'static str, value: f64) {
        self.signals.insert(key, value);
    }

    /// A node that runs late is at fault even while few frames wait in it.
    fn lagging(mut self, node: Option<&Testimony>) -> Self {
        if let Some(node) = node {
            self.signal("lag_ms", node.lag_ms);
            self.excess_ms = self.excess_ms.max(lag_ms(Some(node)));
        }
        self
    }
}

/// The legs from the host to the viewers.
///
/// A node that stands still delays what comes in, what it holds and what goes out: its lag is taken
/// off the legs on both sides of it before they are judged.
pub(super) fn waterfall(evidence: &Evidence<'_>) -> Vec<Hop> {
    let mut hops = vec![host(evidence)];
    for index in 0..evidence.links() {
        hops.extend(node_and_link(evidence, index));
    }
    let what = "from arrival to viewers' sockets";
    let (own, course) = (evidence.own, &evidence.room.edge);
    let edge = Hop::of(Place::Edge, own.node.clone(), what, course, 60.0);
    hops.push(edge.lagging(Some(own)));
    hops.push(last_mile(evidence));
    hops
}

fn host(evidence: &Evidence<'_>) -> Hop {
    let at = format!("host → {}", evidence.name(0));
    let what = "lateness against its own timestamps";
    let mut host = Hop::of(Place::Host, at, what, &evidence.room.late, 60.0);
    if let Some(ingest) = evidence.node(0).and_then(|origin| origin.ingest) {
        host.signal("cut_short", ingest.cut_short);
        host.signal("silent", ingest.silent);
        host.signal("frames_per_second", ingest.frames_per_second);
    }
    host.without(evidence.lag_ms(0))
}

/// A node that sends frames on, and its link to the next one.
fn node_and_link(evidence: &Evidence<'_>, index: usize) -> [Hop; 2] {
    let room = evidence.room;
    let (from, to) = (evidence.name(index), evidence.name(index + 1));
    let place = match index {
        0 => Place::Origin,
        _ => Place::Node,
    };
    let what = "wait from arrival to sending";
    let mut node = Hop::of(place, from.clone(), what, &room.waits[index], 20.0);
    node = node.lagging(evidence.node(index));
    let course = &room.links[index];
    let median_ms = course.recent().quantile(0.5).unwrap_or(0) as f64 / 1000.0;
    let at = format!("{from} → {to}");
    let mut link = Hop::of(
        Place::Relay,
        at,
        "time on the link",
        course,
        median_ms + 30.0,
    );
    link = link.without(evidence.lag_ms(index).max(evidence.lag_ms(index + 1)));
    let child = evidence.node(index).and_then(|node| child_of(node, &to));
    if let Some(child) = child {
        link.signal("rtt_ms", child.rtt_ms);
        link.signal("lost_per_second", child.lost_per_second);
        if child.lost_per_second > 1.0 && evidence.lag_ms(index) < LAG_MS {
            // What waits at the sender waits for the link.
            link.excess_ms += std::mem::take(&mut node.excess_ms);
        }
    }
    link.uncertainty_ms = evidence.uncertainty_ms(index);
    let negative_us = room.negative_us.get(index).copied().unwrap_or(0);
    if negative_us > 0 {
        link.signal("negative_ms", negative_us as f64 / 1000.0);
    }
    [node, link]
}

fn last_mile(evidence: &Evidence<'_>) -> Hop {
    let room = evidence.room;
    let at = format!("{} → viewers", evidence.own.node);
    let of = |what, course| Hop::of(Place::LastMile, at.clone(), what, course, 100.0);
    let queue = of("HTTP-FLV: lag of what viewers have taken", &room.queue);
    let delivery = of("HLS: time to hand over an object", &room.delivery);
    let p95_ms = |hop: &Hop| hop.now.map_or(0.0, |now| now.p95_ms);
    let (queue_ms, delivery_ms) = (p95_ms(&queue), p95_ms(&delivery));
    let mut hop = match queue.excess_ms >= delivery.excess_ms && queue.now.is_some() {
        true => queue,
        false => delivery,
    };
    hop.signal("flv_queue_p95_ms", queue_ms);
    hop.signal("hls_delivery_p95_ms", delivery_ms);
    hop.signals
        .insert("slow_viewers", slow(room, evidence.viewers) as f64);
    let (first, last) = (room.players.front(), room.players.back());
    if let (Some(first), Some(last)) = (first, last)
        && last.0 > first.0
    {
        let starved = (last.1 - first.1) as f64 / (last.0 - first.0) as f64;
        hop.signals.insert("starved_share", starved);
    }
    hop
}

/// FLV viewers that lag by more than half a second.
pub(super) fn slow(room: &Room, viewers: Viewers) -> u64 {
    let queue = room.queue.recent();
    if queue.total() == 0 {
        return 0;
    }
    let share = queue.above(SLOW_US) as f64 / queue.total() as f64;
    (share * viewers.flv as f64).round() as u64
}

impl Evidence<'_> {
    /// How many links the frames have come over.
    pub(super) fn links(&self) -> usize {
        self.room.links.len()
    }

    /// The node of this number, 0 the origin; the one after the last link is this one.
    pub(super) fn node(&self, index: usize) -> Option<&Testimony> {
        if index >= self.links() {
            return Some(self.own);
        }
        let above = self.above?;
        // Told of another way than the frames came: names would be wrong.
        (above.len() == self.links())
            .then(|| above.get(index))
            .flatten()
    }

    fn name(&self, index: usize) -> String {
        match (self.node(index), index) {
            (Some(node), _) => node.node.clone(),
            (None, 0) => "origin".to_owned(),
            (None, _) => format!("node {index}"),
        }
    }

    fn lag_ms(&self, index: usize) -> f64 {
        lag_ms(self.node(index))
    }

    /// Only the estimate of this node's own link is here.
    fn uncertainty_ms(&self, index: usize) -> Option<f64> {
        if index + 1 != self.links() {
            return None;
        }
        let errors = self.parents.iter().filter_map(|link| link.offset_error_us);
        errors.max().map(|us| us as f64 / 1000.0)
    }
}

fn child_of<'a>(node: &'a Testimony, name: &str) -> Option<&'a Child> {
    node.children.iter().find(|child| child.node == name)
}

/// How much later than usual a node's tasks run, in milliseconds.
fn lag_ms(node: Option<&Testimony>) -> f64 {
    let late = node.map_or(0.0, |node| node.lag_ms - node.usual_lag_ms);
    if late < LAG_MS { 0.0 } else { late }
}
