//! The lines of one segment, written once and kept: playlists are made of them.

use jiff::Timestamp;

use crate::packaging::cmaf::{Part, Segment};
use crate::packaging::hls::Terms;
use crate::packaging::hls::terms::put_line;

/// Durations are printed in hundred-thousandths of a second: finer than a tick of 90 kHz matters
/// to anybody, and integers all the way, so that all nodes print the same.
const UNITS_PER_SECOND: u64 = 100_000;

/// The end of the year 9999: the last that a date has room for.
pub(super) const WALL_US_MAX: i64 = 253_402_300_799_999_999;

/// The ceilings of what is printed, in [`UNITS_PER_SECOND`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    timescale: u64,
    part_max: u64,
    segment_max: u64,
}

/// What a segment looks like in a playlist, in three pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    /// EXT-X-PROGRAM-DATE-TIME: before the first part of each parent.
    lead: String,
    /// EXT-X-PART lines, with EXT-X-GAP after the first that is a gap (HLS-22 4.4.4.7).
    parts: String,
    parts_written: usize,
    gap_written: bool,
    /// EXTINF and URI; empty while the segment is open.
    tail: String,
    /// The segment has EXT-X-GAP.
    gap: bool,
}

impl Scale {
    pub(super) fn new(timescale: u32, terms: &Terms) -> Self {
        let part_max = u64::from(terms.part_ms()) * UNITS_PER_SECOND / 1000;
        // Rounded to a whole second, EXTINF must not exceed TARGETDURATION (HLS-22 4.4.3.1).
        let target = u64::from(terms.target_seconds()) * UNITS_PER_SECOND;
        Self {
            timescale: timescale.max(1).into(),
            part_max,
            segment_max: target + UNITS_PER_SECOND / 2 - 1,
        }
    }

    /// A part's duration. A part above PART-TARGET (a host below three pictures a second) is shown
    /// at the target: a single larger figure makes players drop the stream for good.
    fn part(self, ticks: u64) -> Seconds {
        Seconds(self.units(ticks).min(self.part_max))
    }

    fn segment(self, ticks: u64) -> Seconds {
        Seconds(self.units(ticks).min(self.segment_max))
    }

    fn units(self, ticks: u64) -> u64 {
        let scaled = u128::from(ticks) * u128::from(UNITS_PER_SECOND);
        let rounded = (scaled + u128::from(self.timescale / 2)) / u128::from(self.timescale);
        u64::try_from(rounded).unwrap_or(u64::MAX)
    }
}

/// Prints as seconds with five decimals.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / UNITS_PER_SECOND, self.0 % UNITS_PER_SECOND);
        write!(f, "{whole}.{rest:05}")
    }
}

impl Text {
    /// Brings the text up to the state of `segment`.
    pub(super) fn update(&mut self, segment: &Segment, scale: Scale) {
        if self.lead.is_empty() {
            let wall_us = segment.head.wall_us.clamp(0, WALL_US_MAX);
            let time = Timestamp::from_microsecond(wall_us).unwrap_or_default();
            put_line(
                &mut self.lead,
                format_args!("#EXT-X-PROGRAM-DATE-TIME:{time:.3}"),
            );
        }
        for part in segment.parts.iter().skip(self.parts_written) {
            self.put_part(part, scale);
        }
        self.parts_written = self.parts_written.max(segment.parts.len());
        self.gap = segment.gap;
        if segment.complete {
            let duration = scale.segment(segment.duration_ticks);
            self.tail.clear();
            put_line(
                &mut self.tail,
                format_args!("#EXTINF:{duration},\n{}.m4s", segment.msn()),
            );
        }
    }

    fn put_part(&mut self, part: &Part, scale: Scale) {
        let duration = scale.part(part.duration_ticks);
        let mark = match part {
            Part { gap: true, .. } => ",GAP=YES",
            Part {
                independent: true, ..
            } => ",INDEPENDENT=YES",
            _ => "",
        };
        put_line(
            &mut self.parts,
            format_args!(
                "#EXT-X-PART:DURATION={duration},URI=\"{}.{}.m4s\"{mark}",
                part.msn, part.index
            ),
        );
        if part.gap && !self.gap_written {
            self.gap_written = true;
            self.parts.push_str("#EXT-X-GAP\n");
        }
    }

    /// Appends the lines to a playlist, with or without those of the parts.
    pub(super) fn put(&self, out: &mut String, with_parts: bool) {
        out.push_str(&self.lead);
        if with_parts {
            out.push_str(&self.parts);
        }
        if self.gap && !(with_parts && self.gap_written) {
            out.push_str("#EXT-X-GAP\n");
        }
        out.push_str(&self.tail);
    }

    /// How long the text is at most.
    pub(super) fn len_max(&self) -> usize {
        self.lead.len() + self.parts.len() + self.tail.len() + 16
    }
}
