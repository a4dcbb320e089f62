//! One track in the store: its writer, its readers, and the wish for it.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::live::Config;
use crate::live::ring::{Ring, State};
use crate::media::frame::Frame;
use crate::media::group::{Group, Head, Id};
use crate::media::track::Info;

pub use crate::live::reader::{Event, Reader, Start};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) info: Info,
    window_seconds: u32,
    window_bytes: usize,
    pub(super) ring: RwLock<Ring>,
    /// Counts changes; readers wait on it.
    pub(super) version: watch::Sender<u64>,
    /// Counts groups as they open, and the end; relay-serve waits on it.
    groups: watch::Sender<u64>,
    /// Counts readers that want frames; relay-pull waits on it.
    pub(super) demand: watch::Sender<usize>,
}

impl Shared {
    pub(super) fn new(info: Info, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            info,
            window_seconds: config.window_seconds,
            window_bytes: config.window_bytes,
            ring: RwLock::default(),
            version: watch::Sender::new(0),
            groups: watch::Sender::new(0),
            demand: watch::Sender::new(0),
        })
    }

    fn change<R>(&self, apply: impl FnOnce(&mut Ring) -> R) -> R {
        let result = apply(&mut self.ring.write());
        self.version.send_modify(|version| *version += 1);
        result
    }

    fn announce_group(&self) {
        self.groups.send_modify(|groups| *groups += 1);
    }
}

// === impl Producer ===

/// The one writer of a track. Dropping it ends the track, unless another has taken the writing
/// over ([`crate::live::Store::succeed`]): what this one does then is lost.
#[derive(Debug)]
pub struct Producer {
    track: Arc<Shared>,
    writer: u64,
}

impl Producer {
    pub(super) fn new(info: Info, config: &Config) -> Self {
        Self {
            track: Shared::new(info, config),
            writer: 0,
        }
    }

    /// What the track is.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.track.info
    }

    /// Changes the ring while the writing is this producer's.
    fn change<R: Default>(&self, apply: impl FnOnce(&mut Ring) -> R) -> R {
        self.track.change(|ring| match ring.writer == self.writer {
            true => apply(ring),
            false => R::default(),
        })
    }

    /// Opens a group. `None` when it is here already or lies before the window: drop its frames.
    pub fn group(&self, head: Head) -> Option<GroupProducer> {
        let id = head.id;
        let shared = &self.track;
        let generation = self.change(|ring| {
            if !ring.open(Arc::new(head)) {
                return None;
            }
            ring.evict(
                shared.window_seconds,
                shared.window_bytes,
                shared.info.timescale,
            );
            Some(ring.generation)
        })?;
        shared.announce_group();
        Some(GroupProducer {
            track: shared.clone(),
            id,
            generation,
            closed: false,
        })
    }

    /// Gives up groups that will not come, so that no reader waits for them.
    pub fn miss(&self, id: Id) {
        self.change(|ring| ring.close(id, State::Missing));
        self.track.announce_group();
    }

    /// Names the first group that will come; readers of the whole window wait for it. The origin
    /// need not call it.
    pub fn set_start(&self, id: Id) {
        self.change(|ring| ring.set_start(id));
    }

    /// Forgets all groups, as when the upstream subscription was dropped.
    pub fn clear(&self) {
        self.change(Ring::clear);
    }

    /// How many readers want frames now; changes are awaited on the receiver.
    #[must_use]
    pub fn demand(&self) -> watch::Receiver<usize> {
        self.track.demand.subscribe()
    }

    /// A handle for readers.
    #[must_use]
    pub fn consumer(&self) -> Consumer {
        Consumer(self.track.clone())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.change(|ring| ring.ended = true);
        self.track.announce_group();
    }
}

/// The writer of one group. Dropped without [`Self::finish`], the group counts as missing from
/// there on.
#[derive(Debug)]
pub struct GroupProducer {
    track: Arc<Shared>,
    id: Id,
    generation: u64,
    closed: bool,
}

