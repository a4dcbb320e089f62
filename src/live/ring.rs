//! The ring of one track: groups by number, bounded by time and bytes. No locks and no wakes here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::media::group::{Head, Id};
use crate::media::{Frame, Group, rescale};

/// How far a group has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Frames may still arrive.
    Open,
    /// All frames are here.
    Complete,
    /// Given up: readers step over what is missing.
    Missing,
}

/// One group in the ring.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) head: Option<Arc<Head>>,
    pub(super) frames: Vec<Arc<Frame>>,
    pub(super) state: State,
    bytes: usize,
}

impl Slot {
    /// The time of its newest frame; `None` when it never opened.
    fn last_dts(&self) -> Option<i64> {
        let head = self.head.as_ref()?;
        Some(self.frames.last().map_or(head.dts, |frame| frame.dts))
    }
}

/// The groups of one track.
#[derive(Debug, Default)]
pub(super) struct Ring {
    slots: BTreeMap<Id, Slot>,
    /// The first group that may be here: readers of the whole window wait for it, earlier ones are
    /// gone for good.
    start: Option<Id>,
    bytes: usize,
    pub(super) ended: bool,
    /// Raised when the ring is emptied, so that a late writer of an old life does no harm.
    pub(super) generation: u64,
    /// Raised when the writing changes hands, so that the former writer does no harm.
    pub(super) writer: u64,
}

impl Ring {
    /// Opens a group; false when it exists already or lies before the window.
    pub(super) fn open(&mut self, head: Arc<Head>) -> bool {
        let id = head.id;
        // A group that was evicted or given up does not come back: readers have passed it.
        if self.slots.contains_key(&id) || id < *self.start.get_or_insert(id) {
            return false;
        }
        self.slots.insert(
            id,
            Slot {
                head: Some(head),
                frames: Vec::new(),
                state: State::Open,
                bytes: 0,
            },
        );
        true
    }

    /// Appends to an open group; false when it is gone.
    pub(super) fn append(&mut self, id: Id, frame: Arc<Frame>) -> bool {
        let Some(slot) = self
            .slots
            .get_mut(&id)
            .filter(|slot| slot.state == State::Open)
        else {
            return false;
        };
        let bytes = frame.payload.len() + size_of::<Frame>();
        slot.bytes += bytes;
        self.bytes += bytes;
        slot.frames.push(frame);
        true
    }

    /// Marks a group complete or missing; a missing one may never have been opened.
    pub(super) fn close(&mut self, id: Id, state: State) {
        match self.slots.get_mut(&id) {
            Some(slot) if slot.state == State::Open => slot.state = state,
            Some(_) => {}
            None if state == State::Missing && self.start.is_none_or(|start| id >= start) => {
                let slot = Slot {
                    head: None,
                    frames: Vec::new(),
                    state,
                    bytes: 0,
                };
                self.slots.insert(id, slot);
            }
            None => {}
        }
    }

    /// Says where the window of the writer's own source begins: readers of the whole window wait
    /// for this group.
    pub(super) fn set_start(&mut self, id: Id) {
        self.start = Some(id);
    }

    /// Evicts the oldest groups until the ring is within `bytes` and holds none that ended more
    /// than `seconds` before the newest began; the newest group stays. Where frames are rare a
    /// group may stand open for longer than the window, so its last frame counts, not its first.
    pub(super) fn evict(&mut self, seconds: u32, bytes: usize, timescale: u32) {
        let window = rescale(i64::from(seconds), 1, timescale);
        let Some(newest_dts) = self.newest_head().map(|head| head.dts) else {
            return;
        };
        while self.slots.len() > 1 {
            // A group that never opened is as old as the one after it.
            let oldest_dts = self.slots.values().find_map(Slot::last_dts);
            let too_old = oldest_dts.is_some_and(|dts| newest_dts.saturating_sub(dts) > window);
            if !too_old && self.bytes <= bytes {
                return;
            }
            let Some((id, slot)) = self.slots.pop_first() else {
                return;
            };
            self.bytes -= slot.bytes;
            self.start = self.start.max(Some(id.next()));
        }
    }

