//! One life of a pulled track, from its subscription to the end of its linger: which groups are
//! here, which are under way, and where to go on after the link was lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::live::track::{GroupProducer, Producer};
use crate::media::Frame;
use crate::media::group::{Head, Id};
use crate::relay::wire::control::Start;

/// Groups beyond the first hole that are remembered. The parent says of every group that it comes
/// or not, so more than this means it does not keep its word: the hole is given up.
const GROUPS_MAX: usize = 1024;

/// Writes what arrives of a track into the store.
#[derive(Debug)]
pub(super) struct Intake {
    track: Arc<Producer>,
    received_frames: Counter,
    missed_groups: Counter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// All groups before this one are done; `None` before the parent named the first.
    next: Option<Id>,
    groups: BTreeMap<Id, Slot>,
    closed: bool,
}

#[derive(Debug)]
enum Slot {
    /// Has frames; no stream writes it now.
    Idle(GroupProducer, u64),
    /// A stream writes it.
    Busy,
    /// Complete or given up.
    Done,
}

impl Intake {
    pub(super) fn new(track: Arc<Producer>, received_frames: Counter, missed: Counter) -> Self {
        Self {
            track,
            received_frames,
            missed_groups: missed,
            state: Mutex::default(),
        }
    }

    /// The parent names the first group that will come; those before it will not.
    pub(super) fn start(&self, start: Id) {
        self.move_to(&mut self.state.lock(), start);
    }

    /// Nobody wants the track any more: streams still under way leave the store alone.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// What to ask a parent for.
    pub(super) fn resume(&self) -> Start {
        let state = self.state.lock();
        match state.next {
            None => Start::Window,
            Some(next) => match state.groups.get(&next) {
                Some(Slot::Idle(_, frames)) => Start::At(next, *frames),
                _ => Start::At(next, 0),
            },
        }
    }

    /// The rest of this group will not come.
    pub(super) fn missed(&self, id: Id) {
        let mut state = self.state.lock();
        let within = |next: Id| id >= next && id.0 - next.0 <= GROUPS_MAX as u64;
        if state.next.is_some_and(within) {
            self.give_up(&mut state, id);
            state.advance();
        }
    }

    /// True when all groups up to `last` are done.
    pub(super) fn has_all(&self, last: Id) -> bool {
        let state = self.state.lock();
        state.next.is_some_and(|next| next > last)
    }

    /// A stream with this group has begun. `None`: it is not wanted (any more).
    pub(super) fn enter(self: &Arc<Self>, head: Head, first_frame: u64) -> Option<Incoming> {
        let id = head.id;
        let mut state = self.state.lock();
        if state.closed || state.next.is_none_or(|next| id < next) {
            return None;
        }
        let (producer, frames) = match state.groups.remove(&id) {
            Some(Slot::Idle(producer, frames)) => (producer, frames),
            Some(slot) => {
                state.groups.insert(id, slot);
                return None;
            }
            None => match self.track.group(head) {
                Some(producer) => (producer, 0),
                None => {
                    // The window has moved past it.
                    state.groups.insert(id, Slot::Done);
                    state.advance();
                    return None;
                }
            },
        };
        let Some(skip) = frames.checked_sub(first_frame) else {
            // Frames between what is here and what comes are lost for good.
            self.give_up(&mut state, id);
            state.advance();
            return None;
        };
        state.groups.insert(id, Slot::Busy);
        if state.groups.len() > GROUPS_MAX
            && let Some((&first, _)) = state.groups.first_key_value()
        {
            self.move_to(&mut state, first);
        }
        Some(Incoming {
            intake: self.clone(),
            producer: Some(producer),
            id,
            frames,
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
            self.missed_groups.inc();
            self.track.miss(id);
        }
    }
}

impl State {
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
    producer: Option<GroupProducer>,
    id: Id,
    frames: u64,
    /// Frames on the stream that are here already.
    skip: u64,
}

impl Incoming {
    /// The next frame on the stream. False when the group is no longer kept: stop reading.
    pub(super) fn append(&mut self, frame: Frame) -> bool {
        self.intake.received_frames.inc();
        if self.skip > 0 {
            self.skip -= 1;
            return true;
        }
        self.frames += 1;
        let kept = self
            .producer
            .as_ref()
            .is_some_and(|producer| producer.append(frame));
        if !kept {
            self.producer = None;
            self.close(Slot::Done);
        }
        kept
    }

    /// The stream held the whole group.
    pub(super) fn finish(mut self) {
        if let Some(producer) = self.producer.take() {
            producer.finish();
        }
        self.close(Slot::Done);
    }

    fn close(&self, slot: Slot) {
        let mut state = self.intake.state.lock();
        if let Some(busy @ Slot::Busy) = state.groups.get_mut(&self.id) {
            *busy = slot;
            state.advance();
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            self.close(Slot::Idle(producer, self.frames));
        }
    }
}

#[cfg(test)]
#[path = "intake_test.rs"]
mod tests;
