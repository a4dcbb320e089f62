//! Looks once a second, and explains when asked.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::admin::why::course::{Course, NOW_SECONDS};
use crate::admin::why::room::Room;
use crate::admin::why::witness::{Child, Ingest, Testimony};
use crate::admin::why::{hops, verdict, witness};
use crate::delivery::Delivery;
use crate::ingest::publisher;
use crate::live::{Exchange, Store, broadcast};
use crate::media::RoomName;
use crate::relay;
use crate::runtime::{Shutdown, clock};
use crate::telemetry::access::Log;
use crate::telemetry::{Meter, Spread};

/// Rooms that are followed, those with viewers first; one costs about 100 KB.
const ROOMS_MAX: usize = 64;

/// How often it looks.
const STEP: Duration = Duration::from_secs(1);

/// Where a monitor looks.
pub struct Parts {
    /// The node's name.
    pub node: String,
    /// `origin` or `edge`.
    pub role: &'static str,
    /// There are nodes above it.
    pub has_parents: bool,
    /// Its rooms.
    pub store: Store,
    /// Who is asked about the nodes above.
    pub above: Exchange,
    /// Its viewers.
    pub delivery: Option<Delivery>,
    /// Its encoders.
    pub publishers: Option<publisher::Desk>,
    /// Its children.
    pub children: Option<relay::Server>,
    /// Its parents.
    pub parents: Option<relay::Puller>,
    /// How late its tasks run.
    pub lag: Arc<Meter>,
    /// What players told.
    pub log: Log,
}

/// Follows the rooms of a node. Clones share it.
#[derive(Clone)]
pub struct Monitor(Arc<Inner>);

struct Inner {
    parts: Parts,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rooms: HashMap<RoomName, Room>,
    lag: Course,
    lag_seen: Spread,
    /// Packets lost on the links to children, at each of the last steps.
    lost: VecDeque<HashMap<Arc<str>, u64>>,
    /// How encoders were heard, likewise.
    heard: VecDeque<HashMap<RoomName, publisher::Heard>>,
}

impl Monitor {
    /// A monitor that has seen nothing yet; [`Self::run`] it.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            state: Mutex::default(),
        }))
    }

    /// Looks until `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        let mut steps = tokio::time::interval(STEP);
        steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = steps.tick() => self.step(),
                () = shutdown.requested() => return,
            }
        }
    }

    fn step(&self) {
        let parts = &self.0.parts;
        let shows = parts.watched();
        let mut state = self.0.state.lock();
        let state = &mut *state;
        let lag = parts.lag.since(&mut state.lag_seen);
        state.lag.step(lag);
        let lost = parts.lost();
        push(&mut state.lost, lost);
        let heard = shows.iter().filter_map(|show| {
            let room = &show.info().room;
            let heard = parts.publishers.as_ref()?.heard(room)?;
            Some((room.clone(), heard))
        });
        push(&mut state.heard, heard.collect());
        let live = |room: &RoomName| shows.iter().any(|show| show.info().room == *room);
        state.rooms.retain(|room, _| live(room));
        for show in &shows {
            let name = &show.info().room;
            let room = state.rooms.entry(name.clone()).or_default();
            let delivery = parts.delivery.as_ref();
            let pulse = delivery.and_then(|delivery| delivery.pulse(name.as_str()));
            room.step(show, pulse.as_deref());
            let players = parts.log.players(name.as_str());
            let told = players.map_or((0, 0), |sums| (sums.requests(), sums.starved()));
            push(&mut room.players, told);
        }
    }

    /// True when there are nodes above this one.
    pub(super) fn has_parents(&self) -> bool {
        self.0.parts.has_parents
    }

    /// What this node says of itself and of `room`.
    pub(super) fn testify(&self, room: &RoomName) -> Testimony {
        let parts = &self.0.parts;
        let state = self.0.state.lock();
        let p95_ms = |us: Option<u64>| us.unwrap_or(0) as f64 / 1000.0;
        Testimony {
            node: parts.node.clone(),
            role: parts.role.to_owned(),
            lag_ms: p95_ms(state.lag.recent().quantile(0.95)),
            usual_lag_ms: p95_ms(state.lag.baseline().map(|usual| usual.p95_us)),
            ingest: parts.ingest(&state, room),
            children: parts.links(&state),
        }
    }

    /// The whole answer of `/api/v1/rooms/ROOM/why`; `None` when the room is not live here.
    pub(super) async fn explain(&self, room: &str) -> Option<Value> {
        let parts = &self.0.parts;
        let broadcast = parts.store.room(room)?;
        let info = broadcast.info().clone();
        let above = match self.has_parents() {
            true => witness::ask(&parts.above, &info.room).await,
            false => Some(Vec::new()),
        };
        let own = self.testify(&info.room);
        let viewers = parts.delivery.as_ref().map(|found| found.viewers(room));
        let viewers = viewers.unwrap_or_default();
        let parents = parts.parents.as_ref().map(|parents| parents.status());
        let parents = parents.unwrap_or_default();
        let mut state = self.0.state.lock();
        if let Some(room) = state.rooms.get_mut(&info.room) {
            room.hear(&broadcast);
        }
        let empty = Room::default();
        let course = state.rooms.get(&info.room).unwrap_or(&empty);
        let evidence = hops::Evidence {
            room: course,
            above: above.as_deref(),
            own: &own,
            parents: &parents,
            viewers,
        };
        let hops = hops::waterfall(&evidence);
        let verdict = verdict::judge(&evidence, &hops, clock::unix_us());
        let slow = hops::slow(course, viewers);
        Some(json!({
            "room": info.room,
            "epoch": info.epoch,
            "node": parts.node,
            "at_ms": clock::unix_us() / 1000,
            "window_seconds": NOW_SECONDS,
            "baseline_seconds": course.late.baseline_seconds(),
            "verdict": verdict,
            "hops": verdict::marked(hops, &verdict),
            "viewers": { "hls": viewers.hls, "flv": viewers.flv, "slow": slow },
        }))
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Monitor({})", self.0.parts.node)
    }
}

