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
    tracks: RwLock<Vec<track::Consumer>>,
    state: watch::Sender<State>,
}

/// How a broadcast stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// How many tracks it has had; a change means: look again.
    pub tracks: usize,
    /// True once the show is over; nothing more will come.
    pub ended: bool,
}

impl Shared {
    pub(super) fn new(info: Info) -> Arc<Self> {
        let state = watch::Sender::new(State {
            tracks: 0,
            ended: false,
        });
        Arc::new(Self {
            info,
            tracks: RwLock::default(),
            state,
        })
    }
}

/// The one writer of a broadcast. Dropping it ends the broadcast and takes the room off the store.
#[derive(Debug)]
pub struct Producer {
    pub(super) shared: Arc<Shared>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) config: Config,
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
        if tracks.len() >= self.config.tracks_max {
            return Err(Error::TooManyTracks(self.config.tracks_max));
        }
        if tracks.iter().any(|track| track.info().name == info.name) {
            return Err(Error::TrackExists(info.name));
        }
        let producer = track::Producer(track::Shared::new(info, &self.config));
        tracks.push(producer.consumer());
        drop(tracks);
        self.shared.state.send_modify(|state| state.tracks += 1);
        self.rooms.changed();
        Ok(producer)
    }

    /// The show is over: readers drain what is there. The room stays findable until the producer is
    /// dropped.
    pub fn end(&self) {
        self.shared.state.send_modify(|state| state.ended = true);
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
        self.rooms.remove(&self.shared);
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
        self.0.tracks.read().clone()
    }

    /// The track of that name.
    #[must_use]
    pub fn track(&self, name: &str) -> Option<track::Consumer> {
        self.0
            .tracks
            .read()
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

    /// True when both handles are of the same broadcast.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
