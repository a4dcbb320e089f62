//! A hall: all viewers of one worker who watch the same thing. One task, one wake per frame, one
//! write per viewer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io::IoSlice;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;

use super::batch::Batch;
use super::endings::Endings;
use super::feed::Feed;
use super::halls::{Drain, Figures};
use super::leaving::Leaving;
use super::query::Selection;
use super::viewer::{Outcome, Viewer};
use crate::auth::Pass;
use crate::delivery::pulse::Pulse;
use crate::delivery::starts::Start;
use crate::delivery::viewers::Audience;
use crate::live::broadcast;
use crate::net::http::Sink;
use crate::runtime::{Turn, clock};

/// How soon a queue that was full is tried again.
const RETRY: Duration = Duration::from_millis(20);
/// How often viewers that take nothing are looked for.
const CHECK: Duration = Duration::from_millis(500);
/// How long the last bytes of a show may take to leave.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// The door of a hall: viewers come in here.
pub(super) struct Hall {
    door: RefCell<VecDeque<Newcomer>>,
    rung: Notify,
    audience: Arc<Audience>,
}

struct Newcomer {
    sink: Sink,
    fast: bool,
    pass: Option<Pass>,
    start: Start,
}

/// Limits and figures that all halls share.
#[derive(Clone)]
pub(super) struct House {
    pub(super) backlog_bytes_max: usize,
    pub(super) slow_close: Duration,
    pub(super) merge: Duration,
    pub(super) figures: Figures,
}

impl Hall {
    pub(super) fn new(audience: Arc<Audience>) -> Self {
        Self {
            door: RefCell::default(),
            rung: Notify::new(),
            audience,
        }
    }

    /// A viewer comes in; `fast`: it wants the pictures since the newest key frame at once.
    pub(super) fn enter(&self, sink: Sink, fast: bool, pass: Option<Pass>, start: Start) {
        let newcomer = Newcomer {
            sink,
            fast,
            pass,
            start,
        };
        self.door.borrow_mut().push_back(newcomer);
        self.rung.notify_one();
    }

    /// Serves the hall until nobody is left, the show is over, or `drain` has sent all away;
    /// returns those who still wait for bytes.
    pub(super) async fn run(
        self: Rc<Self>,
        broadcast: broadcast::Consumer,
        selection: Selection,
        house: House,
        drain: Drain,
    ) -> Rows {
        let mut feed = Feed::new(broadcast, &selection);
        let mut rows = Rows::new(house, self.audience.pulse().clone());
        let mut endings = Endings::default();
        let mut leaving = Leaving::new(drain);
        loop {
            let present = rows.viewers.len();
            tokio::select! {
                biased;
                share = leaving.next(present) => {
                    if rows.dismiss(share) {
                        break;
                    }
                }
                () = feed.changed() => {}
                () = self.rung.notified() => {}
                () = endings.changed() => rows.let_go(),
                () = rows.tend() => {}
            }
            let batches = feed.read(clock::now());
            for batch in &batches {
                rows.give(batch, &feed).await;
            }
            if feed.is_ready() {
                self.seat_newcomers(&mut feed, &mut rows, &mut endings)
                    .await;
            }
            let empty = rows.viewers.is_empty() && self.door.borrow().is_empty();
            if empty || feed.is_over() {
                break;
            }
        }
        rows
    }

    async fn seat_newcomers(&self, feed: &mut Feed, rows: &mut Rows, endings: &mut Endings) {
        while let Some(newcomer) = self.pop() {
            let Newcomer {
                sink, fast, pass, ..
            } = newcomer;
            let opening = fast.then(|| feed.opening()).flatten();
            let outside = opening.is_none();
            let first = opening.unwrap_or_else(|| feed.preface());
            if let Some(pass) = &pass {
                endings.watch(pass);
                // He may have been denied on his way here.
                if pass.over().is_some() {
                    continue;
                }
            }
            let mut viewer = Viewer::new(sink, pass, self.audience.seat(), feed.configs());
            if outside {
                viewer.starts_later(newcomer.start);
                rows.seat(viewer, &first, outside).await;
            } else {
                rows.seat(viewer, &first, outside).await;
                newcomer.start.done();
            }
        }
    }

