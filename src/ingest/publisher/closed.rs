//! Rooms that an operator has closed to publishers for a while.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::media::RoomName;
use crate::runtime::clock::Instant;

/// Rooms that are closed at once. Beyond it the one that opens soonest is open already.
const CLOSED_MAX: usize = 10_000;

/// The closed rooms of a desk.
#[derive(Debug, Default)]
pub(super) struct Closed(Mutex<HashMap<RoomName, Instant>>);

impl Closed {
    /// Closes `room` until `length` from `now`, or opens it when `length` is nothing.
    pub(super) fn close(&self, room: &RoomName, length: Duration, now: Instant) {
        let mut rooms = self.0.lock();
        rooms.retain(|_, until| *until > now);
        if length.is_zero() {
            rooms.remove(room);
            return;
        }
        rooms.insert(room.clone(), now + length);
        if rooms.len() > CLOSED_MAX
            && let Some(soonest) = rooms.iter().min_by_key(|(_, until)| **until)
        {
            let soonest = soonest.0.clone();
            rooms.remove(&soonest);
        }
    }

    /// How long `room` stays closed; `None`: it is open.
    pub(super) fn left(&self, room: &RoomName, now: Instant) -> Option<Duration> {
        let until = *self.0.lock().get(room)?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    #[test]
    fn closed_room_opens_when_its_time_is_over() {
        let (closed, now) = (Closed::default(), clock::now());
        let room = RoomName::parse("r").unwrap();
        let second = Duration::from_secs(1);
        closed.close(&room, 10 * second, now);
        assert_eq!(closed.left(&room, now + second), Some(9 * second));
        assert_eq!(closed.left(&room, now + 10 * second), None);
        closed.close(&room, Duration::ZERO, now);
        assert_eq!(closed.left(&room, now), None);
    }

    #[test]
    fn closed_rooms_are_bounded() {
        let (closed, now) = (Closed::default(), clock::now());
        for n in 0..CLOSED_MAX + 5 {
            let room = RoomName::parse(&n.to_string()).unwrap();
            closed.close(&room, Duration::from_secs(100 + n as u64), now);
        }
        assert_eq!(closed.0.lock().len(), CLOSED_MAX);
    }
}
