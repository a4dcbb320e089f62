//! What a request gets now: the answer, a wait, or a refusal.

use crate::media::track::Kind;
use crate::packaging::cmaf::{Part, Segment};
use crate::packaging::hls::{Directives, Position, Timeline};

/// What a request for the playlist gets now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The current playlist.
    Now,
    /// Nothing yet: ask again when [`Timeline::progress`] is above this position. (Ask again, not
    /// answer: a part number past the end of its segment then means part 0 of the next one.)
    Wait(Position),
    /// 400.
    Bad(Refusal),
}

/// Why a request for a far future gets 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than two segments ahead.
    #[error("segment {msn} is more than two after the last one, {last}")]
    SegmentTooFar {
        /// What was asked for.
        msn: u64,
        /// The last complete segment.
        last: u64,
    },
    /// Beyond the Advance Part Limit.
    #[error("part {part} is {ahead} parts ahead; the limit is {limit}")]
    PartTooFar {
        /// What was asked for.
        part: u32,
        /// How many parts after the newest one that is.
        ahead: u64,
        /// [`Terms::advance_part_limit`].
        limit: u32,
    },
}

/// What a request for a part gets now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability<'a> {
    /// The part.
    Ready(&'a Part),
    /// It is the one that comes next: hold the request, send nothing, ask again when
    /// [`Timeline::revision`] has changed.
    Held,
    /// 404.
    Missing,
}

impl Timeline {
    /// What a playlist request gets now (DOMAIN table 1.4; HLS-22 6.2.5.2).
    ///
    /// The caller answers 503 when a wait exceeds [`Terms::hold_ms_max`].
    #[must_use]
    pub fn request(&self, directives: &Directives) -> Decision {
        if self.ended {
            return Decision::Now;
        }
        let Some(next) = self.progress() else {
            return Decision::Wait(Position { msn: 0, part: 0 });
        };
        let Some(msn) = directives.msn else {
            // A playlist without any segment is no playlist.
            return match self.position() {
                Some(_) => Decision::Now,
                None => Decision::Wait(next),
            };
        };
        if msn > next.msn.saturating_add(1) {
            let last = next.msn.saturating_sub(1);
            return Decision::Bad(Refusal::SegmentTooFar { msn, last });
        }
        let Some(part) = directives.part else {
            if msn < next.msn {
                return Decision::Now;
            }
            // Every part of the segment, and its end.
            return Decision::Wait(Position {
                msn,
                part: u32::MAX,
            });
        };
        self.request_part(Position { msn, part }, next)
    }

    /// What a request for the playlist without parts gets now: it never waits for more than the
    /// first whole segment.
    #[must_use]
    pub fn request_plain(&self) -> Decision {
        if self.ended || self.segments.len() > self.unlisted {
            return Decision::Now;
        }
        let msn = self.progress().map_or(0, |next| next.msn);
        let part = u32::MAX;
        Decision::Wait(Position { msn, part })
    }

    fn request_part(&self, asked: Position, next: Position) -> Decision {
        let mut asked = asked;
        let ended_at = self.kept(asked.msn).map(|listed| listed.part_count);
        if ended_at.is_some_and(|count| asked.part >= count) {
            // "The server MUST treat the request as one for Part Index 0 of the following Parent
            // Segment" (HLS-22 6.2.5.2).
            asked = Position {
                msn: asked.msn + 1,
                part: 0,
            };
        }
        if asked < next {
            return Decision::Now;
        }
        // In the segment after the open one, as if that ended now: its length is not known.
        let first = if asked.msn == next.msn { next.part } else { 0 };
        let ahead = u64::from(asked.part - first) + 1;
        let limit = self.terms.advance_part_limit();
        if ahead > limit.into() {
            let part = asked.part;
            return Decision::Bad(Refusal::PartTooFar { part, ahead, limit });
        }
        Decision::Wait(asked)
    }

    /// What a request for a part gets: the part, a place to wait when it is the one that comes next
    /// (R1.5), or 404.
    #[must_use]
    pub fn part_request(&self, msn: u64, index: u32) -> Availability<'_> {
        let asked = Position { msn, part: index };
        match self.part(msn, index) {
            Some(part) if part.gap => Availability::Missing,
            Some(part) => Availability::Ready(part),
            None if self.ended => Availability::Missing,
            None if self.progress() == Some(asked) || self.hint() == Some(asked) => {
                Availability::Held
            }
            None => Availability::Missing,
        }
    }

    /// What EXT-X-PRELOAD-HINT names: the part being made, or the first of the next segment when
    /// the open one has reached the length at which segments have been ending.
    ///
    /// The origin tells the end of a group only with the first frame of the next one. A hint for
    /// one more part would then be abandoned at every segment, and each player that follows hints
    /// would get a 404 there; a hint for the next segment's first part is only early when the
    /// guess is wrong. `None` before the first group and after the end.
    #[must_use]
    pub fn hint(&self) -> Option<Position> {
        if self.ended {
            return None;
        }
        let progress = self.progress()?;
        let open = self.segmenter.open();
        if open.is_some_and(|open| !open.parts.is_empty() && self.seems_full(open)) {
            return Some(Position {
                msn: progress.msn + 1,
                part: 0,
            });
        }
        Some(progress)
    }

    fn seems_full(&self, open: &Segment) -> bool {
        let before = self.segments.back().map(|listed| &listed.segment);
        let expected = match before.filter(|segment| !segment.gap) {
            Some(segment) => segment.duration_ticks,
            None => self.ticks(self.terms.segment_ms().into()),
        };
        // Audio follows the picture's cuts to the nearest of its own, longer frames.
        let tolerance = match self.info.kind {
            Kind::Audio => self.frame_ticks * 3 / 2,
            Kind::Video | Kind::Data(_) => self.frame_ticks / 2,
        };
        open.duration_ticks.saturating_add(tolerance) >= expected
    }
}

#[cfg(test)]
#[path = "request_test.rs"]
mod tests;
