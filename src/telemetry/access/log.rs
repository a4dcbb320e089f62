//! The handle that records are filed by.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::protocol::cmcd::{self, Cmcd};
use crate::telemetry::access::players::{PlayerSums, Players, Seen};
use crate::telemetry::access::writer::{Filed, Writer};
use crate::telemetry::access::{Config, Object, Record};
use crate::telemetry::{Conditions, Metrics, otlp};

/// Records that wait for the thread: a second of the busiest worker, about 6 MB at most. Further
/// ones are lost and counted.
const RING_MAX: usize = 16_384;

const MINUTE_US: u64 = 60_000_000;

/// Files records. Clones share the ring; the thread ends with the last of them.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    ring: SyncSender<Filed>,
    writes_lines: bool,
    slow_ms: u32,
    sampling: Sampling,
    spans: Option<Sampling>,
    outcomes: Outcomes,
    players: Arc<Players>,
}

/// What became of records.
#[derive(Debug, Clone)]
pub(super) struct Outcomes {
    pub(super) written: Counter,
    pub(super) failed: Counter,
    pub(super) conditions: Conditions,
    dropped: Counter,
}

/// What became of a report of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collected {
    /// Taken: 204.
    Taken,
    /// The ring is full, come back later: 429.
    Overloaded,
    /// Its session has told too much and shall stop: 410.
    Unwanted,
}

/// A share of all, spread evenly.
#[derive(Debug)]
struct Sampling {
    share: f64,
    turn: AtomicU32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Log {
    /// Starts the thread, and the export of spans when `traces` wants it.
    ///
    /// Errors: the file cannot be opened, or the thread cannot be started.
    pub fn start(
        config: &Config,
        traces: &otlp::Config,
        node: &str,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let (ring, filed) = sync_channel(RING_MAX);
        let outcomes = Outcomes::register(metrics);
        let exporter = otlp::Exporter::start(traces, node, metrics)?;
        let spans = exporter.as_ref().map(|_| Sampling::of(traces.sample));
        let players = Arc::new(Players::register(metrics));
        let writer = Writer::open(config, node, exporter, outcomes.clone(), players.clone())?;
        let writes_lines = writer.has_file();
        std::thread::Builder::new()
            .name("access".into())
            .spawn(move || writer.run(&filed))?;
        Ok(Self(Arc::new(Inner {
            ring,
            writes_lines,
            slow_ms: config.slow_ms,
            sampling: Sampling::of(config.sample_ok),
            spans,
            outcomes,
            players,
        })))
    }

    /// False when nobody has a use for a record, so that it need not be made. `tells`: its
    /// player has told of itself.
    #[must_use]
    pub fn wants(&self, tells: bool) -> bool {
        tells || self.0.writes_lines || self.0.spans.is_some()
    }

    /// Files a record, if it is of use to anybody.
    pub fn file(&self, record: Record) {
        let inner = &self.0;
        let told = record.cmcd.is_some();
        let kept_by_caller = record.trace.is_some_and(|trace| trace.sampled);
        let telling = kept_by_caller || !record.is_plain(inner.slow_ms);
        let line = inner.writes_lines && (telling || inner.sampling.takes());
        let span = |sampling: &Sampling| telling || sampling.takes();
        let span = inner.spans.as_ref().is_some_and(span);
        if line || span || told {
            self.put(Filed { record, line, span });
        }
    }

    /// Takes a report of player events (CMCD version 2, event mode), which came as `request`.
    pub fn collect(
        &self,
        request: &Record,
        body: &str,
        is_room: impl Fn(&str) -> bool,
    ) -> Collected {
        for set in cmcd::events(body) {
            let minute = request.at_us.unsigned_abs() / MINUTE_US;
            let seen = set.sid.as_deref();
            match seen.map(|sid| self.0.players.see(sid, set.sn, minute)) {
                Some(Seen::New) | None => {}
                Some(Seen::Repeated) => continue,
                Some(Seen::Unwanted) => return Collected::Unwanted,
            }
            if !self.put(Filed::event(request, set, &is_room, self.0.writes_lines)) {
                return Collected::Overloaded;
            }
        }
        Collected::Taken
    }

    /// What the players of `room` told since the node started; `None` while they told nothing.
    #[must_use]
    pub fn players(&self, room: &str) -> Option<Arc<PlayerSums>> {
        self.0.players.room(room)
    }

    /// False when the ring was full.
    fn put(&self, filed: Filed) -> bool {
        match self.0.ring.try_send(filed) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.0.outcomes.dropped.inc();
                false
            }
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log(lines: {})", self.0.writes_lines)
    }
}

impl Filed {
    fn event(request: &Record, set: Cmcd, is_room: impl Fn(&str) -> bool, line: bool) -> Self {
        let room = set.cid.clone().filter(|cid| is_room(cid));
        let mut record = request.clone();
        record.object = Object {
            class: "event",
            room: room.unwrap_or_default(),
            ..Object::default()
        };
        record.cmcd = Some(Box::new(set));
        let span = false;
        Self { record, line, span }
    }
}

impl Outcomes {
    fn register(metrics: &Metrics) -> Self {
        let records = Family::<Outcome, Counter>::default();
        let help = "Access records, by what became of them";
        metrics.register("telemetry", "access_records", help, records.clone());
        let of = |outcome| records.get_or_create_owned(&Outcome { outcome });
        Self {
            written: of("written"),
            failed: of("failed"),
            conditions: metrics.conditions().clone(),
            dropped: of("dropped"),
        }
    }
}

impl Sampling {
    fn of(share: f64) -> Self {
        Self {
            share,
            turn: AtomicU32::new(0),
        }
    }

    fn takes(&self) -> bool {
        if self.share >= 1.0 || self.share <= 0.0 {
            return self.share >= 1.0;
        }
        // Multiples of the golden ratio are spread evenly over the circle.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        f64::from(turn.wrapping_mul(0x9e37_79b9)) < self.share * f64::from(u32::MAX)
    }
}

#[cfg(test)]
#[path = "log_test.rs"]
mod tests;
