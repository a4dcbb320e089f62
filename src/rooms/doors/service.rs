//! The service of one worker: who may come in by which door.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::timeout;

use crate::auth::{self, Arrival};
use crate::media::RoomName;
use crate::net::http::{
    Body, Duplex, Reader, Reply, Request, Response, Service, Session as Transport, Upgrade,
};
use crate::protocol::interact::question::Refusal;
use crate::rooms::Settings;
use crate::rooms::doors::batch::Format;
use crate::rooms::doors::clerk::Clerk;
use crate::rooms::doors::entry::{Guest, closed};
use crate::rooms::doors::figures::{Door as DoorLabel, Figures};
use crate::rooms::doors::hall::Hall;
use crate::rooms::doors::leaving::Leaving;
use crate::rooms::doors::limits::{Gate, Place};
use crate::rooms::doors::member::Member;
use crate::rooms::doors::origin::refusal;
use crate::rooms::doors::presence::Seat;
use crate::rooms::doors::registry::{Registry, no_room};
use crate::rooms::doors::room::Visit;
use crate::rooms::doors::route::{Door, Query, Route};
use crate::rooms::doors::session::Session;
use crate::rooms::doors::wire::Wire;
use crate::rooms::doors::{posts, reply};
use crate::runtime::{TaskScope, clock};

/// How long the first stream of a WebTransport session is waited for.
const STREAM_WAIT: Duration = Duration::from_secs(10);

/// What all sessions of a worker share.
pub(super) struct House {
    pub(super) settings: Settings,
    pub(super) node_name: Arc<str>,
    pub(super) auth: auth::Gate,
    pub(super) gate: Gate,
    pub(super) clerk: Clerk,
    pub(super) figures: Figures,
    pub(super) registry: Arc<Registry>,
    pub(super) scope: TaskScope,
    pub(super) leaving: Leaving,
    pub(super) halls: RefCell<HashMap<RoomName, Rc<Hall>>>,
    /// Connections now.
    pub(super) members: Cell<usize>,
}

/// What a worker answers with.
pub(super) struct Worker(pub(super) Rc<House>);

impl Service for Worker {
    fn call(&self, request: Request) -> Reply {
        let house = &self.0;
        let Some(route) = Route::parse(request.uri.path()) else {
            return Reply::Ready(reply::refused(&no_room()));
        };
        let methods = route.door.methods();
        match request.method {
            Method::OPTIONS => return Reply::Ready(reply::preflight(methods)),
            Method::POST if route.door.is_posted() => {}
            Method::GET | Method::HEAD if !route.door.is_posted() => {}
            _ => return Reply::Ready(reply::method_not_allowed(methods)),
        }
        let door = route.door;
        let answer = house
            .admit(&request, &route)
            .and_then(|(room, guest, cbor)| match door {
                Door::WebSocket if request.upgrade == Some(Upgrade::WebSocket) => {
                    let format = if cbor { Format::Cbor } else { Format::Json };
                    house.sit(room, guest, format, "websocket")
                }
                Door::WebTransport if request.upgrade == Some(Upgrade::WebTransport) => {
                    house.sit(room, guest, Format::Lines, "webtransport")
                }
                Door::WebSocket | Door::WebTransport => Err(not_upgraded()),
                Door::Events if request.method == Method::HEAD => {
                    Ok(Reply::Ready(reply::events(Body::empty())))
                }
                Door::Events => house.sit(room, guest, Format::Sse, "sse"),
                _ => Ok(posts::answer(house, room, guest, &request, door)),
            });
        answer.unwrap_or_else(|refusal| Reply::Ready(reply::refused(&refusal)))
    }
}

impl House {
    /// Who comes, and to which room.
    fn admit(&self, request: &Request, route: &Route<'_>) -> Result<(Visit, Guest, bool), Refusal> {
        let query = Query::parse(request.uri.query().unwrap_or(""), &request.headers);
        let (room, now_s) = (route.room.as_str(), clock::unix_us() / 1_000_000);
        let address = request.peer.ip();
        let arrival = Arrival {
            token: query.token.as_deref(),
            user: query.user.as_deref(),
            name: query.name.as_deref(),
            room,
            address,
            now_s,
        };
        let entered = self.auth.member(&arrival);
        let (who, pass) = entered.map_err(|error| not_let_in(&error))?;
        let visit = self.registry.visit(&route.room)?;
        let load = query.load.as_deref();
        let load = self.auth.is_load(load, room, address, now_s);
        let guest = Guest {
            who,
            pass,
            address,
            way: self.clerk.way(load),
            from: query.from,
            orders: query.orders,
        };
        Ok((visit, guest, query.cbor))
    }

