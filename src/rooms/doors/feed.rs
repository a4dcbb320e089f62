//! The feed of a room: reads its data tracks and passes on what is there, for all members of the
//! node at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::live::track::{Event, Reader, Start};
use crate::live::{Store, broadcast};
use crate::media::frame::Frame;
use crate::media::{Class, track};
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::{self, Role};
use crate::rooms::Settings;
use crate::rooms::doors::batch::Item;
use crate::rooms::doors::limits::Bucket;
use crate::rooms::doors::room::Room;
use crate::runtime::clock::{self, Instant};

/// The classes that have a track; comments share theirs with class 2.
const LANES: [(&str, Class); 4] = [
    ("c0", Class::Order),
    ("c1", Class::Program),
    ("c3", Class::Comment),
    ("c4", Class::Total),
];
/// Events read from a track at once.
const EVENTS_MAX: usize = 1024;
/// Events that wait for the next batch; beyond it comments are dropped.
const PENDING_MAX: usize = 4096;
/// How long a comment waits for the rest of its batch, which leaves the origin as one and may
/// arrive in pieces.
const PIECES: Duration = Duration::from_millis(5);
/// Comments and totals older than this are what a snapshot has told already.
const STALE_US: i64 = 3_000_000;
/// How long a room may be away before its members are sent away too: an origin restarts in less.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// How long a room is read after its last visit, so that who comes back can resume.
const IDLE: Duration = Duration::from_secs(60);
/// How often is looked whether anybody is here.
const LOOK: Duration = Duration::from_secs(1);

/// Reads `room` until nobody has needed it for a while.
pub(super) async fn run(room: Arc<Room>, store: Store, settings: &Settings) {
    let mut changes = store.changes();
    let mut visited = clock::now();
    let mut seen = clock::now();
    let mut feed: Option<Feed> = None;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            () = changed(&mut feed) => {
                if let Some(feed) = &mut feed {
                    feed.read(&room, clock::now());
                }
            }
            _ = changes.changed() => {}
            _ = look.tick() => {
                room.sweep();
                if room.is_visited() {
                    visited = clock::now();
                }
            }
        }
        let now = clock::now();
        if now.duration_since(visited) > IDLE {
            return;
        }
        let broadcast = store.events(room.name.as_str());
        let Some(broadcast) = broadcast.filter(|broadcast| !broadcast.is_ended()) else {
            if now.duration_since(seen) > AWAY_MAX {
                room.close();
                seen = now;
            }
            continue;
        };
        seen = now;
        if !feed
            .as_ref()
            .is_some_and(|feed| feed.broadcast.is(&broadcast))
        {
            room.begin(&broadcast.info().epoch);
            feed = Some(Feed::new(broadcast, settings.clone()));
        }
    }
}

async fn changed(feed: &mut Option<Feed>) {
    match feed {
        Some(feed) => feed.changed().await,
        None => std::future::pending().await,
    }
}

/// One epoch of a room's events.
struct Feed {
    broadcast: broadcast::Consumer,
    state: watch::Receiver<broadcast::State>,
    tracks_seen: usize,
    lanes: [Option<Lane>; 4],
    events: Vec<Event>,
    pending: Vec<Item>,
    /// When what is pending leaves.
    due: Option<Instant>,
    settings: Settings,
    /// What members see of the comments while the node sheds.
    sample: Bucket,
}

struct Lane {
    reader: Reader,
    ended: bool,
}

impl Feed {
    fn new(broadcast: broadcast::Consumer, settings: Settings) -> Self {
        let mut state = broadcast.state();
        state.mark_changed();
        Self {
            broadcast,
            state,
            tracks_seen: 0,
            lanes: Default::default(),
            events: Vec::new(),
            pending: Vec::new(),
            due: None,
            settings,
            sample: Bucket::new(0, clock::now()),
        }
    }

    /// Waits until [`Self::read`] may bring something. Cancel-safe.
    async fn changed(&mut self) {
        let due = self.due;
        let [c0, c1, c3, c4] = &mut self.lanes;
        tokio::select! {
            biased;
            () = news(c0) => {}
            () = news(c1) => {}
            () = news(c3) => {}
            () = news(c4) => {}
            _ = self.state.changed() => {}
            () = until(due) => {}
        }
    }

    /// Reads what is there, and passes it on when it is due.
    fn read(&mut self, room: &Room, now: Instant) {
        let tracks = self.state.borrow_and_update().tracks;
        if std::mem::replace(&mut self.tracks_seen, tracks) != tracks {
            self.find_tracks();
        }
        for index in 0..self.lanes.len() {
            self.read_lane(index, room, now);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            room.publish(std::mem::take(&mut self.pending), now);
        }
    }

