//! What this node tells of itself to its parents, and the fleet below it (`GET /api/v1/fleet`).
//!
//! A report is composed every two seconds, with those of the children in it, so the root of a tree
//! knows the whole tree and no node asks another. Figures are of now; nothing is stored.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::admin::api::{Desk, conditions, problem, unready};
use crate::admin::tree::{self, Child, Report};
use crate::admin::{Sources, rooms};
use crate::live::broadcast;
use crate::runtime::{Shutdown, clock, process};

/// How often a report is made.
const PERIOD: Duration = Duration::from_secs(2);
/// The size of a report that goes up: what the relay carries.
const REPORT_BYTES_MAX: usize = 64 * 1024;
/// Rooms that a report describes, those with most viewers first.
const ROOMS_MAX: usize = 50;

/// The newest reports. Clones share them.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// With everything below, for this node's own API.
    whole: watch::Sender<Bytes>,
    /// What fits, for the parents.
    report: watch::Sender<Bytes>,
}

impl Fleet {
    /// Tells parents through `report`.
    #[must_use]
    pub fn new(report: watch::Sender<Bytes>) -> Self {
        let (whole, _) = watch::channel(Bytes::new());
        Self { whole, report }
    }

    fn tell(&self, tree: Report, has_parents: bool) {
        self.whole.send_replace(tree::encode(&tree));
        if has_parents {
            let report = tree::fit(tree, REPORT_BYTES_MAX);
            self.report.send_replace(report);
        }
    }
}

/// `GET /api/v1/fleet`.
pub(super) async fn get(State(desk): Desk) -> Response {
    let whole = desk.fleet.whole.borrow().clone();
    if whole.is_empty() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the node has just started");
    }
    ([(header::CONTENT_TYPE, "application/json")], whole).into_response()
}

/// Composes reports until `shutdown`.
pub(super) async fn keep(sources: Arc<Sources>, shutdown: Shutdown) {
    let mut meter = Meter::new(&sources);
    loop {
        let tree = compose(&sources, &meter.rates(&sources));
        let parents = sources.parents.as_ref();
        let has_parents = parents.is_some_and(|parents| !parents.status().is_empty());
        sources.fleet.tell(tree, has_parents);
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = shutdown.requested() => return,
        }
    }
}

fn compose(sources: &Sources, rates: &Rates) -> Report {
    let node = &sources.node;
    let reason = unready(sources);
    let rooms = all_rooms(sources);
    let audience = |room: &Room| room.viewers.values().sum::<u64>();
    let mut by_protocol = Audience::default();
    for room in &rooms {
        for (protocol, count) in &room.viewers {
            *by_protocol.entry(protocol.clone()).or_default() += count;
        }
    }
    let own = json!({
        "name": node.name,
        "role": node.role,
        "version": node.version,
        "started_ms": node.started_ms,
        "at_ms": clock::unix_us() / 1000,
        "url": url(sources, "admin.listen", "http"),
        "http": {
            "plain": url(sources, "http.listen", "http"),
            "tls": url(sources, "http.tls_listen", "https"),
        },
        "ready": reason.is_none(),
        "reason": reason,
        "drain": sources.stops.drain.is_begun(),
        "level": sources.shedding.gauge().level().as_str(),
        "conditions": conditions(sources),
        "cpu": rates.cpu,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_bytes": rates.memory_bytes,
        "open_files": rates.open_files,
        "viewers_bps": rates.viewers_bps,
        "children_bps": rates.children_bps,
        "ingress_bps": rates.ingress_bps,
        "viewers": { "total": rooms.iter().map(audience).sum::<u64>(), "by_protocol": by_protocol },
        "members": rooms.iter().map(|room| room.members).sum::<u64>(),
        "rooms": described(&rooms, sources),
        "rooms_left_out": rooms.len().saturating_sub(ROOMS_MAX),
        "parents": sources.parents.as_ref().map(|parents| parents.status()).unwrap_or_default(),
    });
    let Value::Object(mut own) = own else {
        unreachable!("an object was written above");
    };
    tree::nest(&mut own, children(sources));
    own
}

/// Viewers by protocol.
type Audience = std::collections::BTreeMap<String, u64>;

/// A live room, as far as all rooms are looked at.
struct Room {
    show: broadcast::Consumer,
    viewers: Audience,
    members: u64,
}

