//! How a node is asked to drain, and how far it is.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::admin::Sources;
use crate::admin::api::{Desk, Fault};
use crate::admin::interaction::read;
use crate::net::{ALTERNATES_MAX, Alternate, Drain};
use crate::runtime::clock;

/// The longest deadline, in seconds: a show is over by then.
pub const DEADLINE_SECONDS_MAX: u32 = 86_400;

/// What an operator says of a drain that shall begin; what is left out is as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// How long it may take, in seconds.
    pub deadline_seconds: Option<u32>,
    /// Where viewers go.
    pub alternates: Option<Vec<Alternate>>,
}

/// How the node that an admin port belongs to is asked for its end.
#[derive(Debug, Clone)]
pub struct Stops {
    /// The node's drain.
    pub drain: Drain,
    /// Takes what is asked for; more than one at a time is one.
    pub asked: mpsc::Sender<Asked>,
}

/// What an operator asks of a node as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To send everybody away, and to end.
    Drain(Wish),
    /// To let another process take its place, of the program as it is on disk now.
    Upgrade,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    deadline_seconds: Option<u32>,
    alternates: Option<Vec<String>>,
}

impl Stops {
    /// For a drain, with whoever shall begin it.
    #[must_use]
    pub fn new(drain: Drain) -> (Self, mpsc::Receiver<Asked>) {
        let (asked, asks) = mpsc::channel(1);
        (Self { drain, asked }, asks)
    }
}

/// `GET /api/v1/drain`.
pub(super) async fn state(State(desk): Desk) -> Json<Value> {
    Json(describe(&desk))
}

/// `POST /api/v1/drain`: asks the node to drain and to end. One that has begun goes on as it is.
pub(super) async fn begin(State(desk): Desk, body: Bytes) -> Result<Response, Fault> {
    let body: Body = match body.is_empty() {
        true => Body::default(),
        false => read(&body)?,
    };
    let wish = wish(body).map_err(|detail| Fault::new(StatusCode::BAD_REQUEST, detail))?;
    // A full queue means that somebody has asked already.
    if !desk.stops.drain.is_begun() && desk.stops.asked.try_send(Asked::Drain(wish)).is_ok() {
        desk.stops.drain.begun().await;
    }
    Ok((StatusCode::ACCEPTED, Json(describe(&desk))).into_response())
}

/// `POST /api/v1/upgrade`: asks the node to let another process take its place. When that fails,
/// the node serves on and shows why.
pub(super) async fn upgrade(State(desk): Desk) -> Result<Response, Fault> {
    if desk.stops.drain.is_begun() {
        let detail = "this process drains already";
        return Err(Fault::new(StatusCode::CONFLICT, detail));
    }
    let _asked_already = desk.stops.asked.try_send(Asked::Upgrade).is_err();
    Ok((StatusCode::ACCEPTED, Json(describe(&desk))).into_response())
}

fn wish(body: Body) -> Result<Wish, String> {
    if let Some(seconds) = body.deadline_seconds
        && !(1..=DEADLINE_SECONDS_MAX).contains(&seconds)
    {
        return Err(format!("deadline_seconds: use 1 to {DEADLINE_SECONDS_MAX}"));
    }
    let parse = |urls: Vec<String>| -> Result<Vec<Alternate>, String> {
        if urls.len() > ALTERNATES_MAX {
            return Err(format!("alternates: name at most {ALTERNATES_MAX}"));
        }
        let parsed = urls.iter().map(|url| Alternate::parse(url));
        parsed
            .collect::<Result<_, _>>()
            .map_err(|fault| format!("alternates: {fault}"))
    };
    Ok(Wish {
        deadline_seconds: body.deadline_seconds,
        alternates: body.alternates.map(parse).transpose()?,
    })
}

fn describe(desk: &Sources) -> Value {
    let terms = desk.stops.drain.terms();
    let left_ms = terms.map(|terms| {
        let left = terms.deadline.saturating_duration_since(clock::now());
        i64::try_from(left.as_millis()).unwrap_or(i64::MAX)
    });
    let alternates: Vec<&str> = desk
        .stops
        .drain
        .alternates()
        .iter()
        .map(Alternate::as_str)
        .collect();
    json!({
        "state": if terms.is_some() { "draining" } else { "serving" },
        "onward": terms.map(|terms| terms.onward.as_str()),
        "alternates": alternates,
        "deadline_ms": left_ms.map(|left_ms| clock::unix_us() / 1000 + left_ms),
        "connections": desk.http.as_ref().map_or(0, |http| http.open_connections()),
        "children": desk.children.as_ref().map_or(0, |children| children.status().len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Onward;

    #[test]
    fn wishes_are_checked_before_anything_happens() {
        let parse = |text: &str| wish(serde_json::from_str(text).unwrap());
        assert_eq!(parse("{}"), Ok(Wish::default()));
        let named = parse(r#"{"deadline_seconds":60,"alternates":["https://edge-2"]}"#).unwrap();
        assert_eq!(named.deadline_seconds, Some(60));
        assert_eq!(
            named.alternates.map(Onward::to).unwrap().as_str(),
            "alternates"
        );
        for text in [
            r#"{"deadline_seconds":0}"#,
            r#"{"deadline_seconds":86401}"#,
            r#"{"alternates":["edge-2"]}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