    fn find_tracks(&mut self) {
        for (lane, (name, class)) in self.lanes.iter_mut().zip(LANES) {
            let track = self.broadcast.track(name).filter(|_| lane.is_none());
            let Some(track) = track.filter(|track| track.info().kind == track::Kind::Data(class))
            else {
                continue;
            };
            // What is numbered is kept from the start of the window. Of the rest, what is here
            // was told by the snapshot; but the first of a track that is empty is news.
            let start = match class {
                Class::Order | Class::Program => Start::Oldest,
                _ if track.range().is_some() => Start::Live,
                _ => Start::Oldest,
            };
            let reader = track.read_from(start);
            *lane = Some(Lane {
                reader,
                ended: false,
            });
        }
    }

    fn read_lane(&mut self, index: usize, room: &Room, now: Instant) {
        let (_, class) = LANES[index];
        let Some(lane) = &mut self.lanes[index] else {
            return;
        };
        lane.reader.read(&mut self.events, EVENTS_MAX);
        if class == Class::Total && !self.events.is_empty() && self.is_all_but_due(now) {
            self.due = None;
            room.publish(std::mem::take(&mut self.pending), now);
        }
        let wait = match class {
            Class::Order | Class::Program => Duration::ZERO,
            Class::Comment | Class::Personal if self.settings.config().batch_ms == 0 => {
                Duration::ZERO
            }
            Class::Comment | Class::Personal => PIECES,
            Class::Total => self.settings.like_tick(),
        };
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Frame(frame) => {
                    let left_us = left_us(&frame);
                    let numbered = matches!(class, Class::Order | Class::Program);
                    if (numbered || !is_stale(left_us)) && self.add(&frame, left_us, now) {
                        let due = now + wait;
                        self.due = Some(self.due.map_or(due, |before| before.min(due)));
                    }
                }
                Event::Skipped if matches!(class, Class::Order | Class::Program) => room.doubt(),
                Event::Ended => {
                    if let Some(lane) = &mut self.lanes[index] {
                        lane.ended = true;
                    }
                }
                Event::Group(_) | Event::GroupEnd | Event::Skipped => {}
            }
        }
    }

    /// True when the frame is an event that is passed on.
    fn add(&mut self, frame: &Frame, left_us: i64, now: Instant) -> bool {
        let Some(item) = Item::read(frame.payload.clone(), left_us) else {
            if !frame.payload.is_empty() {
                let bytes = frame.payload.len();
                tracing::warn!(bytes, "a frame of the room's events is no event");
            }
            return false;
        };
        let label = &item.label;
        // Of totals the newest counts.
        if label.class == Class::Total && matches!(label.kind, Kind::Like | Kind::Presence) {
            self.pending.retain(|other| other.label.kind != label.kind);
        }
        if self.pending.len() >= PENDING_MAX && label.class >= Class::Comment {
            return false;
        }
        if label.class == Class::Comment && !self.is_shown(&item, now) {
            return false;
        }
        self.pending.push(item);
        true
    }

    /// Whether what is pending leaves so soon that it need not be replaced by the total of the next
    /// tick: that comes a tick after it, a little sooner or later.
    fn is_all_but_due(&self, now: Instant) -> bool {
        let soon = now + self.settings.like_tick() / 4;
        self.due.is_some_and(|due| due <= soon)
    }

    /// Whether members see a comment: all that the origin lets pass, or a sample of them.
    fn is_shown(&mut self, item: &Item, now: Instant) -> bool {
        let Some(per_second) = self.settings.sampled_per_second() else {
            return true;
        };
        self.sample.take(per_second, per_second, now) || is_of_staff(item)
    }
}

/// Whether those in charge say it; they are heard at any level.
fn is_of_staff(item: &Item) -> bool {
    let event = serde_json::from_slice::<interact::Event>(&item.json);
    let from = event.ok().and_then(|event| event.from);
    from.is_some_and(|from| from.role >= Role::Moderator)
}

/// When a frame left the origin, by this node's clock; 0: not known.
fn left_us(frame: &Frame) -> i64 {
    match frame.stamps.ingest_us {
        0 => 0,
        by_origin => frame.stamps.hops.iter().fold(by_origin, |time, hop| {
            time.saturating_add(hop.offset_us.into())
        }),
    }
}

/// True for what left the origin a while ago.
fn is_stale(left_us: i64) -> bool {
    left_us > 0 && clock::unix_us() - left_us > STALE_US
}

/// Waits until a track may have something new.
async fn news(lane: &mut Option<Lane>) {
    match lane {
        Some(lane) if !lane.ended => lane.reader.changed().await,
        _ => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
