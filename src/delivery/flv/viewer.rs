//! One viewer of a hall: its sink, and what it has not taken yet.
//!
//! In the good case nothing is stored here: a batch is written whole and forgotten. A viewer that
//! takes less keeps clones of shared batches and an offset, bounded by bytes and by media time;
//! past the bound it is skipped forward to the next batch that a decoder can enter.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc::error::TrySendError;

use super::batch::Batch;
use crate::auth::Pass;
use crate::delivery::starts::Start;
use crate::delivery::viewers::Seat;
use crate::net::http::Sink;
use crate::runtime::clock::Instant;

/// Buffers in one vectored write: the kernel copies up to 8 without an allocation of its own, and
/// more than 64 bring nothing.
pub(super) const SLICES_MAX: usize = 64;
/// How far a viewer may lie behind the live edge before it is skipped forward, in milliseconds.
pub(super) const BEHIND_MS_MAX: i64 = 2000;

pub(super) struct Viewer {
    sink: Sink,
    backlog: VecDeque<Rc<Batch>>,
    /// Bytes of the first batch of the backlog that are written.
    offset: usize,
    /// Bytes of the backlog after its first batch.
    waiting_bytes: usize,
    /// Encryption holds bytes that the socket has not taken.
    unflushed: bool,
    /// Waits for a batch to enter at.
    outside: bool,
    /// The version of the configurations that it has; none after it missed something.
    configs: Option<u32>,
    /// Since when it has taken no byte.
    stuck_since: Option<Instant>,
    /// Bytes written and not counted yet.
    written: u64,
    /// It has got no media yet.
    start: Option<Start>,
    /// What it was let in by.
    pass: Option<Pass>,
    _seat: Seat,
}

/// What came of an attempt to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All is written.
    Done,
    /// Some is left; the waker is registered (connections), or try again soon (queues).
    Blocked,
    /// The viewer has gone.
    Gone,
}

impl Viewer {
    /// A viewer that is given a start of file next, with version `configs` of the configurations.
    pub(super) fn new(sink: Sink, pass: Option<Pass>, seat: Seat, configs: u32) -> Self {
        Self {
            sink,
            backlog: VecDeque::new(),
            offset: 0,
            waiting_bytes: 0,
            unflushed: false,
            outside: false,
            configs: Some(configs),
            stuck_since: None,
            written: 0,
            start: None,
            pass,
            _seat: seat,
        }
    }

    /// Lets `start` end with the first batch that it enters at.
    pub(super) fn starts_later(&mut self, start: Start) {
        self.start = Some(start);
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.unflushed || !self.backlog.is_empty()
    }

    /// False once its holder is denied access, or his token ends his session.
    pub(super) fn may_stay(&self) -> bool {
        self.pass.as_ref().is_none_or(|pass| pass.over().is_none())
    }

    /// True when it is a queue that must be tried again by the clock.
    pub(super) fn wants_retry(&self) -> bool {
        self.is_blocked() && matches!(self.sink, Sink::Queue(_))
    }

    pub(super) fn is_outside(&self) -> bool {
        self.outside
    }

    /// How far what it has taken lies behind `edge_ms`, in milliseconds.
    pub(super) fn behind_ms(&self, edge_ms: i64) -> i64 {
        match self.backlog.front() {
            Some(first) => edge_ms.saturating_sub(first.edge_ms),
            None if self.outside => BEHIND_MS_MAX,
            None => 0,
        }
    }

    /// Lets it wait for the next batch to enter at.
    pub(super) fn wait_outside(&mut self) {
        self.outside = true;
    }

    /// Notes that it gets version `configs` of the configurations with the next batch. False when
    /// it enters with another one and must be given them first.
    pub(super) fn follow(&mut self, configs: u32) -> bool {
        let had = self.configs.replace(configs);
        !self.outside || had == Some(configs)
    }

    /// Puts `batch` behind what waits; the next [`Self::give`] writes it.
    pub(super) fn queue(&mut self, batch: Rc<Batch>) {
        if !self.backlog.is_empty() {
            self.waiting_bytes += batch.len();
        }
        self.backlog.push_back(batch);
    }

    /// True when it has taken nothing since before `limit`.
    pub(super) fn is_stuck_since(&self, limit: Instant) -> bool {
        self.stuck_since.is_some_and(|since| since < limit)
    }

