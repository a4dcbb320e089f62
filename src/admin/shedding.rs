//! What the node gives up: shown, and by the operator's word.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::admin::api::{Desk, Fault};
use crate::shed::{Level, Status};

/// How long the operator's word stands when he does not say.
const SECONDS_USUAL: u64 = 600;
/// The longest that it stands: what is forgotten for longer than a night shall not be for ever.
const SECONDS_MAX: u64 = 86_400;

/// The operator's word.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    /// Where the node is held; `null`: the budgets decide again.
    level: Option<Level>,
    /// For how long.
    seconds: Option<u64>,
}

/// `GET /api/v1/shed`.
pub(super) async fn status(State(sources): Desk) -> Json<Status> {
    Json(sources.shedding.gauge().status())
}

/// `POST /api/v1/shed`.
pub(super) async fn force(
    State(sources): Desk,
    Json(word): Json<Word>,
) -> Result<Json<Status>, Fault> {
    let seconds = word.seconds.unwrap_or(SECONDS_USUAL);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        let detail = format!("`seconds` has to be 1 to {SECONDS_MAX}");
        return Err(Fault::new(StatusCode::BAD_REQUEST, detail));
    }
    let level = word.level.map_or("as the budgets say", Level::as_str);
    tracing::info!(level, seconds, "the operator sets what is shed");
    let status = sources
        .shedding
        .force(word.level, Duration::from_secs(seconds));
    Ok(Json(status))
}
