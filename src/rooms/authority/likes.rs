//! The total of likes: each batch counts once, whatever is lost, repeated or restarted. Pure.
//!
//! Edges report the sum of what they have counted, and in which runs (`question::Likes`). A batch
//! that two edges have counted is the first of a run of one and lies in a run of the other: its
//! likes are taken off once. Whatever order reports come in, the same set of runs gives the same
//! total.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::protocol::interact::question::Likes as Report;
use crate::rooms::authority::generations::Generations;

/// The most sessions that are remembered.
const SESSIONS_MAX: usize = 1_000_000;

/// The most sessions that are remembered with several runs.
const MOVED_MAX: usize = 200_000;

/// The most of them that are saved: half of a full edge, which has just gone, in 500 KB.
const SAVED_MAX: usize = 10_000;

/// The most runs remembered of one session; earlier ones are final.
const RUNS_MAX: usize = 16;

/// How long a session is remembered at least after its last like, in milliseconds. A member sends
/// a batch again within seconds.
const REMEMBERED_MS: i64 = 600_000;

/// The most edge processes whose sums are kept apart. Those of the longest silent are then only
/// kept as a sum: after so many restarts they are long dead.
const EDGES_MAX: usize = 4096;

/// How long edges have to tell their sums again after a restart, in milliseconds: what a link takes
/// to be there again.
const SETTLING_MS: i64 = 5000;

/// The likes of one room.
#[derive(Debug)]
pub(super) struct Likes {
    edges: HashMap<Arc<str>, Edge>,
    /// Likes of edges that are no longer kept apart.
    past: u64,
    /// Likes that two edges have counted.
    twice: u64,
    sessions: Generations<Run>,
    /// Sessions of several runs.
    moved: Generations<Vec<Run>>,
    /// Names edges in runs.
    next_number: u16,
    /// What has been told; the total never sinks, even if a run is told before its likes.
    told: u64,
    /// After a restart: until when edges are waited for that have not told their sums again.
    settling_ms: Option<i64>,
}

#[derive(Debug)]
struct Edge {
    number: u16,
    total: u64,
    heard_ms: i64,
    /// Known from an earlier life of the room, and not heard in this one.
    is_awaited: bool,
}

/// Batches of one session that an edge has counted without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u16, u64, u32, u64)", into = "(u16, u64, u32, u64)")]
struct Run {
    edge: u16,
    first: u64,
    /// Of the first batch.
    likes: u32,
    last: u64,
}

/// The likes of a room as they are saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Saved {
    /// Edge, number, total.
    edges: Vec<(Arc<str>, u16, u64)>,
    past: u64,
    twice: u64,
    next_number: u16,
    moved: Vec<(u64, Vec<Run>)>,
}

