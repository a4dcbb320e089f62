//! The routes of the admin port.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::Serialize;
use serde_json::{Value, json};

use crate::admin::{
    Configuration, Fleet, Stops, cut, deny, drain, fleet, interaction, openapi, orders, rooms,
    shedding, why,
};
use crate::auth::Gate;
use crate::delivery::Delivery;
use crate::ingest::publisher;
use crate::ledger::Ledger;
use crate::live;
use crate::net;
use crate::relay;
use crate::rooms::authority::Authority;
use crate::rooms::doors::Doors;
use crate::rooms::orders::Desk as Orders;
use crate::runtime::clock;
use crate::shed::{self, Level};
use crate::telemetry::{Condition, Metrics};

/// The type of the text that Prometheus scrapes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a node is, for `/api/v1/node`.
#[derive(Debug, Clone, Serialize)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// `origin`, `edge` or `dev`.
    pub role: &'static str,
    /// The version of the binary.
    pub version: &'static str,
    /// When it started, in milliseconds since 1970.
    pub started_ms: i64,
    /// The addresses it listens on, by configuration key, as they were taken.
    pub listeners: Vec<(&'static str, String)>,
}

/// Where the answers come from.
#[derive(Clone)]
pub struct Sources {
    /// The node.
    pub node: NodeInfo,
    /// Its live rooms.
    pub store: live::Store,
    /// The publishers, where hosts push to this node.
    pub publishers: Option<publisher::Desk>,
    /// The parent side of the relay, where children dial in.
    pub children: Option<relay::Server>,
    /// The child side of the relay, where the node has parents.
    pub parents: Option<relay::Puller>,
    /// The viewers, where the node serves them.
    pub delivery: Option<Delivery>,
    /// Where questions about rooms go.
    pub exchange: live::Exchange,
    /// The rooms whose origin this node is.
    pub rooms: Option<Authority>,
    /// The members, where the node serves them.
    pub doors: Option<Doors>,
    /// The orders of those rooms.
    pub orders: Option<Orders>,
    /// Where they are kept.
    pub ledger: Option<Ledger>,
    /// What the HTTP front has sent, where the node serves viewers.
    pub http: Option<net::http::Metrics>,
    /// The reports of this node and of those below it.
    pub fleet: Fleet,
    /// What the node gives up.
    pub shedding: shed::Controller,
    /// The configuration in force.
    pub configuration: Configuration,
    /// Who may operate the node, and the deny list.
    pub gate: Gate,
    /// Why a room is late.
    pub why: Option<why::Monitor>,
    /// All metrics.
    pub metrics: Metrics,
    /// The node's drain, and how to ask for it.
    pub stops: Stops,
}

/// All routes.
pub(super) fn router(sources: Arc<Sources>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/node", get(node))
        .route("/api/v1/rooms", get(all_rooms))
        .route("/api/v1/rooms/{room}", get(one_room))
        .route("/api/v1/rooms/{room}/cut", post(cut::cut))
        .route("/api/v1/rooms/{room}/why", get(why::answer))
        .route("/api/v1/rooms/{room}/events", post(interaction::program))
        .route(
            "/api/v1/rooms/{room}/moderation",
            post(interaction::moderation),
        )
        .route("/api/v1/rooms/{room}/audit", get(orders::audit))
        .route("/api/v1/orders", get(orders::list))
        .route("/api/v1/orders/redrive", post(orders::redrive))
        .route("/api/v1/orders/{room}/{key}/answer", post(orders::answer))
        .route("/api/v1/peers", get(peers))
        .route("/api/v1/fleet", get(fleet::get))
        .route("/api/v1/shed", get(shedding::status).post(shedding::force))
        .route("/api/v1/deny", get(deny::list).post(deny::add))
        .route("/api/v1/deny/{id}", delete(deny::remove))
        .route("/api/v1/drain", get(drain::state).post(drain::begin))
        .route("/api/v1/upgrade", post(drain::upgrade))
        .route(
            "/api/v1/openapi.json",
            get(|| async { Json(openapi::document()) }),
        )
        .fallback(|| async {
            problem(
                StatusCode::NOT_FOUND,
                "no such path: see /api/v1/openapi.json",
            )
        })
        .method_not_allowed_fallback(|| async {
            let text = "this path answers another method: see /api/v1/openapi.json";
            problem(StatusCode::METHOD_NOT_ALLOWED, text)
        })
        .with_state(sources)
}

