//! What was said in classes 0 and 1 lately, so that who was away for a moment misses nothing.
//!
//! A room is settled once a snapshot of the origin has said where the numbers stand: a number that
//! nobody has said since may be older than everything that is kept. From then on each event must be
//! one above the last; when one is not, something was lost, and only another snapshot helps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::rooms::doors::batch::{Item, Position};
use crate::runtime::clock::Instant;

/// Events are kept at least this long (R5.9), bounds permitting.
const KEPT_MIN: Duration = Duration::from_secs(60);
/// The newest events of a class are kept however old they are (R5.9).
const KEPT_COUNT_MIN: usize = 500;
/// The most bytes kept of a class: a thousand events of the longest kind.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The events kept of one room.
#[derive(Debug)]
pub(super) struct Replay {
    epoch: Arc<str>,
    is_settled: bool,
    lanes: [Lane; 2],
}

#[derive(Debug, Default)]
struct Lane {
    kept: VecDeque<(Instant, Item)>,
    bytes: usize,
    /// The last number known.
    last: u64,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    /// It is the next one.
    New,
    /// It was here before, or a snapshot holds it.
    Known,
    /// Events before it are missing.
    Gap,
}

impl Replay {
    pub(super) fn new(epoch: Arc<str>) -> Self {
        Self {
            epoch,
            is_settled: false,
            lanes: Default::default(),
        }
    }

    /// True when it keeps the events of `epoch`.
    pub(super) fn is_of(&self, epoch: &str) -> bool {
        *self.epoch == *epoch
    }

    /// Where the room stands; `None` until it is settled.
    pub(super) fn position(&self) -> Option<Position> {
        self.is_settled.then(|| Position {
            epoch: self.epoch.clone(),
            seq: [self.lanes[0].last, self.lanes[1].last],
        })
    }

    /// Takes an event of lane `lane` with number `seq`. After [`Push::Gap`] the room is no longer
    /// settled, and this event is the first one kept.
    pub(super) fn push(&mut self, lane: usize, seq: u64, item: Item, now: Instant) -> Push {
        let of_class = &mut self.lanes[lane];
        if seq <= of_class.last {
            return Push::Known;
        }
        let is_next = seq == of_class.last + 1;
        if !is_next {
            of_class.clear();
        }
        let was_settled = self.is_settled;
        of_class.last = seq;
        of_class.bytes += item.json.len();
        of_class.kept.push_back((now, item));
        of_class.evict(now);
        if is_next || !was_settled {
            return Push::New;
        }
        self.is_settled = false;
        Push::Gap
    }

    /// Something was lost: only a snapshot tells where the numbers stand.
    pub(super) fn unsettle(&mut self) {
        self.is_settled = false;
    }

    /// A snapshot says that `snapshot.seq` are given. False when it is of another epoch.
    pub(super) fn settle(&mut self, snapshot: &Position) -> bool {
        if self.epoch != snapshot.epoch {
            return false;
        }
        if std::mem::replace(&mut self.is_settled, true) {
            return true;
        }
        for (lane, seq) in self.lanes.iter_mut().zip(snapshot.seq) {
            if lane.last < seq {
                lane.clear();
                lane.last = seq;
            }
        }
        true
    }

    /// The events after `from` up to `upto`, class by class; `None` when they are not all here.
    pub(super) fn between(&self, from: &Position, upto: &Position) -> Option<Vec<Item>> {
        if from.epoch != self.epoch || upto.epoch != self.epoch {
            return None;
        }
        let mut items = Vec::new();
        for (lane, (from, upto)) in self.lanes.iter().zip(from.seq.into_iter().zip(upto.seq)) {
            if from > upto || upto > lane.last {
                return None;
            }
            // The last one kept has the number `last`, and none is missing between.
            let before = lane.last - lane.kept.len() as u64;
            if from < upto && from < before {
                return None;
            }
            let skip = usize::try_from(from.saturating_sub(before)).ok()?;
            let take = usize::try_from(upto - from).ok()?;
            let kept = lane.kept.iter().skip(skip).take(take);
            items.extend(kept.map(|(_, item)| item.clone()));
        }
        Some(items)
    }
}

impl Lane {
    fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    fn evict(&mut self, now: Instant) {
        while let Some((at, oldest)) = self.kept.front() {
            let due = self.kept.len() > KEPT_COUNT_MIN && now.duration_since(*at) > KEPT_MIN;
            if !due && self.bytes <= KEPT_BYTES_MAX {
                break;
            }
            self.bytes -= oldest.json.len();
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "replay_test.rs"]
mod tests;
