//! The vital signs of a node: how late the tasks of its threads run, and what the process uses.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::node::Role;
use crate::runtime::{Shutdown, TaskScope, lag, process};
use crate::shed::Gauge;
use crate::telemetry::{Meter, Metrics};

/// What all probes of a node count by. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Vitals {
    lag: Arc<Meter>,
    seconds: Histogram,
}

impl Vitals {
    pub(super) fn register(metrics: &Metrics) -> Self {
        // 0.5 ms to 4 s.
        let seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 14));
        let help = "How late tasks run on the node's threads: a core that is short of time";
        metrics.register("runtime", "lag_seconds", help, seconds.clone());
        let lag = Arc::default();
        Self { lag, seconds }
    }

    /// How late tasks run.
    pub(super) fn lag(&self) -> &Arc<Meter> {
        &self.lag
    }

    /// Watches this worker, for as long as the scope lives, and tells `shedding` too.
    pub(super) fn attend(&self, shedding: Gauge, shutdown: &Shutdown) -> TaskScope {
        let scope = TaskScope::under(shutdown);
        let (vitals, stop) = (self.clone(), scope.shutdown().clone());
        scope.spawn_local("node.vitals", async move {
            let report = |late| {
                vitals.count(late);
                shedding.waited(late);
            };
            tokio::select! {
                () = lag::probe(report) => {}
                () = stop.requested() => {}
            }
        });
        scope
    }

    /// Watches the thread or runtime that this is spawned on.
    pub(super) async fn watch(self, shutdown: Shutdown) {
        tokio::select! {
            () = lag::probe(|late| self.count(late)) => {}
            () = shutdown.requested() => {}
        }
    }

    fn count(&self, late: Duration) {
        self.lag
            .add(i64::try_from(late.as_micros()).unwrap_or(i64::MAX));
        self.seconds.observe(late.as_secs_f64());
    }
}

/// Tells Prometheus of this process, when it scrapes.
#[derive(Debug)]
pub(super) struct Process {
    role: Role,
    start_seconds: i64,
}

impl Process {
    /// The process of a node of `role`, which started at `start_us`.
    pub(super) fn new(role: Role, start_us: i64) -> Self {
        Self {
            role,
            start_seconds: start_us / 1_000_000,
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let used = process::usage();
        let cpu = ConstCounter::new(used.cpu.as_secs_f64());
        let help = "Time on processors since the start";
        let name = "process_cpu_seconds";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        cpu.encode(metric)?;
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let gauges = [
            (
                "process_resident_bytes",
                "Memory held",
                whole(used.rss_bytes),
            ),
            (
                "process_open_files",
                "File descriptors in use",
                whole(used.open_files),
            ),
            (
                "process_open_files_max",
                "File descriptors allowed",
                files_max(),
            ),
            (
                "process_start_seconds",
                "When it started, since 1970",
                self.start_seconds,
            ),
        ];
        for (name, help, value) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("role", self.role.as_str()),
        ];
        let help = "1, with the version and the role of the node";
        let mut info = encoder.encode_descriptor("build_info", help, None, MetricType::Gauge)?;
        ConstGauge::new(1_i64).encode(info.encode_family(&labels)?)
    }
}

/// The soft limit of descriptors; 0 where the kernel does not tell.
fn files_max() -> i64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_ascii_whitespace().next());
    soft.and_then(|text| text.parse().ok()).unwrap_or(0)
}
