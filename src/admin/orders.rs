//! Orders and decisions of moderation, as the operator sees them on the origin that keeps them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::api::{Desk, problem};
use crate::admin::interaction::read;
use crate::ledger;
use crate::media::RoomName;
use crate::rooms::orders::{self, AnswerError, Decision, Filter};

/// The most records of an audit trail in one answer.
const AUDIT_MAX: usize = 1000;

/// `GET /api/v1/orders?room=&state=&max=`.
pub(super) async fn list(State(desk): Desk, Query(filter): Query<Filter>) -> Response {
    match book(&desk) {
        Ok(book) => reply(
            book.list(&filter)
                .await
                .map(|orders| json!({ "orders": orders })),
        ),
        Err(missing) => missing,
    }
}

/// `POST /api/v1/orders/redrive`: sends orders that were given up to the merchant again.
pub(super) async fn redrive(State(desk): Desk, body: Bytes) -> Response {
    let filter: Filter = match body.is_empty() {
        true => Filter::default(),
        false => match read(&body) {
            Ok(filter) => filter,
            Err(fault) => return fault,
        },
    };
    match book(&desk) {
        Ok(book) => reply(
            book.redrive(&filter)
                .await
                .map(|count| json!({ "redriven": count })),
        ),
        Err(missing) => missing,
    }
}

/// `POST /api/v1/orders/ROOM/KEY/answer`: the merchant's decision, when it comes by itself.
pub(super) async fn answer(
    State(desk): Desk,
    Path((room, key)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let decision: Decision = match read(&body) {
        Ok(decision) => decision,
        Err(fault) => return fault,
    };
    let room = match RoomName::parse(&room) {
        Ok(room) => room,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let book = match book(&desk) {
        Ok(book) => book,
        Err(missing) => return missing,
    };
    match book.answer(&room, &key, decision).await {
        Ok(order) => Json(order).into_response(),
        Err(error) => {
            let status = match error {
                AnswerError::NoOrder => StatusCode::NOT_FOUND,
                AnswerError::NoDecision(_) => StatusCode::BAD_REQUEST,
                AnswerError::Decided(_) => StatusCode::CONFLICT,
                AnswerError::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            problem(status, &error.to_string())
        }
    }
}

/// Which part of an audit trail.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// Records from before this, in milliseconds since 1970; none: the newest.
    before: Option<i64>,
    /// At most this many.
    #[serde(default = "page_max")]
    max: usize,
}

const fn page_max() -> usize {
    100
}

/// `GET /api/v1/rooms/ROOM/audit?before=&max=`.
pub(super) async fn audit(
    State(desk): Desk,
    Path(room): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    let Some(rooms) = &desk.rooms else {
        return not_here();
    };
    let room = match RoomName::parse(&room) {
        Ok(room) => room,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let records = rooms.audit(&room, page.before, page.max.min(AUDIT_MAX));
    reply(records.await.map(|records| json!({ "audit": records })))
}

fn book(desk: &crate::admin::Sources) -> Result<&orders::Desk, Response> {
    desk.orders.as_ref().ok_or_else(not_here)
}

fn not_here() -> Response {
    let detail = "this node keeps no ledger: ask the origin of the room";
    problem(StatusCode::NOT_FOUND, detail)
}

fn reply(result: Result<Value, ledger::Error>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}
