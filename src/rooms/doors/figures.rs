//! What the doors count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::media::Class;
use crate::telemetry::Metrics;

/// The figures of all doors of a node. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// Connections now.
    pub(super) members: Family<Door, Gauge>,
    /// Events given to a connection, each time.
    pub(super) deliveries: Counter,
    /// Passes over a hall.
    pub(super) batches: Counter,
    /// From the origin's word to the last member's socket, by this node's clock.
    pub(super) delay: Histogram,
    shed: Family<ByClass, Counter>,
    pub(super) closes: Family<ByCode, Counter>,
    pub(super) commands: Family<Command, Counter>,
    pub(super) entries: Family<Entry, Counter>,
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Door {
    /// `websocket`, `sse` or `webtransport`.
    pub(super) door: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    class: u8,
}

/// Why a connection was closed by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByCode {
    /// A close code.
    pub(super) code: u16,
}

/// A command and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Command {
    /// `comment`, `like`, `order`, `program` or `mod`; `none` for what was no command.
    pub(super) kind: &'static str,
    /// 200, or the status of the refusal.
    pub(super) status: u16,
}

/// How a member came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Entry {
    /// `resumed`, or `snapshot`.
    pub(super) with: &'static str,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let figures = Self {
            members: Family::default(),
            deliveries: Counter::default(),
            batches: Counter::default(),
            // 1 ms to 4 s: the goal is 40 ms without batches and 250 ms with them.
            delay: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            shed: Family::default(),
            closes: Family::default(),
            commands: Family::default(),
            entries: Family::default(),
        };
        let Self {
            members,
            deliveries,
            batches,
            delay,
            shed,
            closes,
            commands,
            entries,
        } = figures.clone();
        let one = |name, help| (name, help);
        let (name, help) = one("door_members", "Connections of members now");
        metrics.register("rooms", name, help, members);
        let (name, help) = one("door_deliveries", "Events given to a member");
        metrics.register("rooms", name, help, deliveries);
        let (name, help) = one("door_batches", "Passes over the members of a hall");
        metrics.register("rooms", name, help, batches);
        let (name, help) = one("door_delay_seconds", "From the origin to the last member");
        metrics.register("rooms", name, help, delay);
        let (name, help) = one(
            "door_shed_runs",
            "Events of one class that a slow member lost",
        );
        metrics.register("rooms", name, help, shed);
        let (name, help) = one("door_closes", "Connections closed by this node");
        metrics.register("rooms", name, help, closes);
        let (name, help) = one("door_commands", "What members asked for");
        metrics.register("rooms", name, help, commands);
        let (name, help) = one("door_entries", "Members who came in");
        metrics.register("rooms", name, help, entries);
        figures
    }

    /// A slow member has lost `runs` of `class`.
    pub(super) fn shed(&self, class: Class, runs: u64) {
        let class = class.into();
        self.shed.get_or_create(&ByClass { class }).inc_by(runs);
    }
}
