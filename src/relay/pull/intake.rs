//! One life of a pulled track, from its first subscription to the end of its linger: which groups
//! are here, which are under way, and where to go on over another link.
//!
//! Each subscription has a turn. Two may run at once while a track moves from one link to another:
//! whichever brings a frame first has it counted, and a group goes over to the later turn as soon
//! as that one brings it. So each frame is taken exactly once, whatever the order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::live::track::{GroupProducer, Producer};
use crate::media::Frame;
use crate::media::group::{Head, Id};
use crate::media::track::Kind;
use crate::relay::pull::flow::Flow;
use crate::relay::wire::control::Start;
use crate::runtime::clock;

/// Groups beyond the first hole that are remembered. The parent says of every group that it comes
/// or not, so more than this means it does not keep its word: the hole is given up.
const GROUPS_MAX: usize = 1024;

/// How long a show may have run longer than it seems to: clocks differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// Writes what arrives of a track into the store.
#[derive(Debug)]
pub(super) struct Intake {
    track: Arc<Producer>,
    /// When the show began, in microseconds since 1970.
    began_us: i64,
    figures: Figures,
    state: Mutex<State>,
}

/// Where an intake counts.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) received_frames: Counter,
    pub(super) missed_groups: Counter,
    /// Of the whole room.
    pub(super) flow: Arc<Flow>,
}

#[derive(Debug, Default)]
struct State {
    /// All groups before this one are done; `None` before a parent named the first.
    next: Option<Id>,
    groups: BTreeMap<Id, Slot>,
    /// The turn of the newest subscription; 0 before the first.
    turn: u64,
    /// Earlier turns bring nothing that belongs here.
    oldest_turn: u64,
    /// Which node's continuation of the show this is.
    term: u32,
    closed: bool,
}

#[derive(Debug)]
enum Slot {
    /// Not complete; streams of no earlier turn may write it.
    Open(Open),
    /// Complete or given up.
    Done,
}

#[derive(Debug)]
struct Open {
    producer: GroupProducer,
    frames: u64,
    turn: u64,
    /// A stream writes it now.
    is_busy: bool,
}

impl Intake {
    pub(super) fn new(track: Arc<Producer>, began_us: i64, figures: Figures) -> Self {
        Self {
            track,
            began_us,
            figures,
            state: Mutex::default(),
        }
    }

    /// Ticks of the track's time in a second.
    pub(super) fn timescale(&self) -> u32 {
        self.track.info().timescale
    }

    /// The kind of the track.
    pub(super) fn kind(&self) -> Kind {
        self.track.info().kind
    }

    /// True when the show can have come as far as this group: no host begins one every millisecond.
    /// Whoever names a later one would have all true ones be taken for old.
    pub(super) fn may_be(&self, id: Id) -> bool {
        let ran =
            Duration::from_micros(clock::unix_us().saturating_sub(self.began_us).max(0) as u64);
        u128::from(id.0) <= (ran + CLOCKS_DIFFER).as_millis()
    }

    /// The parent names the first group that will come; those before it will not.
    pub(super) fn start(&self, turn: u64, start: Id) {
        let mut state = self.state.lock();
        if turn == state.turn {
            self.move_to(&mut state, start);
        }
    }

    /// Nobody wants the track any more: streams still under way leave the store alone.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// What to ask a parent for, and the turn of the subscription to it. A higher `term` begins
    /// with a group of its own: no group holds frames of two.
    pub(super) fn resume(&self, term: u32) -> (u64, Start) {
        let mut state = self.state.lock();
        state.turn += 1;
        if term > state.term {
            state.term = term;
            state.oldest_turn = state.turn;
            let begun = state.groups.iter().filter_map(|(id, slot)| match slot {
                Slot::Open(open) => (open.frames > 0).then_some(*id),
                Slot::Done => None,
            });
            for id in begun.collect::<Vec<_>>() {
                self.give_up(&mut state, id);
            }
            state.advance();
        }
        let start = match state.next {
            None => Start::Window,
            Some(next) => match state.groups.get(&next) {
                Some(Slot::Open(open)) => Start::At(next, open.frames),
                _ => Start::At(next, 0),
            },
        };
        (state.turn, start)
    }

    /// The rest of this group will not come.
    pub(super) fn missed(&self, turn: u64, id: Id) {
        let mut state = self.state.lock();
        let within = |next: Id| id >= next && id.0 - next.0 <= GROUPS_MAX as u64;
        if turn == state.turn && state.next.is_some_and(within) {
            self.give_up(&mut state, id);
            state.advance();
        }
    }

    /// True when all groups up to `last` are done.
    pub(super) fn has_all(&self, last: Id) -> bool {
        let state = self.state.lock();
        state.next.is_some_and(|next| next > last)
    }