    fn pop(&self) -> Option<Newcomer> {
        self.door.borrow_mut().pop_front()
    }
}

/// The viewers of a hall.
pub(super) struct Rows {
    viewers: Vec<Viewer>,
    /// Those who go as soon as they have what they were given.
    dismissed: Vec<Viewer>,
    /// Where the next turn of tending begins.
    tended: usize,
    house: House,
    pulse: Arc<Pulse>,
}

impl Rows {
    fn new(house: House, pulse: Arc<Pulse>) -> Self {
        Self {
            viewers: Vec::new(),
            dismissed: Vec::new(),
            tended: 0,
            house,
            pulse,
        }
    }

    /// Gives all viewers `batch` in one pass.
    async fn give(&mut self, batch: &Rc<Batch>, feed: &Feed) {
        let configs = feed.configs();
        let slices: Vec<_> = batch
            .pieces()
            .iter()
            .map(|piece| IoSlice::new(piece))
            .collect();
        let now = clock::now();
        let bytes_max = self.house.backlog_bytes_max;
        let figures = self.house.figures.clone();
        self.pass(|viewer, cx| {
            // Nobody enters before it has taken what was half written when it was skipped.
            if viewer.is_outside() && (!batch.entry || viewer.is_blocked()) {
                return viewer.drain(cx, now);
            }
            if !viewer.follow(configs) {
                viewer.queue(feed.configurations());
            }
            let outcome = viewer.give(cx, batch, &slices, now);
            if outcome == Outcome::Blocked && viewer.skip_if_behind(batch.edge_ms, bytes_max) {
                figures.skips.inc();
            }
            outcome
        })
        .await;
        self.house.figures.batches.inc();
        self.note_queues(batch.edge_ms);
        if batch.ingest_us > 0 && !self.viewers.is_empty() {
            self.pulse.leaves(batch.received_us);
            let delay_us = (clock::unix_us() - batch.ingest_us).max(0);
            self.house.figures.delay.observe(delay_us as f64 / 1e6);
        }
    }

    /// Counts how far each viewer lags.
    fn note_queues(&self, edge_ms: i64) {
        let mut prompt = 0;
        for viewer in &self.viewers {
            match viewer.behind_ms(edge_ms) {
                0 => prompt += 1,
                late_ms => self.pulse.queue.add(late_ms.saturating_mul(1000)),
            }
        }
        self.pulse.queue.add_many(0, prompt);
    }

    /// Seats one viewer and gives it the first bytes.
    async fn seat(&mut self, mut viewer: Viewer, first: &Rc<Batch>, outside: bool) {
        let slices: Vec<_> = first
            .pieces()
            .iter()
            .map(|piece| IoSlice::new(piece))
            .collect();
        let now = clock::now();
        let given = poll_fn(|cx| Poll::Ready(viewer.give(cx, first, &slices, now))).await;
        let written = viewer.take_written();
        self.house.figures.bytes.inc_by(written);
        self.pulse.flv_sent(written);
        if given != Outcome::Gone {
            if outside {
                viewer.wait_outside();
            }
            self.viewers.push(viewer);
        }
    }

    /// Writes to those who are blocked, whenever they can take more. Ready when nobody is left, so
    /// that the hall can close; cancel-safe.
    async fn tend(&mut self) {
        let mut retry = None;
        if self.viewers.is_empty() {
            std::future::pending::<()>().await;
        }
        loop {
            self.tend_all().await;
            if self.viewers.is_empty() {
                return;
            }
            // Connections wake us by themselves; queues and the patience with the slow do not.
            if retry.is_none() && self.viewers.iter().any(Viewer::is_blocked) {
                let queues = self.viewers.iter().any(Viewer::wants_retry);
                let wait = if queues { RETRY } else { CHECK };
                retry = Some(Box::pin(tokio::time::sleep(wait)));
            }
            let mut is_woken = false;
            let is_due = poll_fn(|cx| {
                if retry
                    .as_mut()
                    .is_some_and(|at| at.as_mut().poll(cx).is_ready())
                {
                    return Poll::Ready(true);
                }
                match mem::replace(&mut is_woken, true) {
                    true => Poll::Ready(false),
                    false => Poll::Pending,
                }
            });
            if is_due.await {
                return;
            }
        }
    }

