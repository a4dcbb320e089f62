//! What one viewer sees, told to the tally.

use crate::playback::Playback;
use crate::stamp::Stamp;
use crate::tally::{Count, Measure, Tally};

/// A play without a picture for so long has failed.
const START_US_MAX: i64 = 10_000_000;

/// A viewer's screen, from his arrival until he goes.
pub(super) struct Screen {
    playback: Playback,
    tally: Tally,
    planned_us: i64,
    last_sequence: Option<u32>,
}

impl Screen {
    /// He comes at `planned_us`, in microseconds since 1970.
    pub(super) fn new(tally: Tally, planned_us: i64) -> Self {
        tally.one(Count::Present);
        Self {
            playback: Playback::default(),
            tally,
            planned_us,
            last_sequence: None,
        }
    }

    /// A connection begins: numbers may repeat or leave out what another one brought.
    pub(super) fn joins(&mut self) {
        self.last_sequence = None;
    }

    /// Media of `duration_us` arrived at `now_us`, with the stamps of its pictures.
    pub(super) fn arrived(&mut self, now_us: i64, duration_us: i64, stamps: &[Stamp]) {
        if !self.playback.is_playing() {
            let start_us = now_us - self.planned_us;
            self.tally.time(Measure::Start, start_us);
            self.began(start_us);
        }
        let shown = self.playback.arrived(now_us, duration_us);
        if let Some(stalled_us) = shown.stalled_us {
            self.tally.one(Count::Stalls);
            self.tally.add(Count::StalledUs, stalled_us);
        }
        if let Some(stamp) = stamps.first() {
            self.tally.time(Measure::Live, shown.at_us - stamp.sent_us);
        }
        for stamp in stamps {
            if let Some(last) = self.last_sequence {
                let lost = stamp.sequence.saturating_sub(last.saturating_add(1));
                self.tally.add(Count::PicturesLost, lost.into());
            }
            self.last_sequence = Some(stamp.sequence);
        }
        let pictures = i64::try_from(stamps.len()).unwrap_or(i64::MAX);
        self.tally.add(Count::Pictures, pictures);
        let watched_us = self.playback.take_watched_us(now_us);
        self.tally.add(Count::WatchedUs, watched_us);
    }

    /// He goes, or the load is over.
    pub(super) fn leaves(mut self) {
        let now_us = self.tally.now_us();
        self.tally.add(Count::Present, -1);
        let waited_us = now_us - self.planned_us;
        if !self.playback.is_playing() {
            if waited_us >= START_US_MAX {
                self.began(waited_us);
            }
            return;
        }
        let watched_us = self.playback.take_watched_us(now_us);
        self.tally.add(Count::WatchedUs, watched_us);
        if let Some(stalled_us) = self.playback.standing_us(now_us) {
            self.tally.one(Count::Stalls);
            self.tally.add(Count::StalledUs, stalled_us);
        }
    }

    fn began(&self, after_us: i64) {
        self.tally.one(Count::Plays);
        if after_us >= START_US_MAX {
            self.tally.one(Count::StartsFailed);
        }
    }
}
