//! The viewer service of one worker: one table from paths to answers.

use std::rc::Rc;

use http::{Method, StatusCode};

use crate::auth::Pass;
use crate::delivery::flv::{self, Halls};
use crate::delivery::hls::{self, Answers, Ask};
use crate::delivery::reply::{self, Conditions};
use crate::delivery::rooms::List;
use crate::delivery::route::{Object, Route};
use crate::delivery::{Delivery, collector, pages};
use crate::net::http::{Body, Reply, Request, Response, Service};
use crate::packaging::hls::Lifetime;
use crate::runtime::TaskScope;
use crate::telemetry::access::{self, Slip};

/// How long the list of rooms may be kept, in seconds.
const ROOMS: Lifetime = Lifetime::Seconds(1);

/// What a worker answers with.
pub(super) struct Worker {
    delivery: Delivery,
    answers: Rc<Answers>,
    halls: Rc<Halls>,
}

impl Worker {
    pub(super) fn new(delivery: Delivery, scope: &TaskScope) -> Self {
        Self {
            answers: delivery.0.hls.answers(scope.clone()),
            halls: delivery.0.flv.halls(scope.clone()),
            delivery,
        }
    }

    fn flv(&self, room: &str, query: &str, request: &Request) -> Response {
        if self.halls.is_draining() {
            return reply::busy(1, "this node is going down: try another one");
        }
        let broadcast = self.delivery.0.store.room(room);
        let Some(broadcast) = broadcast.filter(|found| !found.is_ended()) else {
            return hls::no_room();
        };
        let query = flv::Query::parse(query);
        let body = query.and_then(|query| {
            let pass = request.extensions.get::<Pass>().cloned();
            self.halls.body(broadcast, &query, pass, request.upgrade)
        });
        match body {
            // The length is not known and nobody shall sit down for a head alone.
            Ok(_) if request.method == Method::HEAD => reply::live(reply::FLV, Body::empty()),
            Ok(body @ Body::Duplex(_)) => Response::new(body),
            Ok(body) => reply::live(reply::FLV, body),
            Err(refusal) => refused(&refusal),
        }
    }
}

impl Worker {
    /// Notes who comes, and when he has his first media.
    fn newcomer(&self, request: &Request, route: Option<&Route<'_>>) {
        let starts = self.delivery.0.audiences.starts();
        let peer = request.peer.ip();
        match route {
            Some(Route::Index { room }) => starts.begin(peer, room),
            Some(Route::Hls {
                room,
                object: Object::Segment(_) | Object::Part(..),
                ..
            }) => {
                if let Some(start) = starts.media(peer, room) {
                    request.slip.when_answered(move || start.done());
                }
            }
            _ => {}
        }
    }
}

impl Service for Worker {
    fn call(&self, mut request: Request) -> Reply {
        if request.uri.path() == collector::PATH {
            let inner = &self.delivery.0;
            return Reply::Ready(inner.collector.take(&request, &inner.store));
        }
        match request.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Reply::Ready(reply::preflight()),
            _ => {
                let text = "viewers may GET, HEAD and OPTIONS";
                let status = StatusCode::METHOD_NOT_ALLOWED;
                return Reply::Ready(reply::problem(status, Lifetime::NoStore, text));
            }
        }
        let conditions = Conditions::of(&request);
        let direct = request.direct.take();
        let inner = &self.delivery.0;
        let query = request.uri.query().unwrap_or("");
        let route = Route::parse(request.uri.path());
        let slip = &request.slip;
        note(slip, route.as_ref());
        if request.method == Method::GET {
            self.newcomer(&request, route.as_ref());
        }
        Reply::Ready(match route {
            Some(Route::Hls {
                room,
                epoch,
                rendition,
                object,
            }) => {
                return self.answers.object(Ask {
                    room,
                    epoch,
                    rendition,
                    object,
                    query,
                    conditions,
                    direct,
                    slip,
                });
            }
            Some(Route::Index { room }) => return self.answers.index(room, conditions.gzip),
            Some(Route::Flv { room }) => self.flv(room, query, &request),
            Some(Route::Rooms) => {
                let list = List::of(
                    &inner.store,
                    &inner.audiences,
                    &inner.shelves,
                    &inner.node_name,
                );
                reply::json(&list, ROOMS)
            }
            Some(Route::Home) => inner.pages.get(pages::HOME, &conditions),
            Some(Route::Watch) => inner.pages.get(pages::WATCH, &conditions),
            Some(Route::Asset(path)) => inner.pages.get(path, &conditions),
            None => {
                let text = "nothing has this path: `/` is the front page, /rooms lists the rooms";
                reply::problem(StatusCode::NOT_FOUND, Lifetime::Seconds(1), text)
            }
        })
    }
}

/// Notes what the request asks for.
fn note(slip: &Slip, route: Option<&Route<'_>>) {
    let object = |class, room: &str| access::Object {
        class,
        room: room.into(),
        ..access::Object::default()
    };
    slip.object(|| match route {
        None => object("other", ""),
        Some(Route::Home | Route::Watch | Route::Asset(_)) => object("page", ""),
        Some(Route::Rooms) => object("rooms", ""),
        Some(Route::Index { room }) => object("index", room),
        Some(Route::Flv { room }) => object("flv", room),
        Some(Route::Hls {
            room,
            rendition,
            object: asked,
            ..
        }) => {
            let (class, msn, part) = match asked {
                Object::Playlist | Object::PlainPlaylist => ("playlist", None, None),
                Object::Init(_) => ("init", None, None),
                Object::Segment(msn) => ("segment", Some(msn.0), None),
                Object::Part(msn, part) => ("part", Some(msn.0), Some(*part)),
            };
            access::Object {
                class,
                room: (*room).into(),
                rendition: (*rendition).into(),
                msn,
                part,
            }
        }
    });
}

fn refused(refusal: &flv::Refusal) -> Response {
    match refusal {
        flv::Refusal::Parameter { .. } => {
            reply::problem(StatusCode::BAD_REQUEST, Lifetime::NoStore, refusal)
        }
        flv::Refusal::Rendition => {
            reply::problem(StatusCode::NOT_FOUND, Lifetime::Seconds(1), refusal)
        }
        flv::Refusal::NoTrack => reply::busy(1, refusal),
    }
}
