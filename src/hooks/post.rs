//! One post to one service.

use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::BytesMut;
use serde::Deserialize;

use crate::hooks::{Event, signature};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// The longest reason that is passed on, in characters.
const REASON_CHARACTERS_MAX: usize = 120;

/// Posts with one signature.
#[derive(Debug)]
pub(super) struct Poster {
    http: reqwest::Client,
    key: hmac::Key,
}

/// What became of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Taken; for a question: yes.
    Allowed,
    /// No, and why.
    Denied(String),
    /// It will never be taken.
    Refused(u16),
    /// Not now: late, unreachable, overloaded.
    Failed(&'static str),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    decision: String,
    reason: String,
}

impl Poster {
    pub(super) fn new(secret: &str) -> Self {
        let http = reqwest::Client::builder()
            .user_agent(concat!("rushlane/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("the builder's settings are constant");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self { http, key }
    }

    /// Posts `event` to `url` and reads the answer, all in `limit`.
    pub(super) async fn post(&self, url: &str, event: &Event, limit: Duration) -> Outcome {
        let post = self.http.post(url).timeout(limit);
        let post = post.header("idempotency-key", &event.id);
        let sent = signature::signed(post, &self.key, event.body.clone(), event.trace);
        let why = |error: reqwest::Error| {
            let why = if error.is_timeout() { "late" } else { "failed" };
            Outcome::Failed(why)
        };
        let mut response = match sent.send().await {
            Ok(response) => response,
            Err(error) => return why(error),
        };
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => return Outcome::Failed("failed"),
                Ok(None) => return outcome(status, &body),
                Err(error) => return why(error),
            }
        }
    }
}

/// What an answer means: `decision` where one stands, else its status.
fn outcome(status: u16, body: &[u8]) -> Outcome {
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    let denies = answer.decision == "deny";
    match status {
        200..=299 if !denies => Outcome::Allowed,
        200..=299 | 401 | 403 => {
            let visible = answer.reason.chars().filter(|c| !c.is_control());
            Outcome::Denied(visible.take(REASON_CHARACTERS_MAX).collect())
        }
        408 | 425 | 429 => Outcome::Failed("busy"),
        400..=499 => Outcome::Refused(status),
        _ => Outcome::Failed("failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_page_on_callbacks_says() {
        let check = |status, body: &str, expected| {
            assert_eq!(
                outcome(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        };
        check(204, "", Outcome::Allowed);
        check(200, r#"{"decision":"allow"}"#, Outcome::Allowed);
        check(200, "<html>", Outcome::Allowed);
        let denied = Outcome::Denied("not today".into());
        check(200, r#"{"decision":"deny","reason":"not\n today"}"#, denied);
        check(403, "", Outcome::Denied(String::new()));
        check(404, "", Outcome::Refused(404));
        check(429, "", Outcome::Failed("busy"));
        check(302, "", Outcome::Failed("failed"));
        check(500, r#"{"decision":"allow"}"#, Outcome::Failed("failed"));
    }
}
