//! Newcomers while the node sheds: they come in, wait for their turn, or are sent to another edge.
//! A newcomer asks for a multivariant playlist or for HTTP-FLV; all others are here already.

use std::rc::Rc;

use http::{Method, Uri};
use serde_json::{Value, json};

use crate::net::http::{Reply, Request, Response, Service};
use crate::node::detour;
use crate::shed::{Door, Join, Turn};

/// Set in the query of those who are sent on, so that they are not sent on and on.
const REDIRECTED: &str = "redirected";
/// In the query of those who come back: their place.
const QUEUE: &str = "queue";

/// Lets `viewers` answer a newcomer, at once or when it is his turn; else says what he is to do.
/// `written` is his path and query as he wrote them, where they are others than the request's.
pub(super) fn pass(
    door: &Door,
    request: Request,
    written: Option<&Uri>,
    viewers: &Rc<dyn Service>,
) -> Reply {
    let target = written.unwrap_or(&request.uri);
    let query = target.query().unwrap_or_default();
    let join = Join {
        address: request.peer.ip(),
        ticket: value_of(query, QUEUE),
        is_redirected: value_of(query, REDIRECTED).is_some(),
    };
    match door.join(&join) {
        Turn::Now => viewers.call(request),
        Turn::Hold(until) => {
            let viewers = viewers.clone();
            Reply::Later(Box::pin(async move {
                tokio::time::sleep_until(until).await;
                match viewers.call(request) {
                    Reply::Ready(response) => response,
                    Reply::Later(later) => later.await,
                }
            }))
        }
        Turn::Later {
            place,
            seconds,
            ticket,
        } => Reply::Ready(later(seconds, json!({ "place": place, "ticket": ticket }))),
        Turn::Full(seconds) => Reply::Ready(later(seconds, json!({}))),
        Turn::Elsewhere(peer) => Reply::Ready(detour::elsewhere(&at(&peer, target))),
    }
}

/// True when somebody comes who will stay.
pub(super) fn is_join(method: &Method, path: &str) -> bool {
    let begins = path.ends_with("/index.m3u8") || path.ends_with(".flv");
    begins && path.starts_with("/live/") && matches!(*method, Method::GET | Method::HEAD)
}

fn value_of<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// To come back when there may be room, with what shows the place in the queue.
fn later(seconds: u32, more: Value) -> Response {
    let detail = "this node has as many viewers as it can serve well: wait for your turn";
    detour::later(detail, seconds, more)
}

/// Where `target` is at another edge, with a mark.
fn at(peer: &str, target: &Uri) -> String {
    let path = target.path();
    match target.query() {
        Some(query) => format!("{peer}{path}?{query}&{REDIRECTED}=1"),
        None => format!("{peer}{path}?{REDIRECTED}=1"),
    }
}
