//! Likes of one room, counted on this node and reported as a total.
//!
//! Each batch above the last one of its session counts, and is answered at once. Whether another
//! node has counted the same batch when its member came over from there, only the origin can see:
//! it is told where each run of batches begins (`question::Likes`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::protocol::interact::command::Like;
use crate::protocol::interact::question::{self, LikesTaken};
use crate::runtime::Sweep;
use crate::runtime::clock::Instant;

/// Sessions remembered. When there are more, also those that are silent and not reported yet are
/// forgotten.
const SESSIONS_MAX: usize = 200_000;
/// A session that has been silent for so long sends no batch again, and is forgotten: its next one
/// begins a run.
const SILENT: Duration = Duration::from_secs(60);
/// Runs remembered of one session; the oldest are final.
const RUNS_MAX: usize = 8;
/// How late the growth of a run may be reported.
const GROWTH: Duration = Duration::from_secs(2);
/// Runs in one report, up to 80 bytes each as text: below the longest question.
const REPORT_RUNS_MAX: usize = 3000;

/// The likes of one room on this node.
#[derive(Debug)]
pub(super) struct Likes {
    process: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counted by this process.
    total: u64,
    /// The total that the origin knows of.
    reported: u64,
    /// The room's total, as far as known here.
    room_total: u64,
    sessions: HashMap<u64, Session>,
    sweep: Sweep,
    /// Sessions with a run that has begun.
    begun: VecDeque<u64>,
    /// Sessions with a run that has grown, and since when the first of them waits.
    grown: VecDeque<u64>,
    grown_since: Option<Instant>,
    /// The runs of the report that waits for its answer: session, first batch.
    under_way: Vec<(u64, u64)>,
    /// The origin process that answered last.
    origin: Option<Arc<str>>,
}

#[derive(Debug)]
struct Session {
    runs: SmallVec<[Run; 1]>,
    seen: Instant,
}

/// Batches without a hole, from one connection.
#[derive(Debug, Clone, Copy)]
struct Run {
    connection: u64,
    first: u64,
    /// The likes of the first batch.
    count: u32,
    last: u64,
    /// The last batch that was reported; 0: none.
    told: u64,
}

/// Too many sessions are active.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The name of a session between nodes.
fn session_hash(session: &str) -> u64 {
    let digest = digest(&SHA256, session.as_bytes());
    let first = digest.as_ref().first_chunk().expect("32 bytes");
    u64::from_be_bytes(*first)
}

/// True when there may be more to say than `report` does.
pub(super) fn is_full(report: &question::Likes) -> bool {
    report.runs.len() >= REPORT_RUNS_MAX
}

impl Likes {
    /// `process`: names this process to the origin.
    pub(super) fn new(process: Arc<str>) -> Self {
        Self {
            process,
            state: Mutex::default(),
        }
    }

    /// Counts a batch, if it does not count already; returns the room's total as far as known.
    pub(super) fn count(&self, like: &Like, connection: u64, now: Instant) -> Result<u64, Full> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let hash = session_hash(&like.session);
        let is_full = state.sessions.len() >= SESSIONS_MAX;
        if (is_full || state.sweep.is_due(state.sessions.len()))
            && !state.sessions.contains_key(&hash)
        {
            let recent = |one: &Session| now.duration_since(one.seen) < SILENT;
            let kept = |one: &Session| recent(one) || (!is_full && one.has_news());
            state.sessions.retain(|_, one| kept(one));
            state.sweep.swept(state.sessions.len());
            if state.sessions.len() >= SESSIONS_MAX {
                return Err(Full);
            }
        }
        let session = state.sessions.entry(hash).or_insert_with(|| Session {
            runs: SmallVec::new(),
            seen: now,
        });
        session.seen = now;
        let n = like.n;
        match session.runs.last_mut() {
            Some(run) if n <= run.last => return Ok(state.room_total),
            // Whoever was elsewhere meanwhile may have been counted there.
            Some(run) if n == run.last + 1 && run.connection == connection => {
                if run.told == run.last {
                    state.grown.push_back(hash);
                    state.grown_since.get_or_insert(now);
                }
                run.last = n;
            }
            _ => {
                if session.runs.len() == RUNS_MAX {
                    session.runs.remove(0);
                }
                session.runs.push(Run {
                    connection,
                    first: n,
                    count: like.count,
                    last: n,
                    told: 0,
                });
                state.begun.push_back(hash);
            }
        }
        state.total += u64::from(like.count);
        state.room_total = state.room_total.max(state.total);
        Ok(state.room_total)
    }

    /// What the origin has to be told; `None`: nothing new. A report before this one that was not
    /// [`Self::taken`] is lost: nobody knows whether it was heard, so this one says the same and
    /// more.
    pub(super) fn report(&self, now: Instant) -> Option<question::Likes> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.tell_lost_again();
        let mut runs = Vec::new();
        let late = |since: &Instant| now.duration_since(*since) >= GROWTH;
        let is_late = state.grown_since.as_ref().is_some_and(late);
        while runs.len() < REPORT_RUNS_MAX {
            let hash = match state.begun.pop_front() {
                None if is_late => state.grown.pop_front(),
                begun => begun,
            };
            let Some(hash) = hash else { break };
            let Some(session) = state.sessions.get_mut(&hash) else {
                continue;
            };
            for run in session.runs.iter_mut().filter(|run| run.told < run.last) {
                run.told = run.last;
                runs.push((hash, run.first, run.count, run.last));
                state.under_way.push((hash, run.first));
            }
        }
        if state.grown.is_empty() {
            state.grown_since = None;
        }
        if state.total == state.reported && runs.is_empty() {
            return None;
        }
        Some(question::Likes {
            edge: self.process.clone(),
            total: state.total,
            runs,
        })
    }

    /// The origin has answered `report`.
    pub(super) fn taken(&self, report: &question::Likes, taken: &LikesTaken) {
        let mut state = self.state.lock();
        state.under_way.clear();
        state.reported = report.total;
        state.room_total = state.room_total.max(taken.total);
        let before = state.origin.replace(taken.origin.clone());
        if before.is_some_and(|before| before != taken.origin) {
            state.tell_all_again();
        }
    }
}

impl Session {
    /// True while the origin does not know all its runs.
    fn has_news(&self) -> bool {
        self.runs.iter().any(|run| run.told < run.last)
    }
}

impl State {
    fn tell_lost_again(&mut self) {
        for (hash, first) in std::mem::take(&mut self.under_way) {
            let session = self.sessions.get_mut(&hash);
            let run = session.and_then(|one| one.runs.iter_mut().find(|run| run.first == first));
            if let Some(run) = run {
                run.told = 0;
                self.begun.push_back(hash);
            }
        }
    }

    fn tell_all_again(&mut self) {
        self.reported = 0;
        self.begun.clear();
        for (hash, session) in &mut self.sessions {
            for run in &mut session.runs {
                run.told = 0;
            }
            self.begun.push_back(*hash);
        }
    }
}

#[cfg(test)]
#[path = "likes_test.rs"]
mod tests;
