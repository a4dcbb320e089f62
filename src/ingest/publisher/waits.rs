//! How a room's encoders are heard: in the middle of a message the network is slow, between
//! messages the encoder is. The stamps of frames look the same in both cases.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::ingest::publisher::Publisher;
use crate::media::RoomName;

/// A pause between messages that no frame rate explains: sound alone comes every 20 to 40 ms.
const SILENCE: Duration = Duration::from_millis(100);

/// For how long an encoder was waited for since it came, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// In the middle of a message.
    pub cut_short_us: u64,
    /// Between messages, in pauses of at least 100 ms.
    pub silent_us: u64,
}

/// The waits of one room's encoders.
#[derive(Debug, Default)]
pub(super) struct Waits {
    cut_short_us: AtomicU64,
    silent_us: AtomicU64,
}

/// Of all rooms that are published to.
#[derive(Debug, Default)]
pub(super) struct Ears(Mutex<HashMap<RoomName, Weak<Waits>>>);

impl Waits {
    fn add(&self, wait: Duration, mid_message: bool) {
        let us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        if mid_message {
            self.cut_short_us.fetch_add(us, Ordering::Relaxed);
        } else if wait >= SILENCE {
            self.silent_us.fetch_add(us, Ordering::Relaxed);
        }
    }
}

impl Publisher {
    /// The driver waited for bytes of the encoder, in the middle of a message or between two.
    pub fn waited(&self, wait: Duration, mid_message: bool) {
        self.waits.add(wait, mid_message);
    }
}

impl Ears {
    /// The waits of `room`, kept while a publisher holds them.
    pub(super) fn of(&self, room: &RoomName) -> Arc<Waits> {
        let mut rooms = self.0.lock();
        if let Some(waits) = rooms.get(room).and_then(Weak::upgrade) {
            return waits;
        }
        rooms.retain(|_, waits| waits.strong_count() > 0);
        let waits = Arc::<Waits>::default();
        rooms.insert(room.clone(), Arc::downgrade(&waits));
        waits
    }

    pub(super) fn heard(&self, room: &RoomName) -> Option<Heard> {
        let waits = self.0.lock().get(room).and_then(Weak::upgrade)?;
        Some(Heard {
            cut_short_us: waits.cut_short_us.load(Ordering::Relaxed),
            silent_us: waits.silent_us.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_pauses_are_told_apart() {
        let ears = Ears::default();
        let room = RoomName::parse("r").unwrap();
        assert_eq!(ears.heard(&room), None);
        let waits = ears.of(&room);
        waits.add(Duration::from_millis(5), true);
        waits.add(Duration::from_millis(33), false);
        waits.add(Duration::from_millis(400), false);
        let expected = Heard {
            cut_short_us: 5000,
            silent_us: 400_000,
        };
        assert_eq!(ears.heard(&room), Some(expected));
        drop(waits);
        assert_eq!(ears.heard(&room), None);
    }
}
