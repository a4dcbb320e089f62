//! A player's clock: when media that has come is shown, and when the picture stands still.

/// A stand-still that counts, in microseconds (R6.6): shorter ones are late frames.
pub const STALL_US: i64 = 200_000;

/// The playhead of one viewer. Times in microseconds of one clock.
#[derive(Debug, Default)]
pub struct Playback {
    /// When media offset 0 is shown, moved by each wait.
    zero_us: Option<i64>,
    first_us: i64,
    counted_us: i64,
    /// Where the media ends that has come, as an offset.
    end_us: i64,
}

/// What a piece of media did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// When its first picture is on the screen.
    pub at_us: i64,
    /// How long the screen had stood still before, if long enough to count.
    pub stalled_us: Option<i64>,
}

impl Playback {
    /// True once there was a picture.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.zero_us.is_some()
    }

    /// Media of `duration_us` that continues what came before has arrived at `now_us`.
    pub fn arrived(&mut self, now_us: i64, duration_us: i64) -> Shown {
        let Some(zero_us) = self.zero_us else {
            self.zero_us = Some(now_us);
            (self.first_us, self.counted_us) = (now_us, now_us);
            self.end_us = duration_us;
            let stalled_us = None;
            return Shown {
                at_us: now_us,
                stalled_us,
            };
        };
        let due_us = zero_us + self.end_us;
        let late_us = (now_us - due_us).max(0);
        self.zero_us = Some(zero_us + late_us);
        self.end_us += duration_us;
        Shown {
            at_us: due_us + late_us,
            stalled_us: (late_us >= STALL_US).then_some(late_us),
        }
    }

    /// The time since the first picture that was not told before.
    pub fn take_watched_us(&mut self, now_us: i64) -> i64 {
        if !self.is_playing() {
            return 0;
        }
        let watched_us = (now_us - self.counted_us).max(0);
        self.counted_us += watched_us;
        watched_us
    }

    /// How long the screen has been standing still at `now_us`, if long enough to count: the last
    /// stall of a viewer whose stream does not come back.
    #[must_use]
    pub fn standing_us(&self, now_us: i64) -> Option<i64> {
        let late_us = now_us - (self.zero_us? + self.end_us);
        (late_us >= STALL_US).then_some(late_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1000;

    #[test]
    fn media_in_time_is_shown_when_due() {
        let mut playback = Playback::default();
        assert_eq!(playback.arrived(0, 500 * MS).at_us, 0);
        let shown = playback.arrived(100 * MS, 500 * MS);
        assert_eq!((shown.at_us, shown.stalled_us), (500 * MS, None));
        assert_eq!(playback.take_watched_us(900 * MS), 900 * MS);
        assert_eq!(playback.standing_us(1100 * MS), None);
    }

    #[test]
    fn a_wait_moves_everything_after_it_and_counts_when_long() {
        let mut playback = Playback::default();
        playback.arrived(0, 500 * MS);
        let shown = playback.arrived(600 * MS, 500 * MS);
        assert_eq!((shown.at_us, shown.stalled_us), (600 * MS, None));
        let shown = playback.arrived(1500 * MS, 500 * MS);
        let stalled = (1500 - 1100) * MS;
        assert_eq!((shown.at_us, shown.stalled_us), (1500 * MS, Some(stalled)));
        assert_eq!(playback.standing_us(3000 * MS), Some(1000 * MS));
    }
}
