//! Why is this room late? The hop waterfall of a room, and the first bad hop in words (R11.1 to
//! R11.4).
//!
//! A [`Monitor`] on each node reads, once a second, the stamps of the frames that came, the pulse
//! of the room's viewers and the node's own vital signs, and keeps five minutes of quantiles. What
//! the stamps cannot tell (an origin whose CPU is short, a host that pauses) the nodes above tell
//! as [`Testimony`], asked over the same line as questions about rooms.
//!
//! Invariant: looking asks for no frame; only what readers have brought here is seen.

mod course;
mod hops;
mod ingest;
mod monitor;
mod room;
mod verdict;
mod witness;
mod words;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::admin::api::{Desk, problem};

pub use monitor::{Monitor, Parts};
pub use witness::{Child, Ingest, Testimony, Witness};

/// `GET /api/v1/rooms/ROOM/why`.
pub(super) async fn answer(State(sources): Desk, Path(room): Path<String>) -> Response {
    let Some(monitor) = &sources.why else {
        let text = "this node watches no rooms";
        return problem(StatusCode::NOT_FOUND, text);
    };
    match monitor.explain(&room).await {
        Some(answer) => Json(answer).into_response(),
        None => problem(StatusCode::NOT_FOUND, "this room is not live on this node"),
    }
}