    /// Writes once to each who is blocked, in turns.
    async fn tend_all(&mut self) {
        // Where the last round was left, so that those at the end are not always left out.
        let mut is_whole = self.tended == 0;
        loop {
            let is_through = poll_fn(|cx| Poll::Ready(self.tend_some(cx))).await;
            if !is_through {
                Turn::pass_on().await;
            } else if mem::replace(&mut is_whole, true) {
                return;
            }
        }
    }

    /// One turn of it; true when the last viewer was looked at.
    fn tend_some(&mut self, cx: &mut Context<'_>) -> bool {
        let (now, turn) = (clock::now(), Turn::begin());
        let stuck = now.checked_sub(self.house.slow_close);
        let figures = self.house.figures.clone();
        // Most are not blocked, and to look whether they are takes no time.
        let worked = Cell::new(false);
        let goes_on = || !worked.take() || !turn.is_over();
        let next = self.some(cx, self.tended, goes_on, |viewer, cx| {
            if !viewer.is_blocked() {
                return Outcome::Done;
            }
            worked.set(true);
            let outcome = viewer.drain(cx, now);
            if outcome == Outcome::Blocked && stuck.is_some_and(|at| viewer.is_stuck_since(at)) {
                figures.closed_slow.inc();
                return Outcome::Gone;
            }
            outcome
        });
        let is_through = next >= self.viewers.len();
        self.tended = if is_through { 0 } else { next };
        is_through
    }

    /// Lets go of those who are denied access.
    fn let_go(&mut self) {
        let before = self.viewers.len();
        self.viewers.retain(Viewer::may_stay);
        let gone = before - self.viewers.len();
        self.house.figures.closed_denied.inc_by(gone as u64);
    }

    /// Lets `count` viewers go; true when nobody is left.
    fn dismiss(&mut self, count: usize) -> bool {
        let stay = self.viewers.len().saturating_sub(count);
        let leaving = self.viewers.drain(stay..).filter(Viewer::is_blocked);
        self.dismissed.extend(leaving);
        self.viewers.is_empty()
    }

    async fn pass(&mut self, mut act: impl FnMut(&mut Viewer, &mut Context<'_>) -> Outcome) {
        let mut from = 0;
        loop {
            let start = from;
            let turn = Turn::begin();
            let goes_on = || !turn.is_over();
            from = poll_fn(|cx| Poll::Ready(self.some(cx, start, goes_on, &mut act))).await;
            if from >= self.viewers.len() {
                return;
            }
            Turn::pass_on().await;
        }
    }

    /// Runs `act` for viewers from the one at `from` on while `goes_on`, for one at least, and lets
    /// go of those who are gone. Returns where the next one is.
    fn some(
        &mut self,
        cx: &mut Context<'_>,
        from: usize,
        goes_on: impl Fn() -> bool,
        mut act: impl FnMut(&mut Viewer, &mut Context<'_>) -> Outcome,
    ) -> usize {
        let mut written = 0;
        let mut index = from;
        while let Some(viewer) = self.viewers.get_mut(index) {
            let outcome = act(viewer, cx);
            written += viewer.take_written();
            if outcome == Outcome::Gone {
                self.viewers.swap_remove(index);
            } else {
                index += 1;
            }
            if !goes_on() {
                break;
            }
        }
        self.house.figures.bytes.inc_by(written);
        self.pulse.flv_sent(written);
        index
    }

    /// Lets the last bytes leave, for a bounded time.
    pub(super) async fn finish(mut self) {
        self.viewers.append(&mut self.dismissed);
        self.viewers.retain(Viewer::is_blocked);
        let last = async {
            while !self.viewers.is_empty() {
                self.tend().await;
                self.viewers.retain(Viewer::is_blocked);
            }
        };
        if tokio::time::timeout(LAST_BYTES, last).await.is_err() {
            tracing::debug!("viewers left without the last bytes");
        }
    }
}
