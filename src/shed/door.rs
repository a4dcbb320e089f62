//! The door of a node: those who come anew pass it, and nobody else.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::runtime::clock::{self, Instant};
use crate::shed::metrics::{ByTurn, Metrics};
use crate::shed::queue::{Place, Queue};
use crate::shed::ticket::Key;
use crate::shed::{Config, Gauge, Level};

/// The longest that a request itself is held for its turn: below what players wait for a first
/// answer (hls.js 10 s), with time left for the answer. Who has to wait longer gets a ticket.
const HOLD_MAX: Duration = Duration::from_secs(4);

/// The door. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    gauge: Gauge,
    started: Instant,
    queue: Mutex<Queue>,
    key: Key,
    peers: ArcSwap<Vec<Arc<str>>>,
    /// Origins of URLs of nodes that have no place either, as far as known.
    full: ArcSwap<HashSet<String>>,
    next_peer: AtomicUsize,
    joins: AtomicU64,
    metrics: Metrics,
}

/// Somebody who comes anew.
#[derive(Debug, Clone, Copy)]
pub struct Join<'a> {
    /// From where.
    pub address: IpAddr,
    /// What he was given when he came before: `?queue=TICKET`.
    pub ticket: Option<&'a str>,
    /// Another edge has sent him: he is not sent on.
    pub is_redirected: bool,
}

/// What becomes of him.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// He may come in.
    Now,
    /// He may come in then; let the request wait.
    Hold(Instant),
    /// He has to come back.
    Later {
        /// How many may come in before him, and he.
        place: u64,
        /// When it will be his turn if the rate stays as it is, in seconds, rounded up.
        seconds: u32,
        /// What keeps his place.
        ticket: String,
    },
    /// So many wait that he is given no place; try again after these seconds.
    Full(u32),
    /// Another edge takes him: its base URL, without a slash at its end.
    Elsewhere(Arc<str>),
}

impl Door {
    pub(super) fn new(config: &Config, gauge: Gauge, metrics: Metrics) -> Self {
        let this = Self(Arc::new(Inner {
            gauge,
            started: clock::now(),
            queue: Mutex::new(Queue::new(config.queue_seconds_max)),
            key: Key::random(),
            peers: ArcSwap::default(),
            full: ArcSwap::default(),
            next_peer: AtomicUsize::new(0),
            joins: AtomicU64::new(0),
            metrics,
        }));
        this.apply(config);
        this
    }

    /// A door that is always open.
    #[must_use]
    pub fn open() -> Self {
        Self::new(&Config::default(), Gauge::default(), Metrics::default())
    }

    /// True while all who come may come in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.gauge.level() < Level::JoinQueue
    }

    /// What becomes of somebody who comes anew. Never blocks.
    #[must_use]
    pub fn join(&self, join: &Join<'_>) -> Turn {
        let turn = self.turn(join);
        let word = match &turn {
            Turn::Now => "now",
            Turn::Hold(_) => "held",
            Turn::Later { .. } => "later",
            Turn::Full(_) => "full",
            Turn::Elsewhere(_) => "elsewhere",
        };
        let counted = ByTurn { turn: word };
        self.0.metrics.joins.get_or_create(&counted).inc();
        if matches!(turn, Turn::Now | Turn::Hold(_)) {
            self.0.joins.fetch_add(1, Ordering::Relaxed);
        }
        turn
    }

    fn turn(&self, join: &Join<'_>) -> Turn {
        let inner = &*self.0;
        if self.is_open() {
            return Turn::Now;
        }
        let ticket = join
            .ticket
            .and_then(|text| inner.key.open(text, join.address));
        if inner.gauge.level() == Level::Redirect
            && ticket.is_none()
            && !join.is_redirected
            && let Some(peer) = self.peer()
        {
            return Turn::Elsewhere(peer);
        }
        let now = clock::now();
        match inner.queue.lock().come(self.ms(now), ticket) {
            Place::Called => Turn::Now,
            Place::Full => Turn::Full(30),
            Place::Waits {
                number,
                ahead,
                seconds,
            } => {
                let wait = Duration::from_secs_f64(seconds);
                if wait <= HOLD_MAX {
                    return Turn::Hold(now + wait);
                }
                Turn::Later {
                    place: ahead,
                    seconds: seconds.ceil() as u32,
                    ticket: inner.key.sign(number, join.address),
                }
            }
        }
    }

    /// Peers in turn, but for those that are known to have no place either.
    fn peer(&self) -> Option<Arc<str>> {
        let (peers, full) = (self.0.peers.load(), self.0.full.load());
        let first = self.0.next_peer.fetch_add(1, Ordering::Relaxed);
        let first = first.checked_rem(peers.len())?;
        let mut turns = peers.iter().cycle().skip(first).take(peers.len());
        turns.find(|peer| !full.contains(&origin(peer))).cloned()
    }

    /// Says by which URLs nodes are reached that have no place for newcomers just now. A peer of
    /// which nothing is known is taken to have one.
    pub fn set_full<'a>(&self, urls: impl Iterator<Item = &'a str>) {
        self.0.full.store(Arc::new(urls.map(origin).collect()));
    }

    pub(super) fn apply(&self, config: &Config) {
        let peers = config
            .peers
            .iter()
            .map(|peer| peer.trim_end_matches('/').into());
        self.0.peers.store(Arc::new(peers.collect()));
        let mut queue = self.0.queue.lock();
        queue.set_wait_seconds_max(config.queue_seconds_max);
    }

    /// How many have come in so far.
    pub(super) fn joins(&self) -> u64 {
        self.0.joins.load(Ordering::Relaxed)
    }

    /// From now on people wait; see [`Queue::begin`].
    pub(super) fn begin(&self, joins_per_second: f64) {
        let now_ms = self.ms(clock::now());
        self.0.queue.lock().begin(now_ms, joins_per_second);
    }

    /// Follows what the node can take; how many wait, and how many may come in a second.
    pub(super) fn adapt(&self, pressure: f64) -> (u64, f64) {
        let now_ms = self.ms(clock::now());
        let mut queue = self.0.queue.lock();
        queue.adapt(now_ms, pressure);
        (queue.waiting(), queue.per_second())
    }

    fn ms(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.0.started);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A base URL as it can be compared: without a slash at its end or the port that goes without
