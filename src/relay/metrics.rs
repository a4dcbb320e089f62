//! The relay's figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::media::Class;
use crate::relay::question::CLASSES;
use crate::telemetry;

const ROOM: &str = "relay";

/// Tracks that have a series of their own; the rooms of later ones are counted as `other`.
const TRACK_LABELS_MAX: usize = 1000;

/// Of the parent end.
#[derive(Debug, Default)]
pub(super) struct ServeMetrics {
    pub(super) children: Gauge,
    pub(super) refused: Counter,
    pub(super) retries: Counter,
    pub(super) subscriptions: Gauge,
    pub(super) sent_frames: Counter,
    pub(super) sent_bytes: Counter,
    pub(super) dropped_groups: Counter,
    pub(super) fetches: Counter,
    pub(super) questions_served: ByClass<Counter>,
    pub(super) questions_refused: ByClass<Counter>,
}

/// Of the child end.
#[derive(Debug, Default)]
pub(super) struct PullMetrics {
    pub(super) links: Gauge,
    switches: Family<SwitchLabels, Counter>,
    pub(super) dials: Counter,
    pub(super) subscriptions: Gauge,
    received_frames: Family<TrackLabels, Counter>,
    tracks: AtomicUsize,
    pub(super) received_bytes: Counter,
    pub(super) missed_groups: Counter,
    pub(super) fetched_groups: Counter,
    pub(super) rtt_seconds: Gauge<f64, AtomicU64>,
    pub(super) offset_seconds: Gauge<f64, AtomicU64>,
    pub(super) questions: QuestionMetrics,
}

/// Of a node's own questions, by class. What is asked is in flight, answered or failed.
#[derive(Debug, Default)]
pub(super) struct QuestionMetrics {
    pub(super) asked: ByClass<Counter>,
    pub(super) answered: ByClass<Counter>,
    pub(super) failed: ByClass<Counter>,
    pub(super) in_flight: ByClass<Gauge>,
}

/// Why a room goes over to another link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Switch {
    /// The link, or the room there, is gone.
    Lost,
    /// The parent is silent.
    Silence,
    /// Frames do not come, though another parent has them.
    Stall,
    /// The parent said goodbye.
    Goaway,
    /// Another one has gone on with the show, or fares better.
    Better,
    /// A better parent has been steady for long enough.
    Return,
}

/// Labels of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SwitchLabels {
    reason: Switch,
}

/// A figure of each class.
pub(super) type ByClass<M> = [M; CLASSES.len()];

/// Labels of a class.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: u8,
}

/// Labels of a track.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TrackLabels {
    room: String,
    track: String,
}

impl ServeMetrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Arc<Self> {
        let this = Self {
            questions_served: counters(
                metrics,
                "questions_served",
                "Questions of children that were passed on",
            ),
            questions_refused: counters(
                metrics,
                "questions_refused",
                "Questions of children that were too many",
            ),
            ..Self::default()
        };
        let gauge = |name, help, gauge: &Gauge| metrics.register(ROOM, name, help, gauge.clone());
        let counter = |name, help, counter: &Counter| {
            metrics.register(ROOM, name, help, counter.clone());
        };
        gauge("children", "Children connected", &this.children);
        gauge(
            "served_subscriptions",
            "Tracks that children pull",
            &this.subscriptions,
        );
        counter("children_refused", "Dials refused or failed", &this.refused);
        counter(
            "address_proofs",
            "Dials sent back for a proof of their address, under a flood",
            &this.retries,
        );
        counter(
            "frames_sent",
            "Frames written to children",
            &this.sent_frames,
        );
        counter(
            "sent_bytes",
            "Bytes of frames and their headers written to children",
            &this.sent_bytes,
        );
        counter(
            "groups_dropped",
            "Groups that children did not get whole",
            &this.dropped_groups,
        );
        counter("fetches_served", "Older groups asked for", &this.fetches);
        Arc::new(this)
    }
}

impl PullMetrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Arc<Self> {
        let this = Self {
            questions: QuestionMetrics::register(metrics),
            ..Self::default()
        };
        let gauge = |name, help, gauge: &Gauge| metrics.register(ROOM, name, help, gauge.clone());
        let counter = |name, help, counter: &Counter| {
            metrics.register(ROOM, name, help, counter.clone());
        };
        gauge("parent_links", "Links to parents that are up", &this.links);
        metrics.register(
            ROOM,
            "route_switches",
            "Rooms that went over to another link, by reason",
            this.switches.clone(),
        );
        gauge(
            "pulled_subscriptions",
            "Tracks pulled from the parent",
            &this.subscriptions,
        );
        counter("parent_dials", "Dials to parents", &this.dials);
        counter(
            "received_bytes",
            "Bytes of group streams",
            &this.received_bytes,
        );
        counter(
            "groups_missed",
            "Groups that did not come whole",
            &this.missed_groups,
        );
        counter(
            "groups_fetched",
            "Older groups fetched from the parent",
            &this.fetched_groups,
        );
        metrics.register(
            ROOM,
            "frames_received",
            "Frames received from the parent: one copy each, however many viewers",
            this.received_frames.clone(),
        );
        let seconds = |name, help, gauge: &Gauge<f64, AtomicU64>| {
            metrics.register(ROOM, name, help, gauge.clone());
        };
        seconds(
            "parent_rtt_seconds",
            "Round trip time to the parent",
            &this.rtt_seconds,
        );
        seconds(
            "parent_clock_offset_seconds",
            "Own clock minus the parent's",
            &this.offset_seconds,
        );
        Arc::new(this)
    }

    /// A room has gone over to another link.
    pub(super) fn switched(&self, reason: Switch) {
        let labels = SwitchLabels { reason };
        self.switches.get_or_create_owned(&labels).inc();
    }

    /// The counter of a track's frames.
    pub(super) fn frames(&self, room: &str, track: &str) -> Counter {
        let labels = |room: &str| TrackLabels {
            room: room.to_owned(),
            track: track.to_owned(),
        };
        if let Some(known) = self.received_frames.get(&labels(room)) {
            return known.clone();
        }
        let full = self.tracks.fetch_add(1, Ordering::Relaxed) >= TRACK_LABELS_MAX;
        let room = if full { "other" } else { room };
        self.received_frames.get_or_create_owned(&labels(room))
    }
}

impl QuestionMetrics {
    fn register(metrics: &telemetry::Metrics) -> Self {
        let in_flight = Family::default();
        let this = Self {
            asked: counters(metrics, "questions_asked", "Questions to the parent"),
            answered: counters(
                metrics,
                "questions_answered",
                "Questions that were answered",
            ),
            failed: counters(
                metrics,
                "questions_failed",
                "Questions that were refused, lost or given up",
            ),
            in_flight: CLASSES.map(|class| in_flight.get_or_create_owned(&labels(class))),
        };
        let help = "Questions that wait for an answer or for a parent";
        metrics.register(ROOM, "questions_in_flight", help, in_flight);
        this
    }
}

/// Registers a counter with a series for each class.
fn counters(metrics: &telemetry::Metrics, name: &str, help: &str) -> ByClass<Counter> {
    let family = Family::default();
    metrics.register(ROOM, name, help, family.clone());
    CLASSES.map(|class| family.get_or_create_owned(&labels(class)))
}

fn labels(class: Class) -> ClassLabels {
    let class = class.into();
    ClassLabels { class }
}
