//! One member's connection, as the hall writes to it.
//!
//! In the good case nothing is stored here: bytes are written whole and forgotten. A connection
//! that takes less keeps clones of shared buffers, whole events of one class each, in order. Over
//! the bound it loses likes, then comments; what still does not fit, or is not taken for
//! [`BEHIND_MAX`], closes it with a code that says: come back and resume.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::auth::Pass;
use crate::media::Class;
use crate::protocol::interact;
use crate::protocol::websocket::{self, CloseCode};
use crate::rooms::doors::batch::{Form, Format};
use crate::rooms::doors::figures::Figures;
use crate::rooms::doors::wire::Wire;
use crate::runtime::clock::Instant;

/// How long an event may wait for its member (R5.8).
pub(super) const BEHIND_MAX: Duration = Duration::from_secs(10);

/// A member's connection. Shared by the hall, which writes, and the member's own task, which reads
/// and writes what the hall had to leave.
pub(super) struct Member {
    /// Who it is.
    pub(super) who: interact::Member,
    /// What he was let in by.
    pass: Pass,
    /// How it reads.
    pub(super) format: Format,
    queue_bytes_max: usize,
    inner: RefCell<Inner>,
    /// When it was last heard of.
    heard: Cell<Instant>,
    /// When it was last asked for a sign of life.
    asked: Cell<Instant>,
}

struct Inner {
    wire: Wire,
    queue: VecDeque<Piece>,
    /// Bytes of the first piece that are written.
    offset: usize,
    /// Bytes of the queue after its first piece.
    waiting_bytes: usize,
    /// The member's task, when it waits.
    waker: Option<Waker>,
    state: State,
}

struct Piece {
    class: Class,
    bytes: Bytes,
    since: Instant,
}

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It gets what all get.
    Seated,
    /// It has to be told the state of the room first.
    Entering,
    /// The last words are in the queue.
    Closing(CloseCode),
    /// The peer has gone.
    Gone,
}

impl Member {
    pub(super) fn new(
        (who, pass): (interact::Member, Pass),
        format: Format,
        wire: Wire,
        queue_bytes_max: usize,
        now: Instant,
    ) -> Self {
        let inner = Inner {
            wire,
            queue: VecDeque::new(),
            offset: 0,
            waiting_bytes: 0,
            waker: None,
            state: State::Entering,
        };
        Self {
            who,
            pass,
            format,
            queue_bytes_max,
            inner: RefCell::new(inner),
            heard: Cell::new(now),
            asked: Cell::new(now),
        }
    }

    pub(super) fn state(&self) -> State {
        self.inner.borrow().state
    }

    /// It takes part from now on.
    pub(super) fn seat(&self) {
        self.turn(State::Entering, State::Seated);
    }

    /// It has missed something and has to enter again.
    pub(super) fn unseat(&self) {
        self.turn(State::Seated, State::Entering);
    }

    fn turn(&self, from: State, to: State) {
        let mut inner = self.inner.borrow_mut();
        if inner.state == from {
            inner.state = to;
            inner.wake();
        }
    }

    /// Gives it what all members get. False when it takes part no longer.
    pub(super) fn give(&self, form: &Form, now: Instant, figures: &Figures) -> bool {
        let mut inner = self.inner.borrow_mut();
        if inner.state != State::Seated {
            return false;
        }
        let mut skip = 0;
        if inner.queue.is_empty() {
            match inner.wire.try_write(&form.whole) {
                Ok(written) if written == form.whole.len() => return true,
                Ok(written) => skip = written,
                Err(_) => {
                    inner.state = State::Gone;
                    inner.wake();
                    return false;
                }
            }
        }
        for (class, run) in &form.runs {
            let skipped = skip.min(run.len());
            skip -= skipped;
            if skipped < run.len() {
                inner.push(*class, run.clone(), now);
                inner.offset += skipped;
            }
        }
        self.settle(inner, now, figures)
    }

    /// Gives it something of its own: whole events of `class`.
    pub(super) fn send(&self, class: Class, bytes: Bytes, now: Instant, figures: &Figures) -> bool {
        let mut inner = self.inner.borrow_mut();
        if !matches!(inner.state, State::Seated | State::Entering) {
            return false;
        }
        let mut written = 0;
        if inner.queue.is_empty() {
            match inner.wire.try_write(&bytes) {
                Ok(taken) if taken == bytes.len() => return true,
                Ok(taken) => written = taken,
                Err(_) => {
                    inner.state = State::Gone;
                    inner.wake();
                    return false;
                }
            }
        }
        inner.push(class, bytes, now);
        inner.offset += written;
        self.settle(inner, now, figures)
    }

    /// Brings a queue that has grown within its bounds.
    fn settle(
        &self,
        mut inner: std::cell::RefMut<'_, Inner>,
        now: Instant,
        figures: &Figures,
    ) -> bool {
        for class in [Class::Total, Class::Comment] {
            if inner.waiting_bytes > self.queue_bytes_max {
                figures.shed(class, inner.shed(class));
            }
        }
        inner.wake();
        let late = |piece: &Piece| now.duration_since(piece.since) > BEHIND_MAX;
        if inner.waiting_bytes <= self.queue_bytes_max && !inner.queue.front().is_some_and(late) {
            return true;
        }
        drop(inner);
        let why = "you take too little: come back and resume";
        self.close(CloseCode::TooSlow, why, now);
        false
    }