    /// A stream with this group has begun. `None`: it is not wanted (any more), or another stream
    /// brings it.
    pub(super) fn enter(
        self: &Arc<Self>,
        turn: u64,
        head: Head,
        first_frame: u64,
    ) -> Option<Incoming> {
        let id = head.id;
        let mut state = self.state.lock();
        if state.closed || turn < state.oldest_turn || state.next.is_none_or(|next| id < next) {
            return None;
        }
        if let Entry::Vacant(place) = state.groups.entry(id) {
            place.insert(match self.track.group(head) {
                Some(producer) => Slot::Open(Open {
                    producer,
                    frames: 0,
                    turn,
                    is_busy: false,
                }),
                // The window has moved past it.
                None => Slot::Done,
            });
            state.advance();
        }
        let Some(Slot::Open(open)) = state.groups.get_mut(&id) else {
            return None;
        };
        if turn < open.turn || (turn == open.turn && open.is_busy) {
            return None;
        }
        let Some(skip) = open.frames.checked_sub(first_frame) else {
            // Frames between what is here and what comes are lost, unless another stream has them.
            if !open.is_busy {
                self.give_up(&mut state, id);
                state.advance();
            }
            return None;
        };
        (open.turn, open.is_busy) = (turn, true);
        if state.groups.len() > GROUPS_MAX
            && let Some((&first, _)) = state.groups.first_key_value()
        {
            self.move_to(&mut state, first);
        }
        Some(Incoming {
            intake: self.clone(),
            id,
            turn,
            skip,
        })
    }

    /// Goes on at `start`; what is missing before it will not come.
    fn move_to(&self, state: &mut State, start: Id) {
        match state.next {
            None => self.track.set_start(start),
            Some(next) if start <= next => return,
            Some(next) if start.0 - next.0 > GROUPS_MAX as u64 => self.track.set_start(start),
            Some(mut next) => {
                while next < start {
                    self.give_up(state, next);
                    next = next.next();
                }
            }
        }
        state.groups.retain(|id, _| *id >= start);
        state.next = Some(start);
        state.advance();
    }

    fn give_up(&self, state: &mut State, id: Id) {
        if !matches!(state.groups.insert(id, Slot::Done), Some(Slot::Done)) {
            self.figures.missed_groups.inc();
            self.track.miss(id);
        }
    }
}

impl State {
    /// The group, while the stream of this turn writes it.
    fn open(&mut self, id: Id, turn: u64) -> Option<&mut Open> {
        match self.groups.get_mut(&id) {
            Some(Slot::Open(open)) if open.turn == turn && open.is_busy => Some(open),
            _ => None,
        }
    }

    /// Moves on over groups that are done.
    fn advance(&mut self) {
        while let Some(next) = self.next
            && matches!(self.groups.get(&next), Some(Slot::Done))
        {
            self.groups.remove(&next);
            self.next = Some(next.next());
        }
    }
}

/// One group on its way in. Dropped early, as when the link is lost, it can be taken up again.
#[derive(Debug)]
pub(super) struct Incoming {
    intake: Arc<Intake>,
    id: Id,
    turn: u64,
    /// Frames on the stream that are here already.
    skip: u64,
}

impl Incoming {
    /// The next frame on the stream. False when this stream is to bring no more: the group is no
    /// longer kept, or a later one has taken over.
    pub(super) fn append(&mut self, frame: Frame) -> bool {
        let figures = &self.intake.figures;
        figures.received_frames.inc();
        if !matches!(self.intake.kind(), Kind::Data(_)) {
            let timescale = f64::from(self.intake.timescale());
            let seconds = f64::from(frame.duration) / timescale;
            figures.flow.note(Duration::from_secs_f64(seconds));
        }
        let mut state = self.intake.state.lock();
        let Some(open) = state.open(self.id, self.turn) else {
            return false;
        };
        if self.skip > 0 {
            self.skip -= 1;
            return true;
        }
        open.frames += 1;
        let kept = open.producer.append(frame);
        if !kept {
            state.groups.insert(self.id, Slot::Done);
            state.advance();
        }
        kept
    }

    /// The stream held the whole group.
    pub(super) fn finish(self) {
        let mut state = self.intake.state.lock();
        if state.open(self.id, self.turn).is_none() {
            return;
        }
        if let Some(Slot::Open(open)) = state.groups.insert(self.id, Slot::Done) {
            open.producer.finish();
        }
        state.advance();
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(open) = self.intake.state.lock().open(self.id, self.turn) {
            open.is_busy = false;
        }
    }
}

#[cfg(test)]
#[path = "intake_test.rs"]
mod tests;