    /// Empties the ring, as when nobody watches and the upstream subscription is dropped.
    pub(super) fn clear(&mut self) {
        *self = Self {
            generation: self.generation + 1,
            ended: self.ended,
            writer: self.writer,
            ..Self::default()
        };
    }

    /// Another writer goes on after what is here; returns its number. The newest group ends where
    /// it stands; older ones that were still coming will not be whole.
    pub(super) fn hand_over(&mut self) -> u64 {
        let newest = self.last();
        for (id, slot) in &mut self.slots {
            if slot.state == State::Open {
                let cut_short = Some(*id) == newest && !slot.frames.is_empty();
                slot.state = match cut_short {
                    true => State::Complete,
                    false => State::Missing,
                };
            }
        }
        self.ended = false;
        self.generation += 1;
        self.writer += 1;
        self.writer
    }

    pub(super) fn slot(&self, id: Id) -> Option<&Slot> {
        self.slots.get(&id)
    }

    /// The oldest group that is here.
    pub(super) fn first(&self) -> Option<Id> {
        self.slots.first_key_value().map(|(id, _)| *id)
    }

    /// The group a reader of the whole window begins with.
    pub(super) fn start(&self) -> Option<Id> {
        self.start
    }

    /// The newest group that is here.
    pub(super) fn last(&self) -> Option<Id> {
        self.slots.last_key_value().map(|(id, _)| *id)
    }

    pub(super) fn newest_head(&self) -> Option<&Arc<Head>> {
        self.slots
            .values()
            .rev()
            .find_map(|slot| slot.head.as_ref())
    }

    /// Group and index of the newest key frame that carries media.
    pub(super) fn newest_key(&self) -> Option<(Id, usize)> {
        self.slots.iter().rev().find_map(|(id, slot)| {
            let index = slot
                .frames
                .iter()
                .rposition(|frame| frame.is_key() && !frame.is_gap())?;
            Some((*id, index))
        })
    }

    /// A complete group, for fetches and for segments.
    pub(super) fn group(&self, id: Id) -> Option<Group> {
        let slot = self
            .slots
            .get(&id)
            .filter(|slot| slot.state == State::Complete)?;
        Some(Group {
            head: slot.head.clone()?,
            frames: slot.frames.clone(),
        })
    }

    /// Frames from `position` on, which moves behind them.
    pub(super) fn peek(&self, position: &mut Option<(Id, usize)>, limit: usize) -> Vec<Arc<Frame>> {
        let Some((&last, newest)) = self.slots.last_key_value() else {
            return Vec::new();
        };
        let (group, frame) = match *position {
            // Nothing was seen, or the numbers have started over.
            None => (last, newest.frames.len()),
            Some((group, _)) if group > last => (last, newest.frames.len()),
            Some(position) => position,
        };
        let mut frames = Vec::new();
        *position = Some((group, frame));
        for (&id, slot) in self.slots.range(group..) {
            let skip = if id == group { frame } else { 0 };
            let new = slot.frames.get(skip..).unwrap_or_default();
            let new = &new[..new.len().min(limit - frames.len())];
            frames.extend_from_slice(new);
            *position = Some((id, skip + new.len()));
            if frames.len() == limit {
                break;
            }
        }
        frames
    }

    pub(super) fn newest_frame(&self) -> Option<&Arc<Frame>> {
        self.slots
            .values()
            .rev()
            .find_map(|slot| slot.frames.last())
    }

    pub(super) fn newest_media(&self) -> Option<&Arc<Frame>> {
        let frames = |slot: &'_ Slot| slot.frames.iter().rposition(|frame| !frame.is_gap());
        self.slots
            .values()
            .rev()
            .find_map(|slot| slot.frames.get(frames(slot)?))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn groups(&self) -> usize {
        self.slots.len()
    }
}