    /// Bytes written since the last call.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Gives it `batch`, whose buffers are in `slices`; they are written at once when nothing is in
    /// their way. The batch must be one to enter at when the viewer is outside.
    pub(super) fn give(
        &mut self,
        cx: &mut Context<'_>,
        batch: &Rc<Batch>,
        slices: &[IoSlice<'_>],
        now: Instant,
    ) -> Outcome {
        if std::mem::take(&mut self.outside)
            && let Some(start) = self.start.take()
        {
            start.done();
        }
        if !self.backlog.is_empty() {
            self.queue(batch.clone());
            return self.drain(cx, now);
        }
        let written = match &mut self.sink {
            Sink::Connection(connection) => {
                match Pin::new(connection).poll_write_vectored(cx, slices) {
                    Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Outcome::Gone,
                    Poll::Ready(Ok(written)) => written,
                    Poll::Pending => 0,
                }
            }
            Sink::Queue(_) => 0,
        };
        if written < batch.len() {
            self.offset = written;
            self.backlog.push_back(batch.clone());
        }
        if written > 0 {
            self.written += written as u64;
            self.stuck_since = None;
        }
        self.drain(cx, now)
    }

    /// Writes what it can of the backlog.
    pub(super) fn drain(&mut self, cx: &mut Context<'_>, now: Instant) -> Outcome {
        let progress = self.write_backlog(cx);
        let flushed = match (&progress, &mut self.sink) {
            (Err(_), _) => return Outcome::Gone,
            (Ok(_), Sink::Queue(_)) => true,
            (Ok(_), Sink::Connection(connection)) => match Pin::new(connection).poll_flush(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return Outcome::Gone,
                Poll::Pending => false,
            },
        };
        self.unflushed = !flushed;
        let progressed = progress.is_ok_and(|bytes| bytes > 0);
        if !self.is_blocked() {
            // Skipping empties the backlog too, but shows no sign of life.
            if progressed || !self.outside {
                self.stuck_since = None;
            }
            return Outcome::Done;
        }
        if progressed || self.stuck_since.is_none() {
            self.stuck_since = Some(now);
        }
        Outcome::Blocked
    }

    /// Drops what lies behind the batch that is half written when it is more than `bytes_max` or
    /// too old; the viewer then waits for a batch to enter at. True when it was skipped.
    pub(super) fn skip_if_behind(&mut self, edge_ms: i64, bytes_max: usize) -> bool {
        let Some(first) = self.backlog.front() else {
            return false;
        };
        let behind = edge_ms.saturating_sub(first.edge_ms) > BEHIND_MS_MAX;
        if self.backlog.len() < 2 || !(behind || self.waiting_bytes > bytes_max) {
            return false;
        }
        // A batch of which nothing is written may go as well; half a tag may not.
        self.backlog.truncate(usize::from(self.offset > 0));
        self.waiting_bytes = 0;
        self.outside = true;
        self.configs = None;
        true
    }

    /// Writes until nothing is left or the sink takes no more; returns the bytes written.
    fn write_backlog(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
        let mut total = 0;
        while !self.backlog.is_empty() {
            let written = match &mut self.sink {
                Sink::Queue(queue) => match queue.try_send(self.backlog[0].merged().clone()) {
                    Ok(()) => self.backlog[0].len(),
                    Err(TrySendError::Full(_)) => 0,
                    Err(TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                },
                Sink::Connection(connection) => {
                    let slices = slices(&self.backlog, self.offset);
                    match Pin::new(connection).poll_write_vectored(cx, &slices) {
                        Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                        Poll::Ready(written) => written?,
                        Poll::Pending => 0,
                    }
                }
            };
            if written == 0 {
                break;
            }
            total += written;
            self.written += written as u64;
            self.advance(written);
        }
        Ok(total)
    }

    fn advance(&mut self, written: usize) {
        self.offset += written;
        while let Some(first) = self.backlog.front()
            && self.offset >= first.len()
        {
            self.offset -= first.len();
            self.backlog.pop_front();
            let second = self.backlog.front().map_or(0, |batch| batch.len());
            self.waiting_bytes -= second;
        }
    }
}

/// The first buffers of `backlog` from `offset` on.
fn slices(backlog: &VecDeque<Rc<Batch>>, offset: usize) -> SmallVec<[IoSlice<'_>; SLICES_MAX]> {
    let mut skip = offset;
    let mut slices = SmallVec::new();
    for piece in backlog.iter().flat_map(|batch| batch.pieces()) {
        if skip >= piece.len() {
            skip -= piece.len();
            continue;
        }
        slices.push(IoSlice::new(&piece[skip..]));
        skip = 0;
        if slices.len() == SLICES_MAX {
            break;
        }
    }
    slices
}
