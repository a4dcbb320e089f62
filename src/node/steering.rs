//! What a draining node says to those who come: where to go.

use http::{Method, Uri};
use serde_json::json;

use crate::net::http::{Request, Response};
use crate::net::{Alternate, Drain};
use crate::node::detour;
use crate::rooms::doors::Doors;

/// How soon somebody who is turned away may come back, in seconds.
const RETRY_SECONDS: u32 = 1;

/// What a request means for the node that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// Somebody comes to stay.
    Begins,
    /// Somebody who is here asks on, and may as well ask elsewhere.
    GoesOn,
}

/// The answer of a draining node to `request`, when somebody else should answer it. `target` is the
/// path and query as the peer wrote them.
pub(super) fn steer(drain: &Drain, request: &Request, target: &Uri) -> Option<Response> {
    if !drain.is_begun() || !matches!(request.method, Method::GET | Method::HEAD) {
        return None;
    }
    let arrival = arrival(request.uri.path())?;
    match drain.alternate() {
        // Clients do not follow a redirect of an upgrade.
        Some(alternate) if request.upgrade.is_none() => {
            Some(detour::elsewhere(&at(alternate, target)))
        }
        Some(_) => Some(refusal(drain.alternates())),
        None if arrival == Arrival::Begins && drain.turns_away() => Some(refusal(&[])),
        None => None,
    }
}

fn arrival(path: &str) -> Option<Arrival> {
    let name = path.rsplit('/').next()?;
    if Doors::takes(path) {
        return matches!(name, "ws" | "wt" | "events").then_some(Arrival::Begins);
    }
    match name {
        "index.m3u8" => Some(Arrival::Begins),
        "media.m3u8" => Some(Arrival::GoesOn),
        name => name.ends_with(".flv").then_some(Arrival::Begins),
    }
}

/// Where `target` is at another node.
fn at(alternate: &str, target: &Uri) -> String {
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    format!("{alternate}{path}")
}

/// To come back soon, to one of `alternates` if there are any.
fn refusal(alternates: &[Alternate]) -> Response {
    let alternates: Vec<&str> = alternates.iter().map(Alternate::as_str).collect();
    let detail = "this node goes down: go to another one";
    detour::later(detail, RETRY_SECONDS, json!({ "alternates": alternates }))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use bytes::Bytes;
    use http::{HeaderMap, header};

    use super::*;
    use crate::net::http::{Protocol, Upgrade};
    use crate::net::{Onward, Terms};
    use crate::runtime::clock;
    use crate::telemetry::access::Slip;

    fn request(path: &str, upgrade: Option<Upgrade>) -> Request {
        Request {
            method: Method::GET,
            uri: path.parse().unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            upgrade,
            protocol: Protocol::H1,
            secure: false,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            extensions: http::Extensions::new(),
            direct: None,
            slip: Slip::default(),
        }
    }

    /// Status and `location` of the answer to `path`; none: the node answers as ever.
    fn steered(onward: &Onward, path: &str, upgrade: Option<Upgrade>) -> Option<(u16, String)> {
        let drain = Drain::default();
        let request = request(path, upgrade);
        assert!(steer(&drain, &request, &request.uri).is_none());
        let onward = onward.clone();
        let deadline = clock::now();
        drain.begin(Terms { onward, deadline });
        let response = steer(&drain, &request, &request.uri)?;
        let location = response.headers().get(header::LOCATION);
        let location = location.map_or("", |location| location.to_str().unwrap());
        Some((response.status().as_u16(), location.to_owned()))
    }

    #[test]
    fn newcomers_are_sent_on_and_what_is_under_way_is_answered() {
        let to = Onward::to(vec![Alternate::parse("https://edge-2:8443").unwrap()]);
        let sent = |path| steered(&to, path, None);
        let at = |path: &str| Some((307, format!("https://edge-2:8443{path}")));
        for path in [
            "/live/r/index.m3u8?token=x",
            "/live/r.flv?audio=only",
            "/live/r/e1/720p/media.m3u8?_HLS_msn=4",
            "/rooms/r/events?epoch=e1",
        ] {
            assert_eq!(sent(path), at(path), "{path}");
        }
        let socket = steered(&to, "/rooms/r/ws", Some(Upgrade::WebSocket));
        assert_eq!(socket, Some((503, String::new())));
        for path in [
            "/live/r/e1/720p/4.2.m4s",
            "/rooms/r/orders/k",
            "/rooms",
            "/",
        ] {
            assert_eq!(sent(path), None, "{path}");
        }
    }

    #[test]
    fn without_another_node_only_newcomers_are_turned_away() {
        let ask = |path| steered(&Onward::Nowhere, path, None).map(|(status, _)| status);
        assert_eq!(ask("/live/r/index.m3u8"), Some(503));
        assert_eq!(ask("/live/r.flv"), Some(503));
        assert_eq!(ask("/live/r/e1/720p/media.m3u8"), None);
        let ask = |path| steered(&Onward::Successor, path, None);
        assert_eq!(ask("/live/r.flv"), None);
    }
}