/// saying.
fn origin(url: &str) -> String {
    let url = url.trim_end_matches('/').to_ascii_lowercase();
    let port = if url.starts_with("https:") {
        ":443"
    } else {
        ":80"
    };
    url.strip_suffix(port).unwrap_or(&url).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(level: Level, peers: &[&str]) -> Door {
        let config = Config {
            peers: peers.iter().map(ToString::to_string).collect(),
            ..Config::default()
        };
        let door = Door::new(&config, Gauge::at(level), Metrics::default());
        door.begin(20.0);
        door
    }

    fn join<'a>(ticket: Option<&'a str>) -> Join<'a> {
        Join {
            address: "192.0.2.7".parse().unwrap(),
            ticket,
            is_redirected: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn below_the_queue_the_door_is_open() {
        for level in Level::ALL.into_iter().take(5) {
            let door = door(level, &["https://b"]);
            let all_in = (0..1000).all(|_| door.join(&join(None)) == Turn::Now);
            assert!(all_in, "{level:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_are_held_the_others_come_back_with_their_place() {
        let door = door(Level::JoinQueue, &["https://b"]);
        let turns: Vec<Turn> = (0..100).map(|_| door.join(&join(None))).collect();
        let held = turns.iter().filter(|turn| matches!(turn, Turn::Hold(_)));
        assert_eq!(held.count(), 40, "four seconds at ten a second");
        let Some(Turn::Later {
            place,
            seconds,
            ticket,
        }) = turns.last()
        else {
            panic!("{:?}", turns.last());
        };
        assert_eq!((*place, *seconds), (100, 10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(matches!(door.join(&join(Some(ticket))), Turn::Hold(_)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(door.join(&join(Some(ticket))), Turn::Now);
        let _next = door.join(&join(None));
        assert_ne!(door.join(&join(Some("forged"))), Turn::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_sent_to_each_peer_in_turn_but_never_on_and_on() {
        let door = door(Level::Redirect, &["https://b/", "https://c"]);
        let elsewhere = |url: &str| Turn::Elsewhere(url.into());
        assert_eq!(door.join(&join(None)), elsewhere("https://b"));
        assert_eq!(door.join(&join(None)), elsewhere("https://c"));
        let sent_here = Join {
            is_redirected: true,
            ..join(None)
        };
        assert!(matches!(door.join(&sent_here), Turn::Hold(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn peers_that_are_known_to_be_full_are_passed_over() {
        let door = door(
            Level::Redirect,
            &["https://b/", "https://c", "http://d:8080"],
        );
        let turns = |count| -> Vec<Turn> { (0..count).map(|_| door.join(&join(None))).collect() };
        let elsewhere = |url: &str| Turn::Elsewhere(url.into());
        door.set_full(["https://B:443", "http://c:80", "http://d:80"].into_iter());
        let (c, d) = (elsewhere("https://c"), elsewhere("http://d:8080"));
        assert_eq!(turns(3), [c.clone(), c, d]);
        door.set_full(["https://b", "https://c:443", "http://d:8080"].into_iter());
        let waits = |turn: &Turn| matches!(turn, Turn::Hold(_) | Turn::Later { .. });
        assert!(
            turns(3).iter().all(waits),
            "nobody has a place: they wait here"
        );
        door.set_full(std::iter::empty());
        assert_eq!(turns(1), [elsewhere("https://b")]);
    }
}
