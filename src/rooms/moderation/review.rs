//! The operator's own service: one signed post for each comment, a short wait, and a fallback.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::BytesMut;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::hooks::{Breaker, signature};
use crate::media::RoomName;
use crate::protocol::interact::Member;
use crate::rooms::moderation::metrics::Metrics;
use crate::rooms::moderation::{Error, Fallback, Parts, Review};
use crate::runtime::{TaskScope, clock};
use crate::telemetry::access::Trace;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Asks the operator's service.
#[derive(Debug)]
pub(super) struct Reviewer {
    asker: Arc<Asker>,
    timeout: Duration,
    allow_without: bool,
    permits: Arc<Semaphore>,
    metrics: Metrics,
    scope: TaskScope,
    runtime: Handle,
}

/// What tasks share.
#[derive(Debug)]
struct Asker {
    http: reqwest::Client,
    url: reqwest::Url,
    key: hmac::Key,
    breaker: Mutex<Breaker>,
    metrics: Metrics,
}

/// What the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
struct Answer {
    decision: Decision,
}

impl Reviewer {
    pub(super) fn new(review: &Review, metrics: Metrics, parts: &Parts<'_>) -> Result<Self, Error> {
        let url = reqwest::Url::parse(&review.url).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let timeout = Duration::from_millis(review.timeout_ms.into());
        let http = reqwest::Client::builder()
            .user_agent(concat!("rushlane/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .build()
            .expect("the builder's settings are constant");
        let asker = Asker {
            http,
            url: url.ok_or(Error::ReviewUrl)?,
            key: hmac::Key::new(hmac::HMAC_SHA256, review.secret.as_bytes()),
            breaker: Mutex::default(),
            metrics: metrics.clone(),
        };
        Ok(Self {
            asker: Arc::new(asker),
            timeout,
            allow_without: review.fallback == Fallback::Allow,
            permits: Arc::new(Semaphore::new(review.in_flight_max)),
            metrics,
            scope: parts.scope.clone(),
            runtime: parts.runtime.clone(),
        })
    }

    /// Whether `text` may be said; by the fallback when the service does not answer in time, has
    /// too much to do already, or has not answered of late.
    ///
    /// The post runs in a task of its own, on the runtime that owns the connections.
    pub(super) async fn allows(&self, room: &RoomName, from: &Member, text: &str) -> bool {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            self.metrics.reviewed("busy");
            return self.allow_without;
        };
        if !self.asker.breaker.lock().may_ask(clock::now()) {
            self.metrics.reviewed("skipped");
            return self.allow_without;
        }
        let body = json!({
            "room": room,
            "from": from,
            "text": text,
            "at": clock::unix_us() / 1000,
        });
        let (told, answer) = oneshot::channel();
        let ask = self.asker.clone().ask(body.to_string(), permit, told);
        let guard = self.runtime.enter();
        self.scope.spawn("review", ask);
        drop(guard);
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(decision)) => decision == Decision::Allow,
            Ok(Err(_)) | Err(_) => self.allow_without,
        }
    }
}

impl Asker {
    /// Asks, notes how it went, and tells the answer if there is one.
    async fn ask(
        self: Arc<Self>,
        body: String,
        permit: OwnedSemaphorePermit,
        told: oneshot::Sender<Decision>,
    ) {
        let started = clock::now();
        let answer = self.post(body).await;
        drop(permit);
        self.metrics
            .review_seconds
            .observe(started.elapsed().as_secs_f64());
        match answer {
            Ok(decision) => {
                self.metrics.reviewed(match decision {
                    Decision::Allow => "allow",
                    Decision::Deny => "deny",
                });
                if self.breaker.lock().answered() {
                    tracing::info!("the reviewer answers again");
                }
                let _speaker_gone = told.send(decision).is_err();
            }
            Err(fault) => {
                self.metrics.reviewed(fault);
                if self.breaker.lock().failed(clock::now()) {
                    tracing::warn!(fault, "the reviewer fails: the fallback decides meanwhile");
                }
            }
        }
    }

    async fn post(&self, body: String) -> Result<Decision, &'static str> {
        let post = self.http.post(self.url.clone());
        let request = signature::signed(post, &self.key, body, Trace::begin());
        let why = |error: reqwest::Error| if error.is_timeout() { "late" } else { "failed" };
        let mut response = request.send().await.map_err(why)?;
        if !response.status().is_success() {
            return Err("failed");
        }
        let mut answer = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(why)? {
            answer.extend_from_slice(&chunk);
            if answer.len() > ANSWER_BYTES_MAX {
                return Err("failed");
            }
        }
        let answer: Result<Answer, _> = serde_json::from_slice(&answer);
        answer.map(|answer| answer.decision).map_err(|_| "failed")
    }
}
