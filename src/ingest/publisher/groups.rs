//! The groups of a show: when they open in every track, and what stands in for a silent leader.
//!
//! The other half of [`Show`]: what encoders hand in is in `show`.

use crate::ingest::publisher::Now;
use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::track::Cut;
use crate::media::broadcast::Timing;
use crate::media::group::Id;
use crate::media::{VIDEO_TIMESCALE, rescale};

impl Show {
    /// The group that a frame of a following track begins, if any. One that would grow too long
    /// because the leader is late does not wait for it: EXTINF must not exceed the target.
    pub(super) fn follow(&mut self, index: usize, pts: i64, end: i64, now: Now) -> Option<Cut> {
        let track = &mut self.tracks[index];
        if let Some(cut) = track.reach(pts) {
            return Some(cut);
        }
        if !track.is_overdue(end) {
            return None;
        }
        let start = rescale(pts, track.timescale(), VIDEO_TIMESCALE);
        Some(match track.next_ahead() {
            Some(cut) => cut,
            None => self.begin_group(index, start, false, now),
        })
    }

    /// The next group of the leader: one that a follower has opened, else a new one. A
    /// discontinuity needs a new one in every track.
    pub(super) fn next_group(
        &mut self,
        leader: usize,
        start: i64,
        interrupted: bool,
        now: Now,
    ) -> Cut {
        let track = &mut self.tracks[leader];
        if interrupted || !track.is_started() {
            track.skip_ahead();
        } else if let Some(cut) = track.next_ahead() {
            return cut;
        }
        self.begin_group(leader, start, interrupted, now)
    }

    /// Numbers a group and tells the other tracks of it.
    fn begin_group(&mut self, opener: usize, start: i64, interrupted: bool, now: Now) -> Cut {
        let capture_us = now.unix_us - rescale(start, VIDEO_TIMESCALE, 1_000_000);
        if interrupted {
            self.interrupted = false;
            self.discontinuities += 1;
        }
        let anchor_us = match self.cut {
            Some(cut) if !interrupted => cut.anchor_us,
            _ => capture_us,
        };
        let cut = Cut {
            id: self.cut.map_or(Id(0), |cut| cut.id.next()),
            start,
            discontinuities: self.discontinuities,
            anchor_us,
        };
        self.cut = Some(cut);
        for (index, track) in self.tracks.iter_mut().enumerate() {
            if index != opener {
                track.queue(cut);
            }
        }
        cut
    }

    /// How long a track may be silent before it goes on without media: the first part without media
    /// comes within one target duration (R1.14).
    pub(super) fn silence_us(&self) -> i64 {
        let Timing {
            part_ms,
            segment_ms,
            ..
        } = self.info().timing;
        i64::from(segment_ms - part_ms) * 1000
    }

    /// Goes on without media where nothing is heard. Returns when to look again.
    pub(super) fn poll(&mut self, now: Now) -> Option<i64> {
        let leader = self.leader?;
        let silence_us = self.silence_us();
        let part_us = i64::from(self.info().timing.part_ms) * 1000;
        self.fill_leader(leader, now);
        let end = self.tracks[leader].end_in_video_ticks()?;
        let stalled = self.tracks[leader].is_gapping();
        // While the leader lives, what a follower sends a little late still finds its place.
        let until = if stalled {
            end
        } else {
            end - part_us * 9 / 100
        };
        let mut look_us = now.us + silence_us;
        for (index, track) in self.tracks.iter_mut().enumerate() {
            // A follower that is heard and yet gets no frame in waits for its key frame; filling
            // would take the group from it. The leader must not wait.
            let since_us = match track.fed_us() {
                Some(fed_us) if index == leader => fed_us,
                Some(_) => track.silent_since_us(),
                None => continue,
            };
            if index != leader && now.us - since_us >= silence_us {
                track.fill(until);
            }
            look_us = look_us.min(match track.is_gapping() {
                true => now.us + part_us,
                false => since_us + silence_us,
            });
        }
        // Whatever is overdue has waited for data, not for us.
        Some(look_us.max(now.us + part_us / 4))
    }

    /// Lets the leader go on by the wall clock when it has been silent for long enough.
    fn fill_leader(&mut self, leader: usize, now: Now) {
        let silence_us = self.silence_us();
        let track = &self.tracks[leader];
        let Some(fed_us) = track
            .fed_us()
            .filter(|fed_us| now.us - fed_us >= silence_us)
        else {
            return;
        };
        let part = rescale(track.parts.target(), track.timescale(), VIDEO_TIMESCALE);
        let position = track.position(now.us).unwrap_or(0);
        if !track.is_gapping() {
            let silent_ms = (now.us - fed_us) / 1000;
            tracing::warn!(room = %self.info().room, silent_ms, "the encoder is silent");
        }
        while self.gap_fits(leader, part, position) {
            let track = &self.tracks[leader];
            let Some(end) = track.end() else { return };
            if !track.is_gapping() || self.cutter.is_full(end, track.parts.target()) {
                let start = rescale(end, track.timescale(), VIDEO_TIMESCALE);
                self.cutter.begin(end);
                let cut = self.next_group(leader, start, false, now);
                self.tracks[leader].gap_group(&cut);
            }
            self.tracks[leader].gap();
        }
    }

    /// Whether one more part without media ends by `position`, in video ticks.
    fn gap_fits(&self, leader: usize, part: i64, position: i64) -> bool {
        self.tracks[leader]
            .end_in_video_ticks()
            .is_some_and(|end| end + part <= position)
    }
}
