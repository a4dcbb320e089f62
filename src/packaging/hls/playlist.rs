//! The text of a media playlist.

use bytes::Bytes;

use crate::media::rescale;
use crate::packaging::hls::terms::put_line;
use crate::packaging::hls::{DateRange, Position, Skip, Timeline};

/// Parts are listed up to this far from the end, in target durations (HLS-22 6.2.2).
const PARTS_LISTED_TARGETS: u64 = 3;
/// The most EXT-X-DISCONTINUITY tags in a row.
const BREAKS_MAX: u32 = 64;

/// What a playlist says of a sibling rendition (EXT-X-RENDITION-REPORT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// Its media playlist, relative to this one: `../audio/media.m3u8`.
    pub uri: &'a str,
    /// [`Timeline::position`] of the sibling.
    pub position: Position,
}

impl Timeline {
    /// The playlist as it is now.
    ///
    /// `skip` asks for a delta update; the whole playlist is the answer when none is offered, when
    /// nothing would be left out, and after the end. `reports` are the siblings, `dates` what the
    /// room shows, each in a fixed order. A date range is listed while its start lies in the
    /// playlist: it comes before its picture, so every node lists it from the same part on.
    #[must_use]
    pub fn render(&self, skip: Skip, reports: &[Report<'_>], dates: &[DateRange]) -> Bytes {
        let mut out = String::with_capacity(self.len_max(reports, dates));
        out.push_str(&self.header);
        self.put_counters(&mut out);
        let skipped = self.put_skip(&mut out, skip);
        self.put_segments(&mut out, self.unlisted + skipped, true);
        self.put_dates(&mut out, dates);
        if let Some(hint) = self.hint() {
            put_line(
                &mut out,
                format_args!(
                    "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}.{}.m4s\"",
                    hint.msn, hint.part
                ),
            );
        }
        for Report { uri, position } in reports {
            let Position { msn, part } = position;
            put_line(
                &mut out,
                format_args!(
                    "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={msn},LAST-PART={part}"
                ),
            );
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        out.into()
    }

    /// The playlist of whole segments, without parts and without blocking reload: plain HLS, for
    /// sessions that shall cost less. It changes when a segment ends, and is the same on all nodes.
    #[must_use]
    pub fn render_plain(&self, skip: Skip, dates: &[DateRange]) -> Bytes {
        let mut out = String::with_capacity(self.len_max(&[], dates));
        out.push_str(&self.terms.plain_header());
        self.put_counters(&mut out);
        let skipped = self.put_skip(&mut out, skip);
        self.put_segments(&mut out, self.unlisted + skipped, false);
        self.put_dates(&mut out, dates);
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        out.into()
    }

    /// Returns how many segments a delta update leaves out.
    fn put_skip(&self, out: &mut String, skip: Skip) -> usize {
        let skipped = self.skippable(skip);
        if skipped > 0 {
            put_line(out, format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
        }
        skipped
    }

    fn put_counters(&self, out: &mut String) {
        let first = self.listed_heads().next();
        put_line(
            out,
            format_args!(
                "#EXT-X-MEDIA-SEQUENCE:{}",
                first.map_or(0, |head| head.id.0)
            ),
        );
        // A segment's own discontinuity tag shows only after another segment, so the first one is
        // counted here: a node that has not seen the segment before it prints the same.
        put_line(
            out,
            format_args!(
                "#EXT-X-DISCONTINUITY-SEQUENCE:{}",
                first.map_or(0, |head| head.discontinuities)
            ),
        );
        if self.is_independent() {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
    }

    /// Appends the segments from `from` on; with their parts, the open one too.
    fn put_segments(&self, out: &mut String, from: usize, parts: bool) {
        // The first segment of the playlist shows no discontinuity, but the first of a delta does.
        let skipped = from.checked_sub(1).filter(|&index| index >= self.unlisted);
        let before = skipped.and_then(|index| self.segments.get(index));
        let mut before = before.map(|listed| &*listed.segment.head);
        let mut init_id = None;
        let parts_from = PARTS_LISTED_TARGETS * self.target_ticks();
        let open_ticks = self.segmenter.open().map_or(0, |open| open.duration_ticks);
        let end = self.elapsed_ticks.saturating_add(open_ticks);
        let complete = self.segments.iter().skip(from);
        let complete = complete.map(|listed| {
            let with_parts = parts && end - listed.end_ticks <= parts_from;
            (&*listed.segment.head, &listed.text, with_parts)
        });
        let open = self
            .segmenter
            .open()
            .filter(|open| parts && !open.parts.is_empty());
        let open = open.map(|open| (&*open.head, &self.open_text, true));
        for (head, text, with_parts) in complete.chain(open) {
            let breaks = before.map_or(0, |before| {
                head.discontinuities.saturating_sub(before.discontinuities)
            });
            // One tag counts one: numbers stay true even if groups with theirs were lost.
            for _ in 0..breaks.min(BREAKS_MAX) {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if init_id.replace(head.init_id) != Some(head.init_id) {
                put_line(
                    out,
                    format_args!("#EXT-X-MAP:URI=\"init-{}.mp4\"", head.init_id),
                );
            }
            text.put(out, with_parts);
            before = Some(head);
        }
    }

    fn put_dates(&self, out: &mut String, dates: &[DateRange]) {
        let Some(first) = self.listed_heads().next() else {
            return;
        };
        let end_us = self.end_us();
        let is_listed = |date: &&DateRange| (first.wall_us..=end_us).contains(&date.start_us);
        for date in dates.iter().filter(is_listed) {
            out.push_str(&date.line);
        }
    }

    /// The wall-clock time at which the newest part ends.
    fn end_us(&self) -> i64 {
        let open = self.segmenter.open().filter(|open| !open.parts.is_empty());
        let newest = open.or_else(|| self.segments.back().map(|listed| &listed.segment));
        newest.map_or(i64::MIN, |segment| {
            let ticks = i64::try_from(segment.duration_ticks).unwrap_or(i64::MAX);
            let length_us = rescale(ticks, self.info.timescale, 1_000_000);
            segment.head.wall_us.saturating_add(length_us)
        })
    }

    /// How many segments a delta update leaves out.
    fn skippable(&self, skip: Skip) -> usize {
        let offered = self.terms.skip_until_seconds();
        let Some(seconds) = offered.filter(|_| skip != Skip::No && !self.ended) else {
            return 0;
        };
        let boundary = self.ticks(u64::from(seconds) * 1000);
        let listed = self.segments.iter().skip(self.unlisted);
        let old = listed.take_while(|listed| self.elapsed_ticks - listed.end_ticks >= boundary);
        old.count()
    }

    fn len_max(&self, reports: &[Report<'_>], dates: &[DateRange]) -> usize {
        let listed = self.segments.iter().skip(self.unlisted);
        let segments: usize = listed.map(|listed| listed.text.len_max()).sum();
        let reports: usize = reports.iter().map(|report| report.uri.len() + 80).sum();
        let dates: usize = dates.iter().map(|date| date.line.len()).sum();
        self.header.len() + segments + self.open_text.len_max() + reports + dates + 512
    }
}

#[cfg(test)]
#[path = "playlist_test.rs"]
mod tests;
