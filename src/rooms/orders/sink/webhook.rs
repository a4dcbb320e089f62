//! A merchant's web service: a signed POST for each attempt (docs/MERCHANTS.md).

use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::{Bytes, BytesMut};
use http::header;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::request;
use crate::hooks::signature;
use crate::ledger::{Order, State};
use crate::rooms::orders::life::Outcome;
use crate::rooms::orders::{Decision, Webhook};
use crate::telemetry::access::Trace;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The web service.
#[derive(Debug)]
pub(in crate::rooms::orders) struct Sink {
    http: reqwest::Client,
    url: String,
    key: hmac::Key,
    timeout: Duration,
}

/// What a merchant answers; fields that are not known are skipped.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    reference: Option<String>,
}

impl Sink {
    pub(super) fn new(config: &Webhook) -> Self {
        let timeout = Duration::from_millis(config.timeout_ms);
        let http = reqwest::Client::builder()
            .user_agent(concat!("rushlane/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout)
            .timeout(timeout)
            .build()
            .expect("the builder's settings are constant");
        Self {
            http,
            url: config.url.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, config.secret.as_bytes()),
            timeout,
        }
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether somebody accepts connections at the address; nothing is sent.
    pub(super) async fn reach(&self) -> Result<(), String> {
        let url = reqwest::Url::parse(&self.url).ok();
        let place = url
            .as_ref()
            .and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
        let Some((host, port)) = place else {
            return Err("the address of the webhook cannot be used".into());
        };
        // As URLs write IPv6 addresses.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match timeout(self.timeout, TcpStream::connect((host, port))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("no connection: {}", error.kind())),
            Err(_) => Err("no connection in time".into()),
        }
    }

    pub(super) async fn attempt(&self, order: &Order) -> Outcome {
        let body = request(order);
        let post = self.http.post(&self.url);
        let post = post.header("idempotency-key", &*order.id.key);
        let trace = Trace::named(&order.id.key);
        let sent = signature::signed(post, &self.key, body, trace).send().await;
        match read(sent).await {
            Ok((status, after, answer)) => outcome(status, after, &answer),
            Err(error) => Outcome::Later {
                why: said(&error),
                after: None,
            },
        }
    }
}

type Read = (u16, Option<Duration>, Bytes);

async fn read(sent: Result<reqwest::Response, reqwest::Error>) -> Result<Read, reqwest::Error> {
    let mut response = sent?;
    let after = response.headers().get(header::RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            body.truncate(ANSWER_BYTES_MAX);
            break;
        }
    }
    let status = response.status().as_u16();
    Ok((status, after.map(Duration::from_secs), body.freeze()))
}

/// What an answer means: a decision wherever one may stand, else by its status.
fn outcome(status: u16, after: Option<Duration>, body: &[u8]) -> Outcome {
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    let state = match answer.state.as_deref() {
        Some("confirmed") => Some(State::Confirmed),
        Some("rejected") => Some(State::Rejected),
        _ => None,
    };
    let why = format!("HTTP {status}");
    match (status, state) {
        (200..=299, Some(state)) | (400..=499, Some(state @ State::Rejected)) => {
            Outcome::Decided(Decision {
                state,
                reason: answer.reason,
                reference: answer.reference,
            })
        }
        (200..=299, _) => Outcome::Taken,
        // This order, whoever sends it whenever.
        (400 | 413 | 415 | 422, _) => Outcome::Never { why },
        // Else all orders alike (an address, a secret, a server), or just not now.
        _ => Outcome::Later { why, after },
    }
}

/// What happened to a request, without the address: it may hold a secret.
fn said(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_builder() {
        "the address of the webhook cannot be used"
    } else {
        "the connection broke"
    };
    what.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_page_for_merchants_says() {
        let check = |status, body: &str, expected: &str| {
            let outcome = outcome(status, None, body.as_bytes());
            let found = match &outcome {
                Outcome::Decided(decision) => decision.state.as_str(),
                other => other.as_str(),
            };
            assert_eq!(found, expected, "{status} {body}");
        };
        check(
            200,
            r#"{"state":"confirmed","reference":"A-1"}"#,
            "confirmed",
        );
        check(
            200,
            r#"{"state":"rejected","reason":"sold out"}"#,
            "rejected",
        );
        check(202, "", "taken");
        check(200, r#"{"state":"thinking"}"#, "taken");
        check(200, "<html>", "taken");
        check(
            422,
            r#"{"state":"rejected","reason":"no such sku"}"#,
            "rejected",
        );
        check(422, r#"{"state":"confirmed"}"#, "never");
        check(400, "", "never");
        check(500, r#"{"state":"confirmed"}"#, "later");
        for status in [301, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503] {
            check(status, "", "later");
        }
    }
}
