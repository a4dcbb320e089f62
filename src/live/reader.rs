//! A reader of one track: a position in the ring and a wake-up. It sees groups in order, whatever
//! the order in which they came.

use std::sync::Arc;

use tokio::sync::watch;

use crate::live::ring::{Ring, State};
use crate::live::track::Shared;
use crate::media::frame::Frame;
use crate::media::group::{Head, Id};
use crate::media::track::Info;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest group of the window, with every frame.
    Oldest,
    /// At the newest key frame that is here.
    NewestKey,
    /// At the first key frame that arrives after now.
    NextKey,
    /// At the newest frame: whatever arrives after now.
    Live,
    /// At this frame of this group, as after a reconnect.
    At(Id, usize),
}

/// What a reader meets, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A group begins, or the reader enters one in its middle.
    Group(Arc<Head>),
    /// The next frame of that group.
    Frame(Arc<Frame>),
    /// The group is complete.
    GroupEnd,
    /// Frames were lost to the reader (it was too slow, or they never came); it goes on elsewhere.
    Skipped,
    /// The track has ended and everything was read.
    Ended,
}

/// Reads one track in order. Cheap: a position and a wake-up.
#[derive(Debug)]
pub struct Reader {
    track: Arc<Shared>,
    version: watch::Receiver<u64>,
    start: Option<Start>,
    group: Id,
    frame: usize,
    /// The head of the current group was handed out.
    entered: bool,
    /// Frames before the next key frame are passed over.
    until_key: bool,
}

impl Reader {
    /// A reader of `track`, which counts as demand while it lives.
    pub(super) fn new(track: Arc<Shared>, start: Start) -> Self {
        track.demand.send_modify(|readers| *readers += 1);
        let mut version = track.version.subscribe();
        version.mark_changed();
        Self {
            track,
            version,
            start: Some(start),
            group: Id(0),
            frame: 0,
            entered: false,
            until_key: false,
        }
    }

    /// What the track is.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.track.info
    }

    /// Waits until there may be something new since the last [`Self::read`]. Cancel-safe.
    pub async fn changed(&mut self) {
        // The sender lives in the `Shared` that this reader holds, so this cannot fail.
        let _unreachable = self.version.changed().await.is_err();
    }

    /// Appends up to `limit` events to `into` without waiting and returns how many. Zero: nothing
    /// new, call [`Self::changed`].
    pub fn read(&mut self, into: &mut Vec<Event>, limit: usize) -> usize {
        self.version.mark_unchanged();
        let track = self.track.clone();
        let ring = track.ring.read();
        let before = into.len();
        while into.len() - before < limit {
            let Some(event) = self.step(&ring) else { break };
            let last = event == Event::Ended;
            into.push(event);
            if last {
                break;
            }
        }
        let count = into.len() - before;
        if count == limit {
            self.version.mark_changed();
        }
        count
    }

    /// Jumps to the newest key frame, as a viewer that fell behind does.
    pub fn skip_to_newest_key(&mut self) {
        self.start = Some(Start::NewestKey);
    }

    /// The group and frame that come next; `None` before the start is known.
    #[must_use]
    pub fn position(&self) -> Option<(Id, usize)> {
        self.start.is_none().then_some((self.group, self.frame))
    }

    /// Resolves a start that waits for the first data.
    fn settle(&mut self, ring: &Ring) -> Option<()> {
        let Some(start) = self.start else {
            return Some(());
        };
        let (group, frame) = match start {
            Start::Oldest => (ring.start()?, 0),
            Start::NewestKey => ring.newest_key()?,
            Start::NextKey | Start::Live => {
                let last = ring.last()?;
                (last, ring.slot(last).map_or(0, |slot| slot.frames.len()))
            }
            Start::At(group, frame) => (group, frame),
        };
        self.start = None;
        self.until_key = start == Start::NextKey;
        self.entered = false;
        (self.group, self.frame) = (group, frame);
        Some(())
    }

    fn step(&mut self, ring: &Ring) -> Option<Event> {
        loop {
            if self.settle(ring).is_none() {
                return ring.ended.then_some(Event::Ended);
            }
            let Some(slot) = ring.slot(self.group) else {
                // Not here: still to come, or gone for good.
                let gone = ring.start().is_some_and(|start| self.group < start);
                if gone {
                    let start = ring
                        .newest_key()
                        .map_or(Start::Oldest, |_| Start::NewestKey);
                    self.start = Some(start);
                    return Some(Event::Skipped);
                }
                return ring.ended.then_some(Event::Ended);
            };
            if let Some(frame) = slot.frames.get(self.frame) {
                if self.until_key && (frame.is_gap() || !frame.is_key()) {
                    self.frame += 1;
                    continue;
                }
                self.until_key = false;
                if !std::mem::replace(&mut self.entered, true)
                    && let Some(head) = &slot.head
                {
                    return Some(Event::Group(head.clone()));
                }
                self.frame += 1;
                return Some(Event::Frame(frame.clone()));
            }
            let entered = self.entered;
            match slot.state {
                State::Open if ring.ended => return Some(Event::Ended),
                State::Open => return None,
                state @ (State::Complete | State::Missing) => {
                    self.group = self.group.next();
                    self.frame = 0;
                    self.entered = false;
                    if state == State::Missing {
                        return Some(Event::Skipped);
                    }
                    if entered {
                        return Some(Event::GroupEnd);
                    }
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.track
            .demand
            .send_modify(|readers| *readers = readers.saturating_sub(1));
    }
}