impl GroupProducer {
    /// The group's number.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Appends a frame and wakes the readers. False when the group is no longer kept: stop reading
    /// it.
    pub fn append(&self, frame: Frame) -> bool {
        self.append_shared(Arc::new(frame))
    }

    /// As [`Self::append`], for a frame that others hold too.
    pub fn append_shared(&self, frame: Arc<Frame>) -> bool {
        self.track
            .change(|ring| ring.generation == self.generation && ring.append(self.id, frame))
    }

    /// All frames are here.
    pub fn finish(mut self) {
        self.close(State::Complete);
    }

    fn close(&mut self, state: State) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.track.change(|ring| {
            if ring.generation == self.generation {
                ring.close(self.id, state);
            }
        });
    }
}

impl Drop for GroupProducer {
    fn drop(&mut self) {
        self.close(State::Missing);
    }
}

// === impl Consumer ===

/// A handle of a track for those who read it. Holding one asks for nothing; a [`Reader`] does.
#[derive(Debug, Clone)]
pub struct Consumer(pub(super) Arc<Shared>);

/// A track's figures for the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Groups in the ring.
    pub groups: usize,
    /// Bytes in the ring.
    pub bytes: usize,
    /// Readers now.
    pub readers: usize,
    /// The oldest and the newest group in the ring.
    pub range: Option<(Id, Id)>,
}

impl Consumer {
    /// What the track is.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// Starts reading; the reader counts as demand while it lives.
    #[must_use]
    pub fn read_from(&self, start: Start) -> Reader {
        Reader::new(self.0.clone(), start)
    }

    /// A complete group of the live window.
    #[must_use]
    pub fn group(&self, id: Id) -> Option<Group> {
        self.0.ring.read().group(id)
    }

    /// Up to `limit` frames that came since `position` was last given here, without asking for any:
    /// what readers have brought here. A new position is the newest frame's.
    #[must_use]
    pub fn peek(&self, position: &mut Option<(Id, usize)>, limit: usize) -> Vec<Arc<Frame>> {
        self.0.ring.read().peek(position, limit)
    }

    /// The newest group's head: the initialization in force and the state of all counters.
    #[must_use]
    pub fn newest_head(&self) -> Option<Arc<Head>> {
        self.0.ring.read().newest_head().cloned()
    }

    /// A new writer of the track, in place of the one it has.
    pub(super) fn succeed(&self) -> Producer {
        let writer = self.0.change(Ring::hand_over);
        self.0.announce_group();
        Producer {
            track: self.0.clone(),
            writer,
        }
    }

    /// The newest frame that carries media.
    #[must_use]
    pub fn newest_media(&self) -> Option<Arc<Frame>> {
        self.0.ring.read().newest_media().cloned()
    }

    /// The newest frame.
    #[must_use]
    pub fn newest_frame(&self) -> Option<Arc<Frame>> {
        self.0.ring.read().newest_frame().cloned()
    }

    /// The newest group that is here, and how many of its frames.
    #[must_use]
    pub fn newest(&self) -> Option<(Id, usize)> {
        let ring = self.0.ring.read();
        let last = ring.last()?;
        Some((last, ring.slot(last).map_or(0, |slot| slot.frames.len())))
    }

    /// The oldest group that a reader from [`Start::Oldest`] would get, and the newest.
    #[must_use]
    pub fn range(&self) -> Option<(Id, Id)> {
        let ring = self.0.ring.read();
        Some((ring.start()?, ring.last()?))
    }

    /// Counts groups as they open or are given up, and the end of the track: for those who read
    /// each group on its own and need no wake for each frame.
    #[must_use]
    pub fn groups(&self) -> watch::Receiver<u64> {
        self.0.groups.subscribe()
    }

    /// True when the writer has gone.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.ring.read().ended
    }

    /// Figures for the admin API.
    #[must_use]
    pub fn status(&self) -> Status {
        let ring = self.0.ring.read();
        Status {
            groups: ring.groups(),
            bytes: ring.bytes(),
            readers: *self.0.demand.borrow(),
            range: ring.first().zip(ring.last()),
        }
    }
}

#[cfg(test)]
#[path = "track_test.rs"]
mod tests;
