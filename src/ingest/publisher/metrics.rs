//! The publisher's metrics.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::ingest::publisher::Role;
use crate::ingest::publisher::access::Loss;
use crate::ingest::publisher::timeline::{Medium, Repair};
use crate::telemetry::Metrics;

/// A label set of one closed name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

type Counters = Family<Kind, Counter>;

/// Counts what all publishers of the node do.
#[derive(Debug, Clone)]
pub(super) struct Instruments(Arc<Registered>);

#[derive(Debug, Default)]
struct Registered {
    frames: Counters,
    bytes: Counters,
    dropped: Counters,
    repairs: Counters,
    rooms: Gauge,
    followed: Gauge,
    publishers: Gauge,
    begun: Counters,
    succeeded: Counter,
    yielded: Counter,
    cut: Counter,
}

impl Instruments {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let own = Registered::default();
        let counters = [
            ("frames", "Frames put into live, by medium", &own.frames),
            (
                "received_bytes",
                "Payload bytes put into live, by medium",
                &own.bytes,
            ),
            ("dropped_frames", "Frames left out, by reason", &own.dropped),
            (
                "source_begins",
                "Encoders that came on air, by seat",
                &own.begun,
            ),
            (
                "timestamp_repairs",
                "Repaired timestamps, by kind",
                &own.repairs,
            ),
        ];
        for (name, help, counter) in counters {
            metrics.register("ingest", name, help, counter.clone());
        }
        let gauges = [
            ("rooms", "Rooms that are live", &own.rooms),
            (
                "rooms_followed",
                "Rooms that another node feeds and this one could go on with",
                &own.followed,
            ),
            ("publishers", "Encoders that are connected", &own.publishers),
        ];
        for (name, help, gauge) in gauges {
            metrics.register("ingest", name, help, gauge.clone());
        }
        let events = [
            (
                "successions",
                "Shows of other nodes that this one went on with",
                &own.succeeded,
            ),
            (
                "successions_yielded",
                "Shows of this node that another one went on with",
                &own.yielded,
            ),
            ("cuts", "Shows that an operator cut", &own.cut),
        ];
        for (name, help, counter) in events {
            metrics.register("ingest", name, help, counter.clone());
        }
        Self(Arc::new(own))
    }

    pub(super) fn frame(&self, medium: Medium, bytes: usize) {
        let kind = match medium {
            Medium::Video => "video",
            Medium::Audio => "audio",
        };
        let label = Kind { kind };
        self.0.frames.get_or_create(&label).inc();
        self.0.bytes.get_or_create(&label).inc_by(bytes as u64);
    }

    pub(super) fn dropped(&self, reason: Loss) {
        let kind = match reason {
            Loss::Waiting => "waiting_for_key",
            Loss::Late => "late",
            Loss::Unconfigured => "no_configuration",
            Loss::OtherAudio => "other_audio",
        };
        self.0.dropped.get_or_create(&Kind { kind }).inc();
    }

    pub(super) fn repaired(&self, repair: Repair) {
        let kind = repair.name();
        self.0.repairs.get_or_create(&Kind { kind }).inc();
    }

    pub(super) fn room_opened(&self) {
        self.0.rooms.inc();
    }

    pub(super) fn room_ended(&self) {
        self.0.rooms.dec();
    }

    pub(super) fn room_followed(&self) {
        self.0.followed.inc();
    }

    pub(super) fn room_left(&self) {
        self.0.followed.dec();
    }

    pub(super) fn succeeded(&self) {
        self.0.succeeded.inc();
    }

    pub(super) fn yielded(&self) {
        self.0.yielded.inc();
    }

    pub(super) fn room_cut(&self) {
        self.0.cut.inc();
    }

    pub(super) fn begun(&self, role: Role) {
        let kind = role.name();
        self.0.begun.get_or_create(&Kind { kind }).inc();
    }

    pub(super) fn publisher_came(&self) {
        self.0.publishers.inc();
    }

    pub(super) fn publisher_left(&self) {
        self.0.publishers.dec();
    }
}
