//! One room on one node: what its halls, its feed and its posts share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::media::RoomName;
use crate::protocol::interact::command::Moderation;
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::{self, Refusal};
use crate::protocol::interact::{Event, Member};
use crate::rooms::doors::batch::{Batch, Item, Position};
use crate::rooms::doors::likes::Likes;
use crate::rooms::doors::presence::Presence;
use crate::rooms::doors::replay::{Push, Replay};
use crate::rooms::doors::snapshot::Snapshots;
use crate::rooms::moderation::Sanctions;
use crate::runtime::clock::{self, Instant};

/// Turns that a hall may lie behind. 256: eight seconds of a busy room without batches; a hall that
/// is further behind lets its members enter again.
const TURNS_MAX: usize = 256;

/// What halls are told, in order.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// Events for everybody.
    Batch(Arc<Batch>),
    /// The room stands here, by the origin's word; members may enter.
    Settled(Position),
    /// Something was lost: all members have to enter again.
    Reset,
    /// The room has closed.
    Over,
}

/// One room on one node.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: RoomName,
    pub(super) snapshots: Snapshots,
    pub(super) likes: Likes,
    pub(super) presence: Presence,
    state: Mutex<State>,
    turns: broadcast::Sender<Turn>,
    /// Halls and requests that need it; see [`Visit`].
    visits: AtomicUsize,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct State {
    replay: Replay,
    sanctions: Sanctions,
}

/// Keeps a room open.
#[derive(Debug)]
pub(super) struct Visit(Arc<Room>);

