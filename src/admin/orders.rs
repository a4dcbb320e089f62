//! Orders and decisions of moderation, as the operator sees them on the origin that keeps them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::Sources;
use crate::admin::api::{Desk, Fault};
use crate::admin::interaction::{read, room_name};
use crate::ledger;
use crate::rooms::orders::{self, AnswerError, Decision, Filter, OrderView};

/// The most records of an audit trail in one answer.
const AUDIT_MAX: usize = 1000;

/// `GET /api/v1/orders?room=&state=&max=`.
pub(super) async fn list(
    State(desk): Desk,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Fault> {
    let orders = book(&desk)?.list(&filter).await.map_err(down)?;
    Ok(Json(json!({ "orders": orders })))
}

/// `POST /api/v1/orders/redrive`: sends orders that were given up to the merchant again.
pub(super) async fn redrive(State(desk): Desk, body: Bytes) -> Result<Json<Value>, Fault> {
    let filter = match body.is_empty() {
        true => Filter::default(),
        false => read(&body)?,
    };
    let count = book(&desk)?.redrive(&filter).await.map_err(down)?;
    Ok(Json(json!({ "redriven": count })))
}

/// `POST /api/v1/orders/ROOM/KEY/answer`: the merchant's decision, when it comes by itself.
pub(super) async fn answer(
    State(desk): Desk,
    Path((room, key)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<OrderView>, Fault> {
    let (room, decision): (_, Decision) = (room_name(&room)?, read(&body)?);
    let order = book(&desk)?.answer(&room, &key, decision).await;
    order.map(Json).map_err(|error| {
        let status = match error {
            AnswerError::NoOrder => StatusCode::NOT_FOUND,
            AnswerError::NoDecision(_) => StatusCode::BAD_REQUEST,
            AnswerError::Decided(_) => StatusCode::CONFLICT,
            AnswerError::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Fault::new(status, error)
    })
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
) -> Result<Json<Value>, Fault> {
    let rooms = desk.rooms.as_ref().ok_or_else(not_here)?;
    let room = room_name(&room)?;
    let records = rooms.audit(&room, page.before, page.max.min(AUDIT_MAX));
    Ok(Json(json!({ "audit": records.await.map_err(down)? })))
}

fn book(desk: &Sources) -> Result<&orders::Desk, Fault> {
    desk.orders.as_ref().ok_or_else(not_here)
}

fn not_here() -> Fault {
    let detail = "this node keeps no ledger: ask the origin of the room";
    Fault::new(StatusCode::NOT_FOUND, detail)
}

fn down(error: ledger::Error) -> Fault {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, error)
}
