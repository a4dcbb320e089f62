//! One broadcast in the store: its tracks and its end.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::live::store::Rooms;
use crate::live::{Config, Error, track};
use crate::media::broadcast::Info;
use crate::media::track::Info as TrackInfo;

#[derive(Debug)]
pub(super) struct Shared {
    info: Info,
    tracks: RwLock<Tracks>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct Tracks {
    all: Vec<track::Consumer>,
    /// Raised when the writing changes hands; a producer with another number is superseded.
    writer: u64,
}

/// How a broadcast stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// How many tracks it has had; a change means: look again.
    pub tracks: usize,
    /// True once the show is over; nothing more will come.
    pub ended: bool,
    /// How often another node has gone on with the show: frames of two terms have two sources. Of
    /// two nodes that write one broadcast, the one with the higher term is right.
    pub term: u32,
    /// True on an origin that holds the broadcast for the day that its own origin is lost. It is
    /// not this node's to announce to other origins, nor is its room.
    pub followed: bool,
}

impl Shared {
    pub(super) fn new(info: Info) -> Arc<Self> {
        Arc::new(Self {
            info,
            tracks: RwLock::default(),
            state: watch::Sender::default(),
        })
    }

    /// Hands the writing of all tracks over; answers the new writer's number and its tracks.
    /// `None`: the broadcast is over.
    pub(super) fn succeed(&self, term: u32) -> Option<(u64, Vec<track::Producer>)> {
        let mut tracks = self.tracks.write();
        if self.state.borrow().ended {
            return None;
        }
        tracks.writer += 1;
        let producers = tracks.all.iter().map(track::Consumer::succeed).collect();
        self.state.send_modify(|state| {
            state.term = term;
            state.followed = false;
        });
        Some((tracks.writer, producers))
    }
}

/// The one writer of a broadcast. Dropping it ends the broadcast and takes the room off the store,
/// unless another has taken the writing over ([`crate::live::Store::succeed`]).
#[derive(Debug)]
pub struct Producer {
    pub(super) shared: Arc<Shared>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) config: Config,
    pub(super) writer: u64,
}

impl Producer {
    /// What the broadcast is.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// Adds a track.
    pub fn create_track(&self, info: TrackInfo) -> Result<track::Producer, Error> {
        let mut tracks = self.shared.tracks.write();
        if tracks.writer != self.writer {
            return Err(Error::Superseded(self.shared.info.room.clone()));
        }
        if tracks.all.len() >= self.config.tracks_max {
            return Err(Error::TooManyTracks(self.config.tracks_max));
        }
        if tracks
            .all
            .iter()
            .any(|track| track.info().name == info.name)
        {
            return Err(Error::TrackExists(info.name));
        }
        let producer = track::Producer::new(info, &self.config);
        tracks.all.push(producer.consumer());
        drop(tracks);
        self.modify(|state| state.tracks += 1);
        Ok(producer)
    }

    /// The show is over: readers drain what is there. The room stays findable until the producer is
    /// dropped.
    pub fn end(&self) {
        self.modify(|state| state.ended = true);
    }

    /// Says how often the show has changed its source, as the parent tells it.
    pub fn set_term(&self, term: u32) {
        self.modify(|state| state.term = term);
    }

    /// Says whether the broadcast is another origin's: see [`State::followed`].
    pub fn set_followed(&self, followed: bool) {
        self.modify(|state| state.followed = followed);
    }

    /// True once another has taken the writing over: nothing that this producer or its tracks do
    /// has any effect then.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.shared.tracks.read().writer != self.writer
    }

    fn modify(&self, change: impl FnOnce(&mut State)) {
        // Held, so that the writing does not change hands in between.
        let tracks = self.shared.tracks.read();
        if tracks.writer != self.writer {
            return;
        }
        self.shared.state.send_modify(change);
        drop(tracks);
        self.rooms.changed();
    }

    /// A handle for readers.
    #[must_use]
    pub fn consumer(&self) -> Consumer {
        Consumer(self.shared.clone())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.end();
        if !self.is_superseded() {
            self.rooms.remove(&self.shared);
        }
    }
}

/// A handle of a broadcast for those who read it.
#[derive(Debug, Clone)]
pub struct Consumer(pub(super) Arc<Shared>);

impl Consumer {
    /// What the broadcast is.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// All tracks, in the order of their making.
    #[must_use]
    pub fn tracks(&self) -> Vec<track::Consumer> {
        self.0.tracks.read().all.clone()
    }

    /// The track of that name.
    #[must_use]
    pub fn track(&self, name: &str) -> Option<track::Consumer> {
        self.0
            .tracks
            .read()
            .all
            .iter()
            .find(|track| &*track.info().name == name)
            .cloned()
    }

    /// How it stands; changes are awaited on the receiver.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// True once the show is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.state.borrow().ended
    }

    /// How often another node has gone on with the show: see [`State::term`].
    #[must_use]
    pub fn term(&self) -> u32 {
        self.0.state.borrow().term
    }

    /// True when the broadcast is another origin's: see [`State::followed`].
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.0.state.borrow().followed
    }

    /// True when both handles are of the same broadcast.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