impl Parts {
    /// The shows that are followed.
    fn watched(&self) -> Vec<broadcast::Consumer> {
        let mut shows = self.store.shows();
        shows.retain(|show| !show.is_ended());
        let readers = |show: &broadcast::Consumer| -> usize {
            show.tracks()
                .iter()
                .map(|track| track.status().readers)
                .sum()
        };
        if shows.len() > ROOMS_MAX {
            shows.sort_by_cached_key(|show| std::cmp::Reverse(readers(show)));
            shows.truncate(ROOMS_MAX);
        }
        shows
    }

    fn lost(&self) -> HashMap<Arc<str>, u64> {
        let children = self.children.as_ref().map(relay::Server::status);
        let children = children.unwrap_or_default().into_iter();
        children
            .map(|link| (link.peer, link.lost_packets))
            .collect()
    }

    fn ingest(&self, state: &State, room: &RoomName) -> Option<Ingest> {
        let publishers = self.publishers.as_ref()?;
        let status = publishers.status(room)?;
        // Of this moment: the last step may be older than what the frames tell.
        let newest = publishers.heard(room);
        let oldest = state.heard.iter().find_map(|heard| heard.get(room));
        let seconds = state.heard.len().saturating_sub(1).max(1) as f64;
        let share = |of: fn(&publisher::Heard) -> u64| {
            let (newest, oldest) = (newest.as_ref().map_or(0, of), oldest.map_or(0, of));
            newest.saturating_sub(oldest) as f64 / 1e6 / seconds
        };
        let rates = status.publishers.iter();
        Some(Ingest {
            cut_short: share(|heard| heard.cut_short_us),
            silent: share(|heard| heard.silent_us),
            frames_per_second: rates.map(|one| one.frames_per_second).fold(0.0, f64::max),
            stalled: status.stalled || status.publishers.is_empty(),
        })
    }

    fn links(&self, state: &State) -> Vec<Child> {
        let links = self.children.as_ref().map(relay::Server::status);
        let seconds = state.lost.len().saturating_sub(1).max(1) as f64;
        let links = links.unwrap_or_default().into_iter().map(|link| {
            let before = state.lost.front().and_then(|lost| lost.get(&link.peer));
            let before = before.copied().unwrap_or(link.lost_packets);
            Child {
                rtt_ms: link.rtt_us as f64 / 1000.0,
                lost_per_second: link.lost_packets.saturating_sub(before) as f64 / seconds,
                node: link.peer.to_string(),
            }
        });
        links.collect()
    }
}

/// Keeps the last [`NOW_SECONDS`] steps.
fn push<T>(steps: &mut VecDeque<T>, step: T) {
    if steps.len() > NOW_SECONDS {
        steps.pop_front();
    }
    steps.push_back(step);
}
