//! What the operator says in a room: cards, pins, sales, and who may speak. Works on any node: the
//! room's origin decides.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;

use crate::admin::api::{Desk, problem};
use crate::live;
use crate::media::{Class, RoomName};
use crate::protocol::interact::{Answer, Member, Question, Role};

/// `POST /api/v1/rooms/ROOM/events`: shows a card, a pin, a sale, stock, a notice.
pub(super) async fn program(desk: Desk, room: Path<String>, body: Bytes) -> Response {
    match read(&body) {
        Ok(program) => {
            let by = operator();
            ask(
                desk,
                &room,
                Class::Program,
                &Question::Program { by, program },
            )
            .await
        }
        Err(fault) => fault,
    }
}

/// `POST /api/v1/rooms/ROOM/moderation`: mutes, bans, retracts, slows down.
pub(super) async fn moderation(desk: Desk, room: Path<String>, body: Bytes) -> Response {
    match read(&body) {
        Ok(moderation) => {
            let by = operator();
            ask(
                desk,
                &room,
                Class::Order,
                &Question::Moderate { by, moderation },
            )
            .await
        }
        Err(fault) => fault,
    }
}

fn operator() -> Member {
    Member {
        id: "operator".into(),
        name: "operator".into(),
        role: Role::Admin,
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Response> {
    serde_json::from_slice(body)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, &format!("the body: {error}")))
}

async fn ask(State(desk): Desk, room: &str, class: Class, question: &Question) -> Response {
    let room = match RoomName::parse(room) {
        Ok(room) => room,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let body = serde_json::to_vec(question).expect("a question has text keys only");
    let body = body.into();
    let question = live::Question { class, room, body };
    let answer = match desk.exchange.ask(question).await {
        Ok(answer) => answer,
        Err(error) => return problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    };
    match serde_json::from_slice(&answer) {
        Ok(Answer::Taken { event }) => Json(event).into_response(),
        Ok(Answer::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            problem(status, &refusal.detail)
        }
        Ok(_) | Err(_) => problem(
            StatusCode::BAD_GATEWAY,
            "the room's origin gave an answer that this version does not know",
        ),
    }
}