    /// Ends the connection: what is half written, then why, then nothing more.
    pub(super) fn close(&self, code: CloseCode, reason: &str, now: Instant) {
        self.close_after(None, code, reason, now);
    }

    /// The same, with an event that is told before.
    pub(super) fn close_after(
        &self,
        event: Option<&[u8]>,
        code: CloseCode,
        reason: &str,
        now: Instant,
    ) {
        let mut inner = self.inner.borrow_mut();
        if !matches!(inner.state, State::Seated | State::Entering) {
            return;
        }
        let half = usize::from(inner.offset > 0);
        inner.queue.truncate(half);
        inner.waiting_bytes = 0;
        inner.state = State::Closing(code);
        let event = event.map(|json| self.format.one(json, None));
        for last in event.into_iter().chain(self.format.farewell(code, reason)) {
            inner.push(Class::Order, last, now);
        }
        inner.wake();
    }

    /// Ends the connection if its holder has been denied access since, or if his token ends it.
    /// False then.
    pub(super) fn keep_if_allowed(&self, now: Instant) -> bool {
        let over = self.pass.over();
        if let Some(why) = &over {
            self.close(CloseCode::Banned, &why.to_string(), now);
        }
        over.is_none()
    }

    /// The peer has gone.
    pub(super) fn gone(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.state = State::Gone;
        inner.wake();
    }

    /// The peer gave a sign of life.
    pub(super) fn heard(&self, now: Instant) {
        self.heard.set(now);
    }

    /// Looks after a connection about every second: asks a silent one for a sign of life, and gives
    /// up one that stays silent or takes nothing. False when it takes part no longer.
    pub(super) fn tend(
        &self,
        heartbeat: Duration,
        offline: Duration,
        now: Instant,
        figures: &Figures,
    ) -> bool {
        let inner = self.inner.borrow();
        let late = inner
            .queue
            .front()
            .is_some_and(|piece| now.duration_since(piece.since) > BEHIND_MAX);
        let closed = inner.wire.is_closed();
        drop(inner);
        if closed {
            self.gone();
            return false;
        }
        if self.pass.expires() && !self.keep_if_allowed(now) {
            return false;
        }
        if late {
            self.close(
                CloseCode::TooSlow,
                "you take too little: come back and resume",
                now,
            );
            return false;
        }
        let silent = now.duration_since(self.heard.get());
        if self.format.is_heard() && silent > offline {
            self.close(CloseCode::Away, "no sign of life", now);
            return false;
        }
        if silent >= heartbeat && now.duration_since(self.asked.get()) >= heartbeat {
            self.asked.set(now);
            return self.send(Class::Total, self.format.heartbeat(), now, figures);
        }
        matches!(self.state(), State::Seated)
    }

    /// Writes what waits. Ready when the connection is to be dropped; else the task of `cx` is
    /// woken when there is something to do.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.borrow_mut();
        if inner.state == State::Gone {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        match inner.poll_write(cx) {
            Poll::Ready(Ok(())) if matches!(inner.state, State::Closing(_)) => {
                inner.wire.poll_shutdown(cx).map(drop)
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => {
                inner.state = State::Gone;
                Poll::Ready(())
            }
        }
    }

    /// True when something waits and nobody is woken once it can be written.
    pub(super) fn needs_clock(&self) -> bool {
        let inner = self.inner.borrow();
        inner.wire.is_silent() && !inner.queue.is_empty()
    }
}

impl Inner {
    fn push(&mut self, class: Class, bytes: Bytes, now: Instant) {
        if !self.queue.is_empty() {
            self.waiting_bytes += bytes.len();
        }
        self.queue.push_back(Piece {
            class,
            bytes,
            since: now,
        });
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Drops all of `class` that is not half written; returns how many pieces.
    fn shed(&mut self, class: Class) -> u64 {
        let before = self.queue.len();
        let mut half = self.offset > 0;
        self.queue
            .retain(|piece| std::mem::take(&mut half) || piece.class != class);
        let rest = self.queue.iter().skip(1);
        self.waiting_bytes = rest.map(|piece| piece.bytes.len()).sum();
        (before - self.queue.len()) as u64
    }

    /// Ready once nothing waits.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(first) = self.queue.front() {
            let rest = first.bytes.slice(self.offset..);
            match self.wire.poll_write(cx, &rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) if written < rest.len() => self.offset += written,
                Poll::Ready(Ok(_)) => {
                    self.offset = 0;
                    self.queue.pop_front();
                    let second = self.queue.front().map_or(0, |piece| piece.bytes.len());
                    self.waiting_bytes -= second;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // Memory of a bad moment is not kept.
        self.queue = VecDeque::new();
        self.wire.poll_flush(cx)
    }
}

impl Format {
    /// What asks for a sign of life, or at least shows one.
    fn heartbeat(self) -> Bytes {
        match self {
            Self::Json | Self::Cbor => websocket::ping().into(),
            Self::Sse => Bytes::from_static(b":\n\n"),
            Self::Lines => Bytes::from_static(b"\n"),
        }
    }

    /// Whether peers answer a heartbeat.
    fn is_heard(self) -> bool {
        matches!(self, Self::Json | Self::Cbor)
    }

    /// The last words.
    fn farewell(self, code: CloseCode, reason: &str) -> Option<Bytes> {
        match self {
            Self::Json | Self::Cbor => Some(websocket::close(code, reason).into()),
            Self::Sse | Self::Lines => None,
        }
    }
}

#[cfg(test)]
#[path = "member_test.rs"]
mod tests;
