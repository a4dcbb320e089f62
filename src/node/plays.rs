//! The callback `on_play`, in front of the viewers' service.

use std::rc::Rc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::Pass;
use crate::hooks::{Hooks, Kind};
use crate::net::http::{Reply, Request, Service};
use crate::node::routes;

/// Asks whether somebody may begin to watch: with the first playlist or a live stream, not with
/// each segment. Everything else passes.
pub(super) struct Plays {
    pub(super) hooks: Hooks,
    pub(super) viewers: Rc<dyn Service>,
}

impl Service for Plays {
    fn call(&self, request: Request) -> Reply {
        let Some((room, said)) = self.begins(&request) else {
            return self.viewers.call(request);
        };
        let trace = request.slip.onward();
        let (hooks, viewers) = (self.hooks.clone(), self.viewers.clone());
        Reply::Later(Box::pin(async move {
            if let Err(reason) = hooks.ask_within(trace, Kind::Play, &room, said).await {
                return routes::closed(StatusCode::FORBIDDEN, &reason);
            }
            match viewers.call(request) {
                Reply::Ready(response) => response,
                Reply::Later(later) => later.await,
            }
        }))
    }
}

impl Plays {
    /// The room, and what is asked.
    fn begins(&self, request: &Request) -> Option<(String, Value)> {
        if request.method != Method::GET || !self.hooks.wants(Kind::Play) {
            return None;
        }
        let inside = request.uri.path().strip_prefix("/live/")?;
        let (room, protocol) = match inside.strip_suffix("/index.m3u8") {
            Some(room) => (room, "hls"),
            None => (inside.strip_suffix(".flv")?, "flv"),
        };
        let pass = request.extensions.get::<Pass>();
        let said = json!({
            "protocol": protocol,
            "address": request.peer.ip(),
            "sub": pass.map(Pass::sub),
        });
        Some((room.to_owned(), said))
    }
}
