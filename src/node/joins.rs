//! Newcomers while the node sheds: they come in, wait for their turn, or are sent to another edge.
//! A newcomer asks for a multivariant playlist or for HTTP-FLV; all others are here already.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::net::http::{Body, Reply, Request, Response, Service};
use crate::shed::{Door, Join, Turn};

/// Set in the query of those who are sent on, so that they are not sent on and on.
const REDIRECTED: &str = "redirected";
/// In the query of those who come back: their place.
const QUEUE: &str = "queue";

/// Lets `viewers` answer, at once or when it is the newcomer's turn; else says what he is to do.
/// `target` is the path and query as the peer wrote them.
pub(super) fn pass(
    door: &Door,
    request: Request,
    target: &Uri,
    viewers: &Rc<dyn Service>,
) -> Reply {
    if !is_join(&request) {
        return viewers.call(request);
    }
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
        Turn::Elsewhere(peer) => Reply::Ready(elsewhere(&peer, target)),
    }
}

fn is_join(request: &Request) -> bool {
    let path = request.uri.path();
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_asked = matches!(request.method, Method::GET | Method::HEAD);
    is_asked && path.starts_with("/live/") && (name == "index.m3u8" || name.ends_with(".flv"))
}

fn value_of<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// 503: when to come back, and with what.
fn later(seconds: u32, more: Value) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": "this node has as many viewers as it can serve well: wait for your turn",
        "retry_after_s": seconds,
    });
    if let (Some(problem), Value::Object(more)) = (problem.as_object_mut(), more) {
        problem.extend(more);
    }
    let mut response = open_to_all(Body::from(Bytes::from(problem.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 307: the same path at another edge, which has the same bytes there (D4).
fn elsewhere(peer: &str, target: &Uri) -> Response {
    let path = target.path();
    let location = match target.query() {
        Some(query) => format!("{peer}{path}?{query}&{REDIRECTED}=1"),
        None => format!("{peer}{path}?{REDIRECTED}=1"),
    };
    let mut response = open_to_all(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let location = HeaderValue::try_from(location).expect("a URL of two URLs' parts");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// An answer that pages of any origin may read, for now only.
fn open_to_all(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    let exposed = HeaderValue::from_static("retry-after");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
