//! Who is busy, idle or stalled on a connection with streams.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How often a connection is looked at: one that took nothing of what it asked for in between has
/// stalled.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Looks without a request after which an idle connection is asked to go.
const IDLE_LOOKS: u32 = 4;

/// What the streams of a connection do, for telling a busy peer from a stalled or idle one.
#[derive(Default)]
pub(super) struct Activity {
    /// Requests and body buffers so far.
    progress: Cell<u64>,
    /// `progress` at the last look.
    seen: Cell<u64>,
    open: Cell<usize>,
    /// Streams of `open` that wait for the service, not for the peer.
    waiting: Cell<usize>,
    idle_looks: Cell<u32>,
}

/// What to think of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Leave it alone.
    Fine,
    /// It has idled for long: ask it to go.
    Idle,
    /// It never asked for anything, or stopped taking what it asked for: drop it.
    Dead,
}

impl Activity {
    /// Looks at what happened since the last look, [`LOOK_EVERY`] ago.
    pub(super) fn look(&self) -> State {
        let progress = self.progress.get();
        if self.seen.replace(progress) != progress || self.waiting.get() > 0 {
            self.idle_looks.set(0);
            return State::Fine;
        }
        if self.open.get() > 0 || progress == 0 {
            return State::Dead;
        }
        self.idle_looks.set(self.idle_looks.get() + 1);
        if self.idle_looks.get() < IDLE_LOOKS {
            State::Fine
        } else {
            State::Idle
        }
    }
}

/// One stream, open while this lives; at first it waits for the service.
pub(super) struct Stream {
    activity: Rc<Activity>,
    waits: bool,
}

impl Stream {
    pub(super) fn open(activity: Rc<Activity>) -> Self {
        activity.open.set(activity.open.get() + 1);
        activity.waiting.set(activity.waiting.get() + 1);
        let stream = Self {
            activity,
            waits: true,
        };
        stream.advance();
        stream
    }

    /// The peer took something.
    pub(super) fn advance(&self) {
        self.activity.progress.set(self.activity.progress.get() + 1);
    }

    /// From now on it is the peer's turn.
    pub(super) fn stop_waiting(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.activity.waiting.set(self.activity.waiting.get() - 1);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop_waiting();
        self.activity.open.set(self.activity.open.get() - 1);
    }
}