pub(super) type Desk = State<Arc<Sources>>;

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(sources): Desk) -> Response {
    let (status, mut text) = match unready(&sources) {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    };
    for Condition { name, detail, .. } in conditions(&sources) {
        text.push_str(&format!("{name}: {detail}\n"));
    }
    (status, text).into_response()
}

/// What is wrong or coarser than usual while the node goes on.
pub(super) fn conditions(sources: &Sources) -> Vec<Condition> {
    let mut all = sources.metrics.conditions().all();
    let shed = sources.shedding.gauge().status();
    if shed.level > Level::Normal {
        all.push(Condition {
            name: "shedding",
            detail: format!("{} ({})", shed.level.as_str(), shed.reason),
            since_ms: shed.since_ms,
        });
    }
    all
}

/// Why the node takes no new viewers, if so.
pub(super) fn unready(sources: &Sources) -> Option<String> {
    if sources.stops.drain.is_begun() {
        return Some("draining".into());
    }
    if sources
        .parents
        .as_ref()
        .is_some_and(|parents| !parents.is_connected())
    {
        return Some("no parent is connected".into());
    }
    if sources.shedding.gauge().level() == Level::Redirect {
        return Some("overloaded: new viewers are sent to another edge".into());
    }
    let ledger = sources.ledger.as_ref()?;
    let fault = ledger.is_healthy().err()?;
    Some(format!("the ledger: {fault}"))
}

async fn metrics(State(sources): Desk) -> Response {
    (
        [(header::CONTENT_TYPE, OPENMETRICS)],
        sources.metrics.encode(),
    )
        .into_response()
}

async fn node(State(sources): Desk) -> Json<Value> {
    let node = &sources.node;
    let listeners: serde_json::Map<String, Value> = node
        .listeners
        .iter()
        .map(|(key, address)| ((*key).to_owned(), Value::from(address.as_str())))
        .collect();
    Json(json!({
        "name": node.name,
        "role": node.role,
        "version": node.version,
        "started_ms": node.started_ms,
        "uptime_ms": clock::unix_us() / 1000 - node.started_ms,
        "ready": unready(&sources).is_none(),
        "unready_reason": unready(&sources),
        "rooms": sources.store.shows().len(),
        "listeners": listeners,
        "shed": sources.shedding.gauge().status(),
        "conditions": conditions(&sources),
        "config": sources.configuration.get(),
    }))
}

async fn all_rooms(State(sources): Desk) -> Json<Value> {
    let rooms: Vec<_> = sources
        .store
        .shows()
        .iter()
        .map(|broadcast| rooms::summary(broadcast, &sources))
        .collect();
    Json(json!({ "rooms": rooms }))
}

async fn one_room(State(sources): Desk, Path(room): Path<String>) -> Response {
    match sources.store.room(&room) {
        Some(broadcast) => Json(rooms::detail(&broadcast, &sources)).into_response(),
        None => problem(StatusCode::NOT_FOUND, "this room is not live on this node"),
    }
}

async fn peers(State(sources): Desk) -> Json<Value> {
    Json(json!({
        "parents": sources.parents.as_ref().map(relay::Puller::status),
        "children": sources.children.as_ref().map(relay::Server::status),
    }))
}

/// Why a command is not carried out.
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, detail: impl ToString) -> Self {
        let detail = detail.to_string();
        Self { status, detail }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        problem(self.status, &self.detail)
    }
}

/// An error as RFC 9457 has it.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}
