//! The deny list: who is kept out although he has a token.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::admin::api::{Desk, Fault};
use crate::admin::interaction::read;
use crate::auth;

/// `GET /api/v1/deny`: all entries in force, whoever is their author.
pub(super) async fn list(State(desk): Desk) -> Json<Value> {
    let entries = desk.gate.denied().entries().into_iter();
    let entries = entries.map(|(author, entry)| {
        let mut entry = json!(entry);
        entry["author"] = json!(author);
        entry
    });
    Json(json!({ "entries": entries.collect::<Vec<_>>() }))
}

/// `POST /api/v1/deny`: adds an entry. `unsaved` says why it will not outlive this process, if so.
pub(super) async fn add(State(desk): Desk, body: Bytes) -> Result<Json<Value>, Fault> {
    let added = desk.gate.denied().add(read(&body)?).map_err(fault)?;
    let entry = &added.value;
    tracing::info!(id = entry.id, reason = entry.reason, "access withdrawn");
    let mut answer = json!(entry);
    if let Some(why) = added.unsaved {
        answer["unsaved"] = why.into();
    }
    Ok(Json(answer))
}

/// `DELETE /api/v1/deny/ID`: takes an entry away.
pub(super) async fn remove(
    State(desk): Desk,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let removed = desk.gate.denied().remove(&id).map_err(fault)?;
    if !removed.value {
        let detail = "this node has no such entry: its author, an origin, can remove it";
        return Err(Fault::new(StatusCode::NOT_FOUND, detail));
    }
    tracing::info!(id, "access given back");
    let mut answer = json!({ "removed": id });
    if let Some(why) = removed.unsaved {
        answer["unsaved"] = why.into();
    }
    Ok(Json(answer))
}

fn fault(fault: auth::Fault) -> Fault {
    let status = match &fault {
        auth::Fault::NoAuthor => StatusCode::CONFLICT,
        auth::Fault::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
        auth::Fault::Nobody | auth::Fault::Field { .. } => StatusCode::BAD_REQUEST,
    };
    Fault::new(status, fault)
}