impl Room {
    pub(super) fn new(name: RoomName, process: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            name,
            snapshots: Snapshots::default(),
            likes: Likes::new(process.clone()),
            presence: Presence::new(process),
            state: Mutex::new(State {
                replay: Replay::new("".into()),
                sanctions: Sanctions::default(),
            }),
            turns: broadcast::Sender::new(TURNS_MAX),
            visits: AtomicUsize::default(),
            is_closed: AtomicBool::default(),
        })
    }

    /// Keeps the room open while the visit lasts.
    pub(super) fn visit(self: &Arc<Self>) -> Visit {
        self.visits.fetch_add(1, Ordering::AcqRel);
        Visit(self.clone())
    }

    /// True when somebody needs the room.
    pub(super) fn is_visited(&self) -> bool {
        self.visits.load(Ordering::Acquire) > 0
    }

    /// What comes from now on, and where the room stands before it.
    pub(super) fn follow(&self) -> (broadcast::Receiver<Turn>, Option<Position>) {
        let state = self.state.lock();
        (self.turns.subscribe(), state.replay.position())
    }

    /// The room's events begin, or go on in the same epoch after the way to them was lost.
    pub(super) fn begin(&self, epoch: &Arc<str>) {
        let mut state = self.state.lock();
        self.is_closed.store(false, Ordering::Release);
        if !state.replay.is_of(epoch) {
            state.replay = Replay::new(epoch.clone());
            self.reset(&mut state);
        }
    }

    /// The room has closed.
    pub(super) fn close(&self) {
        let _state = self.state.lock();
        self.is_closed.store(true, Ordering::Release);
        self.tell(Turn::Over);
    }

    /// True once the room has closed.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Something was lost.
    pub(super) fn doubt(&self) {
        let mut state = self.state.lock();
        self.reset(&mut state);
    }

    /// The numbers `seen` are given by the origin's word; if they are not here by now, the events
    /// are lost.
    pub(super) fn doubt_before(&self, seen: &Position) {
        let mut state = self.state.lock();
        let here = state.replay.position();
        let is_behind = here.is_some_and(|here| {
            here.epoch == seen.epoch && here.seq.iter().zip(seen.seq).any(|(a, b)| *a < b)
        });
        if is_behind {
            tracing::warn!(room = %self.name, "events are lost: members get the room's state anew");
            self.reset(&mut state);
        }
    }

    fn reset(&self, state: &mut State) {
        state.replay.unsettle();
        self.snapshots.forget();
        self.tell(Turn::Reset);
    }

    /// Takes the origin's word on where the room stands.
    pub(super) fn settle(&self, snapshot: &question::Snapshot, slow_seconds: u32) {
        let mut state = self.state.lock();
        let was = state.replay.position();
        let position = Position {
            epoch: snapshot.epoch.clone(),
            seq: snapshot.seq,
        };
        if was.is_some() || !state.replay.settle(&position) {
            return;
        }
        state.sanctions = Sanctions::new(&snapshot.sanctions, slow_seconds);
        if let Some(position) = state.replay.position() {
            self.tell(Turn::Settled(position));
        }
    }

    /// Passes `items` to all halls in one turn. When something was lost before them, members have
    /// to enter again.
    pub(super) fn publish(&self, items: Vec<Item>, now: Instant) {
        let mut state = self.state.lock();
        let before = state.replay.position();
        let mut shared = Vec::with_capacity(items.len());
        let mut personal = Vec::new();
        let mut banned = Vec::new();
        let mut is_gap = false;
        for item in items {
            if item.label.to.is_some() {
                personal.push(item);
                continue;
            }
            if let Some((lane, seq)) = item.numbered() {
                match state.replay.push(lane, seq, item.clone(), now) {
                    Push::New => {}
                    Push::Known => continue,
                    Push::Gap => is_gap = true,
                }
            }
            if item.label.kind == Kind::Mod {
                banned.extend(state.sentence(&item));
            }
            shared.push(item);
        }
        if is_gap {
            tracing::warn!(room = %self.name, "numbers are missing: members get the state anew");
            self.reset(&mut state);
        }
        // Unsettled, nobody is seated, and what has a number is kept for later.
        if let (Some(before), Some(after)) = (before, state.replay.position()) {
            let mut batch = Batch::new(shared, before, after);
            batch.personal = personal;
            batch.banned = banned;
            self.tell(Turn::Batch(Arc::new(batch)));
        }
    }

    /// The events between two positions; `None` when they are not all kept.
    pub(super) fn between(&self, from: &Position, upto: &Position) -> Option<Vec<Item>> {
        self.state.lock().replay.between(from, upto)
    }

    /// Whether `member` may be here.
    pub(super) fn may_enter(&self, member: &Member) -> Result<(), Refusal> {
        let now_ms = clock::unix_us() / 1000;
        self.state.lock().sanctions.may_enter(member, now_ms)
    }

    /// Whether `member` may say something now.
    pub(super) fn may_speak(&self, member: &Member) -> Result<(), Refusal> {
        let now_ms = clock::unix_us() / 1000;
        self.state.lock().sanctions.may_speak(member, now_ms)
    }

    /// `member` has said something that was taken.
    pub(super) fn has_spoken(&self, member: &Member) {
        let now_ms = clock::unix_us() / 1000;
        self.state.lock().sanctions.has_spoken(member, now_ms);
    }

    /// Forgets sanctions that are over.
    pub(super) fn sweep(&self) {
        self.state.lock().sanctions.sweep(clock::unix_us() / 1000);
    }

    fn tell(&self, turn: Turn) {
        // Nobody listens when there is no hall.
        let _listeners = self.turns.send(turn);
    }
}

impl State {
    /// Carries out a moderator's word; returns who has to go.
    fn sentence(&mut self, item: &Item) -> Option<Arc<str>> {
        let event: Event = serde_json::from_slice(&item.json).ok()?;
        match self.sanctions.apply(&event)? {
            Moderation::Ban { user, .. } => Some(user),
            _ => None,
        }
    }
}

impl std::ops::Deref for Visit {
    type Target = Arc<Room>;

    fn deref(&self) -> &Arc<Room> {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.visits.fetch_sub(1, Ordering::AcqRel);
    }
}