impl Likes {
    /// No likes. Times are milliseconds of a clock that never goes back.
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            edges: HashMap::new(),
            past: 0,
            twice: 0,
            sessions: Generations::new(SESSIONS_MAX, REMEMBERED_MS, now_ms),
            moved: Generations::new(MOVED_MAX, REMEMBERED_MS, now_ms),
            next_number: 0,
            told: 0,
            settling_ms: None,
        }
    }

    /// The total that may be told.
    pub(super) fn total(&self) -> u64 {
        self.told
    }

    /// False for a moment after a restart, while the total may be less than what was told before.
    pub(super) fn is_settled(&mut self, now_ms: i64) -> bool {
        let over = self.settling_ms.is_none_or(|until_ms| until_ms <= now_ms);
        if over || !self.edges.values().any(|edge| edge.is_awaited) {
            self.settling_ms = None;
        }
        self.settling_ms.is_none()
    }

    /// Counts a report.
    pub(super) fn report(&mut self, report: &Report, now_ms: i64) {
        self.sessions.age(now_ms);
        self.moved.age(now_ms);
        let edge = self.edge(&report.edge, report.total, now_ms);
        for &(session, first, likes, last) in &report.runs {
            let run = Run {
                edge,
                first,
                likes,
                last,
            };
            self.add(session, run);
        }
        self.told = self.told.max(self.sum());
    }

    /// What has to be saved so that a restart loses nothing: edges that live tell all again.
    pub(super) fn save(&self) -> Saved {
        let edges = self.edges.iter();
        let mut edges: Vec<_> = edges
            .map(|(name, edge)| (name.clone(), edge.number, edge.total))
            .collect();
        edges.sort_unstable_by_key(|(_, number, _)| *number);
        let moved = self.moved.iter().take(SAVED_MAX);
        Saved {
            edges,
            past: self.past,
            twice: self.twice,
            next_number: self.next_number,
            moved: moved.map(|(hash, runs)| (*hash, runs.clone())).collect(),
        }
    }

    /// The likes of an earlier life of the room.
    pub(super) fn restore(saved: Saved, now_ms: i64) -> Self {
        let mut likes = Self::new(now_ms);
        likes.past = saved.past;
        likes.twice = saved.twice;
        likes.next_number = saved.next_number;
        likes.settling_ms = Some(now_ms + SETTLING_MS);
        for (name, number, total) in saved.edges {
            let edge = Edge {
                number,
                total,
                heard_ms: now_ms,
                is_awaited: true,
            };
            likes.edges.insert(name, edge);
        }
        for (session, runs) in saved.moved {
            likes.moved.insert(session, runs);
        }
        likes.told = likes.sum();
        likes
    }

    fn sum(&self) -> u64 {
        let edges = self.edges.values().map(|edge| edge.total);
        let sum = edges.fold(self.past, u64::saturating_add);
        sum.saturating_sub(self.twice)
    }

    /// Takes in the sum of an edge, which is new here or not. Returns its number.
    fn edge(&mut self, name: &Arc<str>, total: u64, now_ms: i64) -> u16 {
        if let Some(edge) = self.edges.get_mut(name) {
            edge.heard_ms = now_ms;
            edge.is_awaited = false;
            edge.total = edge.total.max(total);
            return edge.number;
        }
        if self.edges.len() >= EDGES_MAX {
            let silent = self.edges.iter().min_by_key(|(_, edge)| edge.heard_ms);
            if let Some(silent) = silent.map(|(name, _)| name.clone())
                && let Some(edge) = self.edges.remove(&silent)
            {
                self.past += edge.total;
            }
        }
        self.next_number = self.next_number.wrapping_add(1);
        let number = self.next_number;
        let edge = Edge {
            number,
            total,
            heard_ms: now_ms,
            is_awaited: false,
        };
        self.edges.insert(name.clone(), edge);
        number
    }

    /// Takes in a run that is new, has grown, or is known.
    fn add(&mut self, session: u64, run: Run) {
        if let Some(runs) = self.moved.get_mut(session) {
            self.twice += take_in(runs, run);
            return;
        }
        match self.sessions.get_mut(session) {
            None => self.sessions.insert(session, run),
            Some(known) if known.is(&run) => known.last = known.last.max(run.last),
            Some(known) => {
                let mut runs = vec![*known];
                self.twice += take_in(&mut runs, run);
                self.sessions.remove(session);
                self.moved.insert(session, runs);
            }
        }
    }
}

/// Adds a run to those of its session. Returns the likes that are thereby known to count twice.
fn take_in(runs: &mut Vec<Run>, run: Run) -> u64 {
    let known = runs.iter().position(|known| known.is(&run));
    if known.is_none() && runs.len() == RUNS_MAX {
        let earliest = runs.iter().enumerate();
        let earliest = earliest.min_by_key(|(_, known)| known.order());
        match earliest {
            Some((index, earliest)) if earliest.order() < run.order() => runs.remove(index),
            _ => return 0,
        };
    }
    let before = counted_twice(runs);
    match known.and_then(|index| runs.get_mut(index)) {
        Some(known) => known.last = known.last.max(run.last),
        None => runs.push(run),
    }
    counted_twice(runs) - before
}

/// The likes of first batches that lie in a run of another edge. It grows with every run.
fn counted_twice(runs: &[Run]) -> u64 {
    let elsewhere = |run: &&Run| runs.iter().any(|other| other.holds_first_of(run));
    let twice = runs.iter().filter(elsewhere);
    twice.map(|run| u64::from(run.likes)).sum()
}

impl Run {
    /// True for the same run at another time.
    fn is(&self, other: &Self) -> bool {
        (self.edge, self.first) == (other.edge, other.first)
    }

    /// True when the first batch of `other` was counted here too. Of two runs that begin with the
    /// same batch, it is the elder edge's.
    fn holds_first_of(&self, other: &Self) -> bool {
        let is_earlier = self.order() < other.order();
        self.edge != other.edge && is_earlier && other.first <= self.last
    }

    fn order(&self) -> (u64, u16) {
        (self.first, self.edge)
    }
}

impl From<(u16, u64, u32, u64)> for Run {
    fn from((edge, first, likes, last): (u16, u64, u32, u64)) -> Self {
        Self {
            edge,
            first,
            likes,
            last,
        }
    }
}

impl From<Run> for (u16, u64, u32, u64) {
    fn from(run: Run) -> Self {
        (run.edge, run.first, run.likes, run.last)
    }
}

#[cfg(test)]
#[path = "likes_test.rs"]
mod tests;
