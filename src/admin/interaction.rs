//! What the operator says in a room: cards, pins, sales, and who may speak. Works on any node: the
//! room's origin decides.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use crate::admin::Sources;
use crate::admin::api::{Desk, Fault};
use crate::live;
use crate::media::{Class, RoomName};
use crate::protocol::interact::{Answer, Event, Member, Question, Role};

/// `POST /api/v1/rooms/ROOM/events`: shows a card, a pin, a sale, stock, a notice.
pub(super) async fn program(
    State(desk): Desk,
    room: Path<String>,
    body: Bytes,
) -> Result<Json<Event>, Fault> {
    let (by, program) = (operator(), read(&body)?);
    ask(
        &desk,
        &room,
        Class::Program,
        &Question::Program { by, program },
    )
    .await
}

/// `POST /api/v1/rooms/ROOM/moderation`: mutes, bans, retracts, slows down.
pub(super) async fn moderation(
    State(desk): Desk,
    room: Path<String>,
    body: Bytes,
) -> Result<Json<Event>, Fault> {
    let (by, moderation) = (operator(), read(&body)?);
    ask(
        &desk,
        &room,
        Class::Order,
        &Question::Moderate { by, moderation },
    )
    .await
}

fn operator() -> Member {
    Member {
        id: "operator".into(),
        name: "operator".into(),
        role: Role::Admin,
    }
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Fault> {
    let fault = |error| Fault::new(StatusCode::BAD_REQUEST, format!("the body: {error}"));
    serde_json::from_slice(body).map_err(fault)
}

/// Reads the name of a room.
pub(super) fn room_name(name: &str) -> Result<RoomName, Fault> {
    RoomName::parse(name).map_err(|error| Fault::new(StatusCode::BAD_REQUEST, error))
}

async fn ask(
    desk: &Sources,
    room: &str,
    class: Class,
    question: &Question,
) -> Result<Json<Event>, Fault> {
    let question = live::Question {
        class,
        room: room_name(room)?,
        body: serde_json::to_vec(question)
            .expect("a question has text keys only")
            .into(),
    };
    let unreachable = |error| Fault::new(StatusCode::SERVICE_UNAVAILABLE, error);
    let answer = desk.exchange.ask(question).await.map_err(unreachable)?;
    match serde_json::from_slice(&answer) {
        Ok(Answer::Taken { event }) => Ok(Json(event)),
        Ok(Answer::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            Err(Fault::new(status, refusal.detail))
        }
        Ok(_) | Err(_) => Err(Fault::new(
            StatusCode::BAD_GATEWAY,
            "the room's origin gave an answer that this version does not know",
        )),
    }
}
