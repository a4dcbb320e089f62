//! A media playlist as a player understands it.

use super::reader;

/// The longest time of a playlist that counts, in seconds: about 30 years.
const SECONDS_MAX: f64 = 1e9;

/// A parsed media playlist.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Playlist {
    /// EXT-X-VERSION; 1 when there is none.
    pub version: u64,
    /// EXT-X-TARGETDURATION, in seconds.
    pub target_duration: u64,
    /// PART-TARGET, in seconds.
    pub part_target: Option<f64>,
    /// EXT-X-SERVER-CONTROL.
    pub control: Control,
    /// EXT-X-MEDIA-SEQUENCE.
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: Option<u64>,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
    /// SKIPPED-SEGMENTS of a delta update; 0 in a full playlist.
    pub skipped: u64,
    /// Complete segments, then at most one that is still being made (`uri` is `None`).
    pub segments: Vec<Segment>,
    /// URIs of EXT-X-PRELOAD-HINT with TYPE=PART.
    pub hints: Vec<Hint>,
    /// EXT-X-RENDITION-REPORT.
    pub reports: Vec<RenditionReport>,
    /// EXT-X-ENDLIST.
    pub ended: bool,
    /// What is wrong with single lines or with their order.
    pub line_faults: Vec<String>,
}

/// EXT-X-SERVER-CONTROL; times in seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Control {
    /// CAN-BLOCK-RELOAD=YES.
    pub can_block_reload: bool,
    /// HOLD-BACK.
    pub hold_back: Option<f64>,
    /// PART-HOLD-BACK.
    pub part_hold_back: Option<f64>,
    /// CAN-SKIP-UNTIL.
    pub can_skip_until: Option<f64>,
}

/// A segment, complete or being made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Segment {
    /// Its media sequence number.
    pub msn: u64,
    /// Where it is; `None` while it is being made.
    pub uri: Option<String>,
    /// EXTINF, in seconds; the sum of its parts while it is being made.
    pub duration: f64,
    /// EXT-X-DISCONTINUITY before it.
    pub discontinuity: bool,
    /// EXT-X-PROGRAM-DATE-TIME, in microseconds since 1970.
    pub date_us: Option<i64>,
    /// The EXT-X-MAP in force.
    pub map: Option<String>,
    /// EXT-X-GAP.
    pub gap: bool,
    /// Its parts, if still listed.
    pub parts: Vec<Part>,
}

/// EXT-X-PART.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Where it is.
    pub uri: String,
    /// DURATION, in seconds.
    pub duration: f64,
    /// INDEPENDENT=YES.
    pub independent: bool,
    /// GAP=YES.
    pub gap: bool,
    /// BYTERANGE: length and offset.
    pub range: Option<(u64, Option<u64>)>,
}

/// EXT-X-PRELOAD-HINT with TYPE=PART.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// Where the next part will be.
    pub uri: String,
    /// BYTERANGE-START; 0 for a part that is a file of its own.
    pub start: u64,
}

/// EXT-X-RENDITION-REPORT.
#[derive(Debug, Clone, PartialEq)]
pub struct RenditionReport {
    /// The sibling's playlist.
    pub uri: String,
    /// LAST-MSN and LAST-PART.
    pub last: (u64, Option<u64>),
}

impl Playlist {
    /// Parses a media playlist. Never fails: what cannot be read is in [`Self::line_faults`].
    pub fn parse(text: &str) -> Self {
        reader::read(text)
    }

    /// The newest complete part, or the last part of the newest segment: (MSN, part). Segments that
    /// list no parts count as one.
    pub fn position(&self) -> Option<(u64, u64)> {
        let last = self.segments.last()?;
        let parts = u64::try_from(last.parts.len()).unwrap_or(u64::MAX);
        Some((last.msn, parts.saturating_sub(1)))
    }

    /// The directives that ask for what comes next: (MSN, part).
    pub fn next_position(&self) -> (u64, u64) {
        match self.segments.last() {
            Some(open) if open.uri.is_none() => {
                (open.msn, u64::try_from(open.parts.len()).unwrap_or(0))
            }
            Some(last) => (last.msn + 1, 0),
            None => (self.media_sequence, 0),
        }
    }

    /// The newest segment that is complete.
    pub fn last_complete(&self) -> Option<&Segment> {
        self.segments.iter().rev().find(|s| s.uri.is_some())
    }

    /// The part (`msn`, `index`), if listed.
    pub fn part(&self, msn: u64, index: u64) -> Option<&Part> {
        let segment = self.segments.iter().find(|s| s.msn == msn)?;
        segment.parts.get(usize::try_from(index).ok()?)
    }

    /// True when the playlist holds (`msn`, `part`) or something later; `None` asks for the whole
    /// segment.
    pub fn reaches(&self, msn: u64, part: Option<u64>) -> bool {
        let Some(part) = part else {
            return self.last_complete().is_some_and(|last| last.msn >= msn);
        };
        self.part(msn, part).is_some()
            || self.last_complete().is_some_and(|last| last.msn >= msn)
            || self.segments.last().is_some_and(|last| last.msn > msn)
    }

    /// When its newest media ends by its own dates, in microseconds since 1970.
    pub fn end_us(&self) -> Option<i64> {
        let dated = self.segments.iter().rposition(|s| s.date_us.is_some())?;
        let seconds: f64 = self.segments[dated..].iter().map(|s| s.duration).sum();
        Some(self.segments[dated].date_us? + microseconds(seconds))
    }

    /// This delta update with the segments it skips taken from `full`; `None` when `full` does not
    /// hold them.
    pub fn merged_onto(&self, full: &Self) -> Option<Self> {
        let kept = self.media_sequence..self.media_sequence + self.skipped;
        let mut segments: Vec<Segment> = full
            .segments
            .iter()
            .filter(|s| kept.contains(&s.msn) && s.uri.is_some())
            .cloned()
            .collect();
        if u64::try_from(segments.len()) != Ok(self.skipped) {
            return None;
        }
        let map = segments.last().and_then(|s| s.map.clone());
        segments.extend(self.segments.iter().cloned().map(|mut segment| {
            segment.map = segment.map.or_else(|| map.clone());
            segment
        }));
        Some(Self {
            skipped: 0,
            segments,
            ..self.clone()
        })
    }
}

/// Seconds of a playlist in microseconds, cut to [`SECONDS_MAX`] so that sums stay in range.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the times that count are below 2^53 microseconds, and the cast saturates"
)]
pub fn microseconds(seconds: f64) -> i64 {
    (seconds.clamp(-SECONDS_MAX, SECONDS_MAX) * 1e6).round() as i64
}
