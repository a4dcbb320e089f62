//! Cutting a show: what an operator does when it must not go on.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::admin::api::{Desk, Fault};
use crate::admin::interaction::{read, room_name};
use crate::media::RoomName;

/// The longest that a room is kept closed: a day.
const BLOCK_SECONDS_MAX: u32 = 86_400;

/// How a show is cut.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cut {
    /// How long the room takes no publisher on this node.
    block_seconds: u32,
}

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    room: RoomName,
    cut: bool,
    blocked_seconds: u32,
}

/// `POST /api/v1/rooms/ROOM/cut`: ends what is published here at once, on all edges too.
pub(super) async fn cut(
    State(desk): Desk,
    room: Path<String>,
    body: Bytes,
) -> Result<Json<Done>, Fault> {
    let (room, cut) = (room_name(&room)?, parse(&body)?);
    let Some(publishers) = desk.publishers.as_ref() else {
        let text = "nobody can publish on this node: cut the room where its host does";
        return Err(Fault::new(StatusCode::NOT_FOUND, text));
    };
    let blocked = Duration::from_secs(cut.block_seconds.into());
    let done = Done {
        cut: publishers.cut(&room, blocked),
        room,
        blocked_seconds: cut.block_seconds,
    };
    if !done.cut && cut.block_seconds == 0 {
        let text = "nobody publishes this room on this node";
        return Err(Fault::new(StatusCode::NOT_FOUND, text));
    }
    Ok(Json(done))
}

fn parse(body: &Bytes) -> Result<Cut, Fault> {
    if body.is_empty() {
        return Ok(Cut::default());
    }
    let cut: Cut = read(body)?;
    if cut.block_seconds > BLOCK_SECONDS_MAX {
        let text = format!("block_seconds: use 0 to {BLOCK_SECONDS_MAX}");
        return Err(Fault::new(StatusCode::BAD_REQUEST, text));
    }
    Ok(cut)
}
