//! When a batch leaves: at once with a picture, or when enough pictures have come together. Sound
//! rides along.

use std::time::Duration;

use crate::runtime::clock::Instant;

/// How long sound waits for a picture to ride along with: one picture at 30 per second, and a
/// little.
const RIDE: Duration = Duration::from_millis(35);

/// Since when something waits for the next batch.
#[derive(Debug)]
pub(super) struct Departure {
    merge: Duration,
    pictures_since: Option<Instant>,
    sounds_since: Option<Instant>,
    at_once: bool,
}

impl Departure {
    /// Pictures wait for others for as long as `merge`.
    pub(super) fn new(merge: Duration) -> Self {
        Self {
            merge,
            pictures_since: None,
            sounds_since: None,
            at_once: false,
        }
    }

    /// A picture was read.
    pub(super) fn picture(&mut self, now: Instant) {
        self.pictures_since.get_or_insert(now);
    }

    /// Sound was read.
    pub(super) fn sound(&mut self, now: Instant) {
        self.sounds_since.get_or_insert(now);
    }

    /// Nothing waits for anything this time.
    pub(super) fn at_once(&mut self) {
        self.at_once = true;
    }

    /// True while a picture waits: others are no reason to wake up.
    pub(super) fn holds_pictures(&self) -> bool {
        self.pictures_since.is_some()
    }

    /// True while sound waits.
    pub(super) fn holds_sound(&self) -> bool {
        self.sounds_since.is_some()
    }

    /// When it is due without anything more.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let pictures = self.pictures_since.map(|since| since + self.merge);
        let sounds = self.sounds_since.map(|since| since + RIDE.max(self.merge));
        pictures.into_iter().chain(sounds).min()
    }

    /// True when it is due; then nothing waits any more.
    pub(super) fn leaves(&mut self, now: Instant) -> bool {
        let due = self.at_once || self.deadline().is_some_and(|deadline| now >= deadline);
        if due {
            *self = Self::new(self.merge);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_picture_takes_the_sound_along_at_once() {
        let (mut departure, now) = (Departure::new(Duration::ZERO), clock::now());
        departure.sound(now);
        assert!(!departure.leaves(now + 30 * MS));
        departure.picture(now + 30 * MS);
        assert!(departure.leaves(now + 30 * MS));
        assert_eq!(departure.deadline(), None);
        departure.sound(now);
        assert!(departure.leaves(now + 35 * MS));
    }

    #[test]
    fn pictures_come_together_until_the_first_has_waited_enough() {
        let (mut departure, now) = (Departure::new(100 * MS), clock::now());
        departure.picture(now);
        departure.picture(now + 33 * MS);
        departure.sound(now + 10 * MS);
        assert_eq!(departure.deadline(), Some(now + 100 * MS));
        assert!(!departure.leaves(now + 99 * MS));
        assert!(departure.leaves(now + 100 * MS));
        departure.at_once();
        assert!(departure.leaves(now));
        assert!(!departure.leaves(now));
    }
}
