//! The controller: looks, decides, tells.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::runtime::clock::{self, Instant};
use crate::runtime::{Shutdown, TaskScope, process};
use crate::shed::budget::{Budget, Reading, Window};
use crate::shed::ladder::Ladder;
use crate::shed::metrics::{Metrics, Step};
use crate::shed::trend::Trend;
use crate::shed::{Config, Door, Gauge, Level, Status};
use crate::telemetry;

/// How often budgets are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Every so many looks the queue follows what the node can take.
const ADAPT_LOOKS: u64 = 4;

/// Says how many bytes viewers have been sent so far.
pub type Egress = Box<dyn Fn() -> u64 + Send + Sync>;

/// Decides what a node gives up. Clones share it.
#[derive(Clone)]
pub struct Controller(Arc<Inner>);

struct Inner {
    gauge: Gauge,
    door: Door,
    metrics: Metrics,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    is_enabled: bool,
    budget: Budget,
    ladder: Ladder,
    window: Window,
    trend: Trend,
    /// The operator's word, and until when it holds.
    forced: Option<(Level, Instant)>,
    looks: u64,
    /// Joins so far, at the last look that counted them.
    joins: u64,
    joins_per_second: f64,
}

impl Controller {
    /// A controller that has not looked yet: nothing is shed before [`Self::run`].
    #[must_use]
    pub fn new(config: &Config, registry: &telemetry::Metrics) -> Self {
        let metrics = Metrics::register(registry);
        let gauge = Gauge::default();
        Self(Arc::new(Inner {
            door: Door::new(config, gauge.clone(), metrics.clone()),
            gauge,
            metrics,
            started: clock::now(),
            state: Mutex::new(State {
                is_enabled: config.enabled,
                budget: Budget::new(config),
                ladder: Ladder::new(top(config)),
                window: Window::default(),
                trend: Trend::default(),
                forced: None,
                looks: 0,
                joins: 0,
                joins_per_second: 0.0,
            }),
        }))
    }

    /// Where the level is read.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.0.gauge.clone()
    }

    /// The door for those who come anew.
    #[must_use]
    pub fn door(&self) -> Door {
        self.0.door.clone()
    }

    /// Looks at the budgets from now on, by a task of `scope`.
    pub fn run(&self, egress: Egress, scope: &TaskScope) {
        let (this, shutdown) = (self.clone(), scope.shutdown().clone());
        scope.spawn("shed", async move { this.look_on(egress, shutdown).await });
    }

    /// Takes other budgets; the level stays where it is and moves on from there.
    pub fn apply(&self, config: &Config) {
        let mut state = self.0.state.lock();
        state.is_enabled = config.enabled;
        state.budget = Budget::new(config);
        state.ladder.set_top(top(config));
        self.0.door.apply(config);
    }

    /// Holds the node at `level` for `lasting`, whatever the budgets say; `None` lets it go.
    pub fn force(&self, level: Option<Level>, lasting: Duration) -> Status {
        {
            let mut state = self.0.state.lock();
            state.forced = level.map(|level| (level, clock::now() + lasting));
        }
        self.look(0, false);
        self.0.gauge.status()
    }

    async fn look_on(&self, egress: Egress, shutdown: Shutdown) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                _ = looks.tick() => self.look(egress(), true),
            }
        }
    }

    /// Reads the usage if it `measures`, moves the ladder, and tells what has changed.
    fn look(&self, egress_bytes: u64, measures: bool) {
        let inner = &*self.0;
        let now = clock::now();
        let before = inner.gauge.status();
        let mut state = inner.state.lock();
        let mut pressure = before.pressure;
        if measures {
            let reading = self.read(now, egress_bytes);
            let State { window, budget, .. } = &mut *state;
            pressure = window.take(budget, reading);
            inner.metrics.tell_pressure(&pressure);
        }
        let (mut reason, worst) = pressure.worst();
        let mut level = match (measures, state.is_enabled) {
            (true, true) => {
                let soon = state.trend.take(self.ms(now), worst);
                state.ladder.feel(self.ms(now), soon)
            }
            (true, false) => state.ladder.feel(self.ms(now), 0.0),
            (false, _) => state.ladder.level(),
        };
        state.forced = state.forced.filter(|(_, until)| *until > now);
        if let Some((forced, _)) = state.forced {
            (level, reason) = (forced, "operator");
        }
        let mut status = Status {
            level,
            reason,
            pressure,
            forced_until_ms: state.forced.map(|(_, until)| unix_ms(until, now)),
            ..before
        };
        if level >= Level::JoinQueue && before.level < Level::JoinQueue {
            inner.door.begin(state.joins_per_second);
        }
        if measures {
            self.count_joins(&mut state);
            if state.looks.is_multiple_of(ADAPT_LOOKS) && level >= Level::JoinQueue {
                (status.waiting, status.admitted_per_second) = inner.door.adapt(worst);
            }
        }
        if level < Level::JoinQueue {
            (status.waiting, status.admitted_per_second) = (0, 0.0);
        }
        if level != before.level {
            status.since_ms = clock::unix_us() / 1000;
        }
        self.tell(before.level, status);
    }

    fn read(&self, now: Instant, egress_bytes: u64) -> Reading {
        let usage = process::usage();
        Reading {
            at_ms: self.ms(now),
            cpu_seconds: usage.cpu.as_secs_f64(),
            egress_bytes,
            turns: self.0.gauge.turns(),
            sockets: usage.open_files,
            memory_bytes: usage.rss_bytes,
        }
    }

    /// Every second: how many have come in. The mean of some seconds, so that one in which nobody
    /// came does not close the door.
    fn count_joins(&self, state: &mut State) {
        state.looks += 1;
        if state.looks.is_multiple_of(ADAPT_LOOKS) {
            let joins = self.0.door.joins();
            let last = joins.saturating_sub(std::mem::replace(&mut state.joins, joins)) as f64;
            state.joins_per_second += (last - state.joins_per_second) / 3.0;
        }
    }

    fn tell(&self, before: Level, status: Status) {
        let metrics = &self.0.metrics;
        metrics.level.set(status.level as i64);
        metrics
            .waiting
            .set(i64::try_from(status.waiting).unwrap_or(i64::MAX));
        metrics.per_second.set(status.admitted_per_second);
        let (level, reason) = (status.level, status.reason);
        if level != before {
            let is_up = level > before;
            let step = Step {
                level: level.as_str(),
                direction: if is_up { "up" } else { "down" },
                reason,
            };
            metrics.steps.get_or_create(&step).inc();
            let (level, before) = (level.as_str(), before.as_str());
            if is_up {
                tracing::warn!(level, before, reason, "the node sheds more");
            } else {
                tracing::info!(level, before, "the node sheds less");
            }
        }
        self.0.gauge.set(status);
    }

    fn ms(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.0.started);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

