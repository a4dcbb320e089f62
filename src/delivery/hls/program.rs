//! What a room shows at which time: the date ranges of its playlists.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::{OptionFuture, select_all};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::live::track::{Event, Reader, Start};
use crate::live::{Store, broadcast};
use crate::media::track::Kind;
use crate::media::{Class, RoomName};
use crate::packaging::hls::DateRange;
use crate::runtime::{Shutdown, TaskScope};

/// The most ranges kept, the oldest out first: a card each second for as long as the live window.
const RANGES_MAX: usize = 64;

/// Events read at once.
const EVENTS_MAX: usize = 64;

/// The program of one room, followed while somebody holds it.
#[derive(Debug)]
pub(super) struct Program {
    ranges: Arc<Mutex<Ranges>>,
    /// Dropping it ends the following.
    _scope: TaskScope,
}

#[derive(Debug, Default)]
struct Ranges {
    version: u64,
    /// By their start.
    all: VecDeque<DateRange>,
}

impl Program {
    /// Follows the events of `room` in `store`, through restarts of its origin, by a task of
    /// `runtime`.
    pub(super) fn follow(
        store: Store,
        room: RoomName,
        shutdown: &Shutdown,
        runtime: &Handle,
    ) -> Self {
        let scope = TaskScope::under(shutdown);
        let ranges = Arc::new(Mutex::new(Ranges::default()));
        let (into, stop) = (ranges.clone(), scope.shutdown().clone());
        let _guard = runtime.enter();
        scope.spawn("delivery.program", async move {
            tokio::select! {
                () = follow(&store, &room, &into) => {}
                () = stop.requested() => {}
            }
        });
        Self {
            ranges,
            _scope: scope,
        }
    }

    /// Grows with every change of the ranges.
    pub(super) fn version(&self) -> u64 {
        self.ranges.lock().version
    }

    /// The ranges by their start.
    pub(super) fn ranges(&self) -> Vec<DateRange> {
        self.ranges.lock().all.iter().cloned().collect()
    }
}

impl Ranges {
    fn add(&mut self, range: DateRange) {
        // The window of a track is read anew when its origin was lost.
        if self.all.contains(&range) {
            return;
        }
        let at = self
            .all
            .partition_point(|known| known.start_us <= range.start_us);
        self.all.insert(at, range);
        if self.all.len() > RANGES_MAX {
            self.all.pop_front();
        }
        self.version += 1;
    }
}

async fn follow(store: &Store, room: &RoomName, into: &Mutex<Ranges>) {
    let mut changes = store.changes();
    loop {
        changes.mark_unchanged();
        if let Some(events) = store.events(room.as_str()) {
            read(&events, into).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Reads classes 0 and 1 until the broadcast ends.
async fn read(events: &broadcast::Consumer, into: &Mutex<Ranges>) {
    let mut state = events.state();
    let mut readers: Vec<Reader> = Vec::new();
    let mut taken = Vec::with_capacity(EVENTS_MAX);
    loop {
        state.mark_unchanged();
        for track in events.tracks() {
            let info = track.info();
            let wanted = matches!(info.kind, Kind::Data(Class::Order | Class::Program));
            if wanted && !readers.iter().any(|reader| reader.info().name == info.name) {
                readers.push(track.read_from(Start::Oldest));
            }
        }
        if events.is_ended() {
            return;
        }
        for reader in &mut readers {
            while reader.read(&mut taken, EVENTS_MAX) > 0 {
                for event in taken.drain(..) {
                    match event {
                        Event::Frame(frame) => {
                            let event = serde_json::from_slice(&frame.payload);
                            let range = event.ok().and_then(|event| DateRange::of(&event));
                            range.into_iter().for_each(|range| into.lock().add(range));
                        }
                        Event::Ended => return,
                        Event::Group(_) | Event::GroupEnd | Event::Skipped => {}
                    }
                }
            }
        }
        let news = readers.iter_mut().map(|reader| Box::pin(reader.changed()));
        let news: OptionFuture<_> = match news.len() {
            0 => None.into(),
            _ => Some(select_all(news)).into(),
        };
        tokio::select! {
            Some(_) = news => {}
            _ = state.changed() => {}
        }
    }
}

#[cfg(test)]
#[path = "program_test.rs"]
mod tests;
