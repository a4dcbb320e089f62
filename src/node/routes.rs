//! The one table of who answers which path of the HTTP port.

use std::rc::Rc;

use crate::net::http::{Reply, Request, Service};

/// The services of one worker.
pub(super) struct Routes {
    /// Everything below `/rooms/ROOM/`.
    pub(super) rooms: Rc<dyn Service>,
    /// Media, pages, and the list of rooms at `/rooms`.
    pub(super) viewers: Rc<dyn Service>,
}

impl Service for Routes {
    fn call(&self, request: Request) -> Reply {
        if is_of_a_room(request.uri.path()) {
            self.rooms.call(request)
        } else {
            self.viewers.call(request)
        }
    }
}

/// True for `/rooms/ROOM/...`, also behind a token (`/t/TOKEN/rooms/ROOM/...`).
fn is_of_a_room(path: &str) -> bool {
    let bare = path
        .strip_prefix("/t/")
        .and_then(|rest| rest.split_once('/'));
    let path = bare.map_or_else(|| path.strip_prefix('/'), |(_, rest)| Some(rest));
    path.is_some_and(|path| path.starts_with("rooms/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_told_from_media_and_pages() {
        for path in ["/rooms/a/ws", "/rooms/a", "/t/abc.def/rooms/a/events"] {
            assert!(is_of_a_room(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/rooms",
            "/live/rooms/a",
            "/t/rooms/a",
            "/watch/rooms",
            "rooms/a",
        ] {
            assert!(!is_of_a_room(path), "{path}");
        }
    }
}
