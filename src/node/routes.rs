//! The one way in to the HTTP port: who may come in, and which service answers.
//!
//! Behind it no service sees a token: paths and queries are without, and what the gate says of the
//! visitor is a [`Pass`](crate::auth::Pass) among the request's notes. Rooms ask the gate
//! themselves, because a token is who somebody is there; to them it comes as a field.

use std::rc::Rc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};

use crate::auth::{Gate, Refusal, Visit};
use crate::media::RoomName;
use crate::net::Drain;
use crate::net::acme::Challenges;
use crate::net::http::{Body, Reply, Request, Response, Service, problem};
use crate::node::joins;
use crate::node::steering::steer;
use crate::rooms::doors::Doors;
use crate::runtime::{TaskScope, clock};
use crate::shed::Door;
use crate::telemetry::access::Object;

/// The services of one worker.
pub(super) struct Routes {
    /// Who may come in.
    pub(super) gate: Gate,
    /// Everything below `/rooms/ROOM/`.
    pub(super) rooms: Rc<dyn Service>,
    /// Media, pages, and the list of rooms at `/rooms`.
    pub(super) viewers: Rc<dyn Service>,
    /// What watches the worker.
    pub(super) _watch: TaskScope,
    /// What newcomers among the viewers pass.
    pub(super) door: Door,
    /// The end of them.
    pub(super) drain: Drain,
    /// What a certificate authority looks for.
    pub(super) challenges: Challenges,
}

impl Service for Routes {
    fn call(&self, mut request: Request) -> Reply {
        if let Some(proof) = self.challenges.answer(request.uri.path()) {
            return Reply::Ready(proof);
        }
        let Admitted { to, written } = match self.admit(&mut request) {
            Ok(admitted) => admitted,
            Err(refusal) => return Reply::Ready(refused(&refusal)),
        };
        let target = written.as_ref().unwrap_or(&request.uri);
        if let Some(response) = steer(&self.drain, &request, target) {
            return Reply::Ready(response);
        }
        match to {
            To::Rooms => {
                request.slip.object(|| Object {
                    class: "room",
                    room: room_of(request.uri.path()).into(),
                    ..Object::default()
                });
                self.rooms.call(request)
            }
            To::Viewers => self.viewers.call(request),
            To::Seat => joins::pass(&self.door, request, written.as_ref(), &self.viewers),
            To::Elsewhere(url) => Reply::Ready(moved(&url)),
        }
    }

    fn is_urgent(&self, path: &str) -> bool {
        Doors::takes(path)
    }
}

/// A request that may pass.
struct Admitted {
    to: To,
    /// Path and query as the peer wrote them, where services see others: whoever is sent elsewhere
    /// is asked for his credentials again.
    written: Option<Uri>,
}

/// Where a request goes.
enum To {
    Rooms,
    Viewers,
    /// To the viewers' service, if there is room for one more.
    Seat,
    /// To the same playlist, behind a token that lasts.
    Elsewhere(String),
}

impl Routes {
    /// Asks the gate, and takes the credentials off.
    fn admit(&self, request: &mut Request) -> Result<Admitted, Refusal> {
        let field = request.headers.get(header::AUTHORIZATION);
        let visit = Visit {
            path: request.uri.path(),
            query: request.uri.query().unwrap_or_default(),
            authorization: field.and_then(|value| value.to_str().ok()),
            address: request.peer.ip(),
            now_s: clock::unix_us() / 1_000_000,
        };
        let bare = visit.bare();
        if Doors::takes(bare.path) {
            let bearer = bare.token.map(|token| format!("Bearer {token}"));
            let bearer = bearer.map(HeaderValue::try_from).transpose();
            let bearer = bearer.map_err(|_| Refusal::Malformed)?;
            let uri = rewritten(&visit, bare.path, &bare.query);
            if let Some(bearer) = bearer {
                request.headers.insert(header::AUTHORIZATION, bearer);
            }
            return Ok(To::Rooms.under(uri, request));
        }
        // A preflight can carry no token, and is told nothing.
        if request.method == Method::OPTIONS {
            return Ok(To::Viewers.under(None, request));
        }
        let grant = self.gate.play(&visit)?;
        if let Some(url) = grant.elsewhere {
            return Ok(To::Elsewhere(url).under(None, request));
        }
        let uri = rewritten(&visit, grant.path, &grant.query);
        request.slip.kid(grant.pass.kid());
        if !joins::is_join(&request.method, grant.path) {
            return Ok(To::Viewers.under(uri, request));
        }
        let pass = grant.pass;
        let admitted = To::Seat.under(uri, request);
        // Who comes to stay is looked at again while he does.
        request.extensions.insert(pass);
        Ok(admitted)
    }
}

impl To {
    /// `request` goes here, as one for `uri` if that is another one.
    fn under(self, uri: Option<Uri>, request: &mut Request) -> Admitted {
        Admitted {
            to: self,
            written: uri.map(|uri| std::mem::replace(&mut request.uri, uri)),
        }
    }
}

/// The second step of `/rooms/ROOM/...`, as far as it can be a room's name.
fn room_of(path: &str) -> &str {
    let name = path.split('/').nth(2).unwrap_or_default();
    match RoomName::parse(name) {
        Ok(_) => name,
        Err(_) => "",
    }
}

/// The URI that services see, when it is another than that of `visit`.
fn rewritten(visit: &Visit<'_>, path: &str, query: &str) -> Option<Uri> {
    // Credentials are taken off and nothing else is done: what is as long as it was is the same.
    if (path.len(), query.len()) == (visit.path.len(), visit.query.len()) {
        return None;
    }
    let text = match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    Some(Uri::try_from(text).expect("parts of a URI are one"))
}

/// A refusal as a problem.
fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::FORBIDDEN);
    closed(status, &refusal.to_string())
}

/// A problem that nothing keeps and pages of any origin may read.
pub(super) fn closed(status: StatusCode, detail: &str) -> Response {
    let mut response = problem(status, detail);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    private(headers);
    response
}

/// The way to the same playlist behind a token that lasts. The address holds the token: nothing
/// may keep it.
fn moved(url: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    let url = HeaderValue::try_from(url).expect("tokens, paths and queries are visible ASCII");
    headers.insert(header::LOCATION, url);
    private(headers);
    response
}

fn private(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
}

#[cfg(test)]
#[path = "routes_test.rs"]
mod tests;