    /// Gives `guest` a place in the room's hall, and the body that brings him there.
    fn sit(
        self: &Rc<Self>,
        room: Visit,
        guest: Guest,
        format: Format,
        door: &'static str,
    ) -> Result<Reply, Refusal> {
        if self.leaving.is_begun() {
            return Err(closed());
        }
        room.may_enter(&guest.who)?;
        if self.members.get() >= self.settings.config().members_max {
            let detail = "this node has as many members as it may".to_owned();
            return Err(refusal(503, "full", detail, Some(5)));
        }
        let user: &Arc<str> = &guest.who.id;
        let place = self.gate.enter(user, guest.address, clock::now())?;
        let house = self.clone();
        let chair = Chair {
            house,
            room,
            guest,
            format,
            door,
            place,
        };
        let body = match format {
            Format::Json | Format::Cbor => Body::Duplex(Box::new(|duplex| chair.take(duplex))),
            Format::Lines => Body::Session(Box::new(|session| chair.take_stream(session))),
            Format::Sse => Body::Live(Box::new(|sink| chair.serve(sink.into(), None))),
        };
        Ok(Reply::Ready(match format {
            Format::Sse => reply::events(body),
            _ => Response::new(body),
        }))
    }

    /// The hall of a room, opened for its first member.
    fn hall(self: &Rc<Self>, room: &Visit) -> Rc<Hall> {
        let open = self.halls.borrow().get(&room.name).cloned();
        if let Some(hall) = open.filter(|hall| !hall.is_over()) {
            return hall;
        }
        let (hall, turns) = Hall::new(room.visit(), self.settings.clone(), self.figures.clone());
        let name = room.name.clone();
        self.halls.borrow_mut().insert(name.clone(), hall.clone());
        let (house, served) = (self.clone(), hall.clone());
        let denials = self.auth.denied().policy();
        // Unconstrained: a pass over all members is one step of work, and tokio's budget would make
        // every member past the 128th look as if its socket were full.
        let work = tokio::task::unconstrained(async move {
            let leaving = house.leaving.clone();
            served.clone().run(turns, denials, leaving).await;
            let mut halls = house.halls.borrow_mut();
            if halls
                .get(&name)
                .is_some_and(|hall| Rc::ptr_eq(hall, &served))
            {
                halls.remove(&name);
            }
        });
        self.scope.spawn_local("rooms.hall", work);
        hall
    }
}

/// A place for somebody whose connection is on its way.
struct Chair {
    house: Rc<House>,
    room: Visit,
    guest: Guest,
    format: Format,
    door: &'static str,
    place: Place,
}

impl Chair {
    /// A connection in both directions is there.
    fn take(self, duplex: Duplex) {
        let (reader, writer) = duplex.split();
        self.serve(Wire::Duplex(writer), Some(reader));
    }

    /// A WebTransport session is there; its first stream is the connection.
    fn take_stream(self, mut session: Transport) {
        let scope = self.house.scope.clone();
        scope.spawn_local("rooms.webtransport", async move {
            let first = timeout(STREAM_WAIT, session.accept_bi()).await;
            let Ok(Some(duplex)) = first else { return };
            self.take(duplex);
            // The session ends with its peer. Nothing else is said by further streams.
            while session.accept_bi().await.is_some() {}
        });
    }

    /// Serves the connection from now on.
    fn serve(self, wire: Wire, reader: Option<Reader>) {
        let Self {
            house,
            room,
            guest,
            format,
            door,
            place,
        } = self;
        let seat = Seat::new(&room, &guest.who.id);
        let counted = Counted::new(&house, door);
        let hall = house.hall(&room);
        let bytes_max = house.settings.config().send_queue_bytes;
        let who = (guest.who.clone(), guest.pass.clone());
        let member = Member::new(who, format, wire, bytes_max, clock::now());
        let scope = house.scope.clone();
        let session = Session::new(house, hall, Rc::new(member), guest, reader);
        scope.spawn_local("rooms.member", async move {
            let _held = (seat, place, counted);
            session.run().await;
        });
    }
}

/// A connection in the figures, for as long as it lives.
struct Counted {
    house: Rc<House>,
    members: Gauge,
}

impl Counted {
    fn new(house: &Rc<House>, door: &'static str) -> Self {
        let label = DoorLabel { door };
        let members = house.figures.members.get_or_create(&label).clone();
        members.inc();
        house.members.set(house.members.get() + 1);
        Self {
            house: house.clone(),
            members,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.members.dec();
        self.house.members.set(self.house.members.get() - 1);
    }
}

fn not_upgraded() -> Refusal {
    let detail = "this path takes a WebSocket (ws) or a WebTransport session (wt)";
    refusal(426, "upgrade", detail.into(), None)
}

fn not_let_in(error: &auth::Refusal) -> Refusal {
    refusal(error.status(), error.code(), error.to_string(), None)
}

#[cfg(test)]
#[path = "service_test.rs"]
mod tests;
