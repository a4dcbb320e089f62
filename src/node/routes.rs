//! The one table of who answers which path of the HTTP port.

use std::rc::Rc;

use crate::net::http::{Reply, Request, Service};
use crate::rooms::doors::Doors;

/// The services of one worker.
pub(super) struct Routes {
    /// Everything below `/rooms/ROOM/`.
    pub(super) rooms: Rc<dyn Service>,
    /// Media, pages, and the list of rooms at `/rooms`.
    pub(super) viewers: Rc<dyn Service>,
}

impl Service for Routes {
    fn call(&self, request: Request) -> Reply {
        if Doors::takes(request.uri.path()) {
            self.rooms.call(request)
        } else {
            self.viewers.call(request)
        }
    }
}