fn top(config: &Config) -> Level {
    if config.peers.is_empty() {
        Level::JoinQueue
    } else {
        Level::Redirect
    }
}

/// When it will be `at`, in milliseconds since 1970.
fn unix_ms(at: Instant, now: Instant) -> i64 {
    let left = at.saturating_duration_since(now);
    clock::unix_us() / 1000 + i64::try_from(left.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_operators_word_stands_above_the_budgets_for_its_time() {
        let registry = telemetry::Metrics::default();
        let controller = Controller::new(&Config::default(), &registry);
        let gauge = controller.gauge();
        let status = controller.force(Some(Level::JoinQueue), Duration::from_secs(60));
        assert_eq!(
            (gauge.level(), status.reason),
            (Level::JoinQueue, "operator")
        );
        assert!(status.forced_until_ms.is_some());
        controller.look(0, true);
        assert_eq!(gauge.level(), Level::JoinQueue);
        assert!(registry.encode().contains(
            "rushlane_shed_steps_total{level=\"join_queue\",direction=\"up\",reason=\"operator\"} 1"
        ));
        tokio::time::advance(Duration::from_secs(61)).await;
        controller.look(0, true);
        assert_eq!(gauge.level(), Level::Normal);
        controller.force(Some(Level::Redirect), Duration::from_secs(60));
        controller.force(None, Duration::ZERO);
        assert_eq!(gauge.level(), Level::Normal);
        assert!(registry.encode().contains("rushlane_shed_level 0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_is_spent_sheds_and_one_that_is_raised_recovers() {
        let config = Config {
            memory_mb: 1,
            ..Config::default()
        };
        let registry = telemetry::Metrics::default();
        let controller = Controller::new(&config, &registry);
        let pass = async |seconds: u32| {
            for _ in 0..seconds * 4 {
                tokio::time::advance(LOOK).await;
                controller.look(0, true);
            }
        };
        pass(5).await;
        let status = controller.gauge().status();
        assert_eq!((status.level, status.reason), (Level::JoinQueue, "memory"));
        controller.apply(&Config {
            memory_mb: 1 << 20,
            turn_ms: 10_000,
            cpu_percent: 10_000,
            ..Config::default()
        });
        pass(10).await;
        assert_eq!(controller.gauge().level(), Level::Normal);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_may_not_shed_measures_only() {
        let config = Config {
            enabled: false,
            memory_mb: 1,
            ..Config::default()
        };
        let controller = Controller::new(&config, &telemetry::Metrics::default());
        for _ in 0..40 {
            tokio::time::advance(LOOK).await;
            controller.look(0, true);
        }
        let status = controller.gauge().status();
        assert_eq!(status.level, Level::Normal);
        assert!(status.pressure.memory > 1.0);
    }
}
