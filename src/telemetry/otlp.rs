//! Spans of requests, exported over OTLP/HTTP in its JSON encoding.
//!
//! A span a request, made from its access record once all is known: so the choice of what is kept
//! is made at the tail for what failed or was slow, and at the head by [`Config::sample`] or by the
//! caller's `traceparent`. Off by default; a collector that stands still costs [`QUEUE_MAX`] spans
//! of memory and nothing else.
//!
//! Spec: OpenTelemetry protocol 1.x, "OTLP/HTTP", JSON Protobuf encoding: ids in hexadecimal,
//! 64-bit numbers as strings.

use std::io;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::telemetry::Metrics;
use crate::telemetry::access::{Record, Trace};

/// Spans that wait; further ones are lost and counted. About 2 MB.
const QUEUE_MAX: usize = 4096;

/// Spans of one request to the collector.
const BATCH_MAX: usize = 512;

/// How long a span may wait for company.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The collector's URL, as `http://127.0.0.1:4318`; spans go to `/v1/traces` below it. None: no
    /// traces.
    pub otlp: Option<String>,
    /// The share of requests whose spans are kept though nothing is remarkable about them, 0 to 1
    /// (R11.5: one in a thousand).
    pub sample: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            otlp: None,
            sample: 0.001,
        }
    }
}

/// Hands spans to the thread that sends them.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: mpsc::Sender<Value>,
    dropped: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The thread's side.
struct Sender {
    url: String,
    client: reqwest::Client,
    resource: Value,
    sent: Counter,
    failed: Counter,
    failing: bool,
}

impl Exporter {
    /// Starts the thread; `None` when no collector is named.
    ///
    /// Errors: the thread or its runtime cannot be started.
    pub(super) fn start(
        config: &Config,
        node: &str,
        metrics: &Metrics,
    ) -> io::Result<Option<Self>> {
        let spans = Family::<Outcome, Counter>::default();
        let help = "Spans of traces, by what became of them";
        metrics.register("telemetry", "spans", help, spans.clone());
        let of = |outcome| spans.get_or_create_owned(&Outcome { outcome });
        let Some(base) = &config.otlp else {
            return Ok(None);
        };
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        let sender = Sender {
            url: format!("{}/v1/traces", base.trim_end_matches('/')),
            client: client.map_err(io::Error::other)?,
            resource: json!({ "attributes": [
                text("service.name", "rushlane"),
                text("service.instance.id", node),
                text("service.version", env!("CARGO_PKG_VERSION")),
            ] }),
            sent: of("sent"),
            failed: of("failed"),
            failing: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("otlp".into())
            .spawn(move || runtime.block_on(sender.run(spans)))?;
        let dropped = of("dropped");
        Ok(Some(Self { queue, dropped }))
    }

    /// Sends the span of one request, unless too many wait.
    pub(super) fn export(&self, record: &Record) {
        if self.queue.try_send(span(record)).is_err() {
            self.dropped.inc();
        }
    }
}

impl Sender {
    async fn run(mut self, mut spans: mpsc::Receiver<Value>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while spans.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let full = async {
                while batch.len() < BATCH_MAX {
                    let room = BATCH_MAX - batch.len();
                    if spans.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            };
            let _waited_long_enough = tokio::time::timeout(PAUSE, full).await.is_err();
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&mut self, spans: Vec<Value>) {
        let count = spans.len() as u64;
        let body = json!({ "resourceSpans": [{
            "resource": self.resource,
            "scopeSpans": [{ "scope": { "name": "rushlane.http" }, "spans": spans }],
        }] });
        let sent = self.client.post(&self.url).json(&body).send().await;
        match sent.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {
                self.sent.inc_by(count);
                self.failing = false;
            }
            Err(error) => {
                self.failed.inc_by(count);
                if !std::mem::replace(&mut self.failing, true) {
                    let error = error.without_url();
                    tracing::warn!(%error, "spans are lost until the collector takes them");
                }
            }
        }
    }
}

/// The span of one request.
fn span(record: &Record) -> Value {
    let object = &record.object;
    let start_ns = i128::from(record.at_us) * 1000;
    let end_ns = start_ns + i128::from(record.total_us) * 1000;
    let (trace, parent) = match record.trace {
        Some(trace) => (trace.id, format!("{:016x}", trace.parent)),
        None => (id(record), String::new()),
    };
    let class = if object.class.is_empty() {
        "other"
    } else {
        object.class
    };
    let mut attributes = vec![
        text("http.request.method", record.method),
        number("http.response.status_code", record.status.into()),
        number("http.response.body.size", record.bytes),
        text("network.protocol.name", record.protocol),
        text("rushlane.class", class),
        number("rushlane.first_byte_us", record.first_us.into()),
        number("rushlane.held_us", record.held_us.into()),
    ];
    let named = [
        ("rushlane.room", &*object.room),
        ("rushlane.rendition", &*object.rendition),
        ("rushlane.cache", record.cache.unwrap_or_default()),
        (
            "session.id",
            record
                .cmcd
                .as_ref()
                .and_then(|set| set.sid.as_deref())
                .unwrap_or_default(),
        ),
    ];
    attributes.extend(
        named
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| text(key, value)),
    );
    if let Some(msn) = object.msn {
        attributes.push(number("rushlane.msn", msn));
    }
    let failed = record.status == 0 || record.status >= 500;
    json!({
        "traceId": format!("{trace:032x}"),
        "spanId": format!("{:016x}", record.span.unwrap_or_else(|| (id(record) >> 64) as u64 | 1)),
        "parentSpanId": parent,
        "name": format!("{} {class}", record.method),
        "kind": 2,
        "startTimeUnixNano": start_ns.to_string(),
        "endTimeUnixNano": end_ns.to_string(),
        "attributes": attributes,
        "status": { "code": if failed { 2 } else { 0 } },
    })
}

/// An id that no other request of the fleet has: when and from where it came, mixed.
fn id(record: &Record) -> u128 {
    let text = format!("{}{}{}", record.at_us, record.peer, record.total_us);
    Trace::named(&text).id
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

#[cfg(test)]
#[path = "otlp_test.rs"]
mod tests;
