//! The callbacks of a node.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::hooks::event::KINDS;
use crate::hooks::metrics::Metrics;
use crate::hooks::post::{Outcome, Poster};
use crate::hooks::{Breaker, Config, Event, Fallback, Kind, queue};
use crate::runtime::{TaskScope, clock};
use crate::telemetry;
use crate::telemetry::access::Trace;

/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;

/// Why the callbacks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No web address.
    #[error("{0} is no http or https URL")]
    Url(&'static str),
    /// Too easy to guess.
    #[error("secret has {0} bytes: use at least {SECRET_BYTES_MIN}, receivers check signatures")]
    Secret(usize),
    /// A number that makes no sense.
    #[error("{0}")]
    Number(&'static str),
}

/// Asks and tells the operator's services. Clones share one queue; without services, everything is
/// allowed and nothing is told.
#[derive(Debug, Clone, Default)]
pub struct Hooks(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    line: Arc<Line>,
    node: String,
    questions: Arc<Semaphore>,
    queue: mpsc::Sender<Event>,
    scope: TaskScope,
    runtime: Handle,
}

/// What posts need.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) config: Config,
    pub(super) poster: Poster,
    pub(super) metrics: Metrics,
    breakers: [Mutex<Breaker>; KINDS.len()],
}

impl Config {
    /// Whether it can be used.
    pub fn check(&self) -> Result<(), Error> {
        for kind in KINDS {
            let Some(url) = kind.url(self) else { continue };
            let url = reqwest::Url::parse(url).ok();
            let is_web = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https");
            if !url.is_some_and(|url| is_web(&url) && url.has_host()) {
                return Err(Error::Url(kind.as_str()));
            }
            if self.secret.len() < SECRET_BYTES_MIN {
                return Err(Error::Secret(self.secret.len()));
            }
        }
        if !(10..=5000).contains(&self.timeout_ms) {
            return Err(Error::Number("timeout_ms: use 10 to 5000"));
        }
        if self.in_flight_max == 0 || !(1..=1_000_000).contains(&self.queue_max) {
            return Err(Error::Number("in_flight_max and queue_max: use at least 1"));
        }
        if !(1..=20).contains(&self.attempts_max) {
            return Err(Error::Number("attempts_max: use 1 to 20"));
        }
        Ok(())
    }
}

impl Hooks {
    /// Callbacks of the node called `node`; posts run in `scope`, in the current runtime.
    ///
    /// Errors: a URL, the secret or a number cannot be used.
    pub fn start(
        config: &Config,
        node: &str,
        metrics: &telemetry::Metrics,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        config.check()?;
        if KINDS.iter().all(|kind| kind.url(config).is_none()) {
            return Ok(Self::default());
        }
        let line = Arc::new(Line {
            config: config.clone(),
            poster: Poster::new(&config.secret),
            metrics: Metrics::register(metrics),
            breakers: Default::default(),
        });
        let (queue, events) = mpsc::channel(config.queue_max);
        scope.spawn(
            "hooks.queue",
            queue::run(line.clone(), events, scope.clone()),
        );
        Ok(Self(Some(Arc::new(Shared {
            line,
            node: node.to_owned(),
            questions: Arc::new(Semaphore::new(config.in_flight_max)),
            queue,
            scope: scope.clone(),
            runtime: Handle::current(),
        }))))
    }

    /// True when somebody wants to hear of `kind`.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| kind.url(&shared.line.config).is_some())
    }

    /// Asks whether `kind` may happen in `room`, and waits for the decision at most
    /// [`Config::timeout_ms`]. May be called on any thread; dropping the future changes nothing.
    ///
    /// Errors: it may not, with the reason that the service gives.
    pub async fn ask(&self, kind: Kind, room: &str, details: Value) -> Result<(), String> {
        self.ask_within(Trace::begin(), kind, room, details).await
    }

    /// As [`Self::ask`], on behalf of a request that belongs to `trace`.
    pub async fn ask_within(
        &self,
        trace: Trace,
        kind: Kind,
        room: &str,
        details: Value,
    ) -> Result<(), String> {
        let Some(shared) = self.0.as_ref().filter(|_| self.wants(kind)) else {
            return Ok(());
        };
        let line = shared.line.clone();
        let fallback = || match line.config.fallback {
            Fallback::Allow => Ok(()),
            Fallback::Deny => Err("nobody could be asked just now".to_owned()),
        };
        let Ok(permit) = shared.questions.clone().try_acquire_owned() else {
            line.metrics.posted(kind, "crowded", Duration::ZERO);
            return fallback();
        };
        if !line.breakers[kind as usize].lock().may_ask(clock::now()) {
            line.metrics.posted(kind, "skipped", Duration::ZERO);
            return fallback();
        }
        let event = Event {
            trace,
            ..Event::new(kind, room, &shared.node, details)
        };
        let (told, answer) = oneshot::channel();
        let asked = line.clone();
        // The runtime of the posts owns their connections.
        let guard = shared.runtime.enter();
        shared.scope.spawn("hooks.ask", async move {
            let outcome = asked.ask(&event).await;
            drop(permit);
            let _nobody_waits = told.send(outcome).is_err();
        });
        drop(guard);
        let limit = Duration::from_millis(line.config.timeout_ms.into());
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(Outcome::Allowed)) => Ok(()),
            Ok(Ok(Outcome::Denied(reason))) if reason.is_empty() => Err("not allowed".into()),
            Ok(Ok(Outcome::Denied(reason))) => Err(reason),
            Ok(Ok(Outcome::Refused(_) | Outcome::Failed(_)) | Err(_)) | Err(_) => fallback(),
        }
    }

    /// Tells that `kind` has happened in `room`.
    pub fn tell(&self, kind: Kind, room: &str, details: Value) {
        let Some(shared) = self.0.as_ref().filter(|_| self.wants(kind)) else {
            return;
        };
        let event = Event::new(kind, room, &shared.node, details);
        let metrics = &shared.line.metrics;
        metrics.waiting.inc();
        if shared.queue.try_send(event).is_err() {
            metrics.waiting.dec();
            metrics.dropped.inc();
        }
    }
}

impl Line {
    /// Asks once, and notes how it went.
    async fn ask(&self, event: &Event) -> Outcome {
        let kind = event.kind;
        let Some(url) = kind.url(&self.config) else {
            return Outcome::Allowed;
        };
        let started = clock::now();
        let limit = Duration::from_millis(self.config.timeout_ms.into());
        let outcome = self.poster.post(url, event, limit).await;
        let result = match &outcome {
            Outcome::Allowed => "allow",
            Outcome::Denied(_) => "deny",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(why) => why,
        };
        self.metrics.posted(kind, result, started.elapsed());
        let mut breaker = self.breakers[kind as usize].lock();
        let hook = kind.as_str();
        match &outcome {
            Outcome::Allowed | Outcome::Denied(_) => {
                if breaker.answered() {
                    tracing::info!(hook, "the callback answers again");
                }
            }
            Outcome::Refused(_) | Outcome::Failed(_) => {
                if breaker.failed(clock::now()) {
                    tracing::warn!(hook, result, "the callback fails: the fallback decides");
                }
            }
        }
        outcome
    }

    /// An event has left the queue.
    pub(super) fn told(&self, told: bool) {
        self.metrics.waiting.dec();
        if !told {
            self.metrics.dropped.inc();
        }
    }
}

#[cfg(test)]
#[path = "line_test.rs"]
mod tests;