/// All live rooms, those with most viewers first.
fn all_rooms(sources: &Sources) -> Vec<Room> {
    let look = |show: broadcast::Consumer| {
        let name = show.info().room.clone();
        let viewers = sources.delivery.as_ref().map(|d| d.viewers(name.as_str()));
        let viewers = viewers.and_then(|viewers| serde_json::to_value(viewers).ok());
        let doors = sources.doors.as_ref();
        Room {
            show,
            viewers: viewers
                .and_then(|viewers| serde_json::from_value(viewers).ok())
                .unwrap_or_default(),
            members: doors.map_or(0, |doors| doors.presence(name.as_str()).online),
        }
    };
    let mut rooms: Vec<_> = sources.store.shows().into_iter().map(look).collect();
    rooms.sort_by_cached_key(|room| {
        let watching: u64 = room.viewers.values().sum();
        (Reverse(watching), room.show.info().room.clone())
    });
    rooms
}

fn described(rooms: &[Room], sources: &Sources) -> Vec<Value> {
    let describe = |room: &Room| {
        let mut told = rooms::glance(&room.show, sources);
        told["viewers"] = json!({
            "total": room.viewers.values().sum::<u64>(),
            "by_protocol": room.viewers,
        });
        told["members"] = room.members.into();
        told
    };
    rooms.iter().take(ROOMS_MAX).map(describe).collect()
}

/// Where a listener answers. An unspecified address stands for the host itself.
fn url(sources: &Sources, key: &str, scheme: &str) -> Option<String> {
    let listeners = &sources.node.listeners;
    let (_, address) = listeners.iter().find(|(name, _)| *name == key)?;
    let address: SocketAddr = address.parse().ok()?;
    Some(format!("{scheme}://{address}"))
}

fn children(sources: &Sources) -> Vec<Child> {
    let Some(server) = &sources.children else {
        return Vec::new();
    };
    let reports = server.reports();
    let report_of = |name: &str| {
        let found = reports.iter().find(|(child, _)| **child == *name);
        found.map(|(_, report)| report.clone())
    };
    let child = |link: crate::relay::Status| Child {
        report: report_of(&link.peer),
        name: link.peer.clone(),
        link: json!(link),
    };
    server.status().into_iter().map(child).collect()
}

/// What the process does, over the time between two reports.
struct Rates {
    /// Processors kept busy.
    cpu: f64,
    memory_bytes: u64,
    open_files: u64,
    viewers_bps: u64,
    children_bps: u64,
    ingress_bps: u64,
}

/// Turns counters into rates.
struct Meter {
    at: clock::Instant,
    usage: process::Usage,
    moved: Moved,
}

/// Bytes so far.
#[derive(Default)]
struct Moved {
    to_viewers: u64,
    to_children: u64,
    from_parents: u64,
}

impl Meter {
    fn new(sources: &Sources) -> Self {
        Self {
            at: clock::now(),
            usage: process::usage(),
            moved: Moved::until_now(sources),
        }
    }

    /// The rates since the last call.
    fn rates(&mut self, sources: &Sources) -> Rates {
        let now = Self::new(sources);
        let seconds = now.at.duration_since(self.at).as_secs_f64().max(0.001);
        // Links that end take their counters with them: a sum may fall.
        let bps = |now: u64, then: u64| (now.saturating_sub(then) as f64 * 8.0 / seconds) as u64;
        let cpu = now.usage.cpu.saturating_sub(self.usage.cpu).as_secs_f64() / seconds;
        let rates = Rates {
            cpu: (cpu * 1000.0).round() / 1000.0,
            memory_bytes: now.usage.rss_bytes,
            open_files: now.usage.open_files,
            viewers_bps: bps(now.moved.to_viewers, self.moved.to_viewers),
            children_bps: bps(now.moved.to_children, self.moved.to_children),
            ingress_bps: bps(now.moved.from_parents, self.moved.from_parents) + pushed_bps(sources),
        };
        *self = now;
        rates
    }
}

impl Moved {
    fn until_now(sources: &Sources) -> Self {
        let mut moved = Self::default();
        if let Some(http) = &sources.http {
            moved.to_viewers = http.sent_bytes();
        }
        if let Some(children) = &sources.children {
            moved.to_children = children.status().iter().map(|l| l.sent_bytes).sum();
        }
        if let Some(parents) = &sources.parents {
            moved.from_parents = parents.status().iter().map(|l| l.received_bytes).sum();
        }
        moved
    }
}

/// What encoders send to this node.
fn pushed_bps(sources: &Sources) -> u64 {
    let Some(desk) = &sources.publishers else {
        return 0;
    };
    let shows = sources.store.shows();
    let rooms = shows
        .iter()
        .filter_map(|show| desk.status(&show.info().room));
    let publishers = rooms.flat_map(|room| room.publishers);
    publishers
        .map(|publisher| publisher.bitrate_kbps * 1000)
        .sum()
}
