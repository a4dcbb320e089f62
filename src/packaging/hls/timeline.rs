//! The state of one media playlist.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::container::mp4;
use crate::media::codec::Config;
use crate::media::group::{Head, Id};
use crate::media::track::{Info, Kind};
use crate::media::{Frame, rescale};
use crate::packaging::Error;
use crate::packaging::cmaf::{Part, Segment, Segmenter};
use crate::packaging::hls::terms::put_line;
use crate::packaging::hls::text::{Scale, Text};
use crate::packaging::hls::{Bandwidth, Directives, Skip, Terms};

/// The most segments a timeline keeps, whatever their length.
const SEGMENTS_MAX: usize = 1024;
/// Parts are listed up to this far from the end, in target durations (HLS-22 6.2.2).
const PARTS_LISTED_TARGETS: u64 = 3;
/// Parts are kept up to this far from the end: three more after they left the playlist, and one
/// more for the segment they are in.
const PARTS_KEPT_TARGETS: u64 = 7;
/// Segments are kept this long after they left the playlist, in target durations; HLS-22 6.2.2 asks
/// for a segment's own duration.
const SEGMENTS_KEPT_TARGETS: u64 = 3;

/// A part by its segment and its number in it; ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Media sequence number.
    pub msn: u64,
    /// Part number, from 0.
    pub part: u32,
}

/// What a playlist says of a sibling rendition (EXT-X-RENDITION-REPORT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// Its media playlist, relative to this one: `../audio/media.m3u8`.
    pub uri: &'a str,
    /// [`Timeline::position`] of the sibling.
    pub position: Position,
}

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

/// One media playlist, fed with what a `live::track::Reader` of its track yields.
///
/// Bounded: it holds [`Terms::window_ms`] of segments in the playlist and three target durations
/// more for late requests; all media is shared with the store.
#[derive(Debug)]
pub struct Timeline {
    info: Info,
    terms: Terms,
    header: String,
    scale: Scale,
    segmenter: Segmenter,
    /// Complete segments, consecutive numbers.
    segments: VecDeque<Listed>,
    /// How many of `segments` have left the playlist.
    unlisted: usize,
    /// The text of the segment being built.
    open_text: Text,
    inits: BTreeMap<u32, Init>,
    /// The end of the newest complete segment's time, as the sum of all durations since the start.
    elapsed_ticks: u64,
    /// Duration of the newest frame: how exactly the next cut can be foretold.
    frame_ticks: u64,
    ended: bool,
    revision: u64,
}

#[derive(Debug)]
struct Listed {
    segment: Segment,
    text: Text,
    /// Number of parts it had before they were forgotten.
    part_count: u32,
    /// Its end in [`Timeline::elapsed_ticks`].
    end_ticks: u64,
}

#[derive(Debug)]
struct Init {
    config: Config,
    bytes: Bytes,
}

// === impl Timeline: input ===

impl Timeline {
    /// An empty timeline of the track `info`.
    #[must_use]
    pub fn new(info: &Info, terms: &Terms) -> Self {
        Self {
            info: info.clone(),
            header: terms.header(),
            scale: Scale::new(info.timescale, terms),
            terms: terms.clone(),
            segmenter: Segmenter::new(info),
            segments: VecDeque::new(),
            unlisted: 0,
            open_text: Text::default(),
            inits: BTreeMap::new(),
            elapsed_ticks: 0,
            frame_ticks: 0,
            ended: false,
            revision: 0,
        }
    }

    /// A group begins (`Event::Group`). A segment that was not closed counts as lost.
    ///
    /// Errors: the group's initialization cannot be packaged; its frames are passed over, and the
    /// group is listed as a gap once a later one can be.
    pub fn open_group(&mut self, head: &Arc<Head>) -> Result<(), Error> {
        if self.segmenter.open().is_some() {
            self.skipped();
        }
        if !self.inits.contains_key(&head.init_id) {
            let init = Init::new(head, self.info.timescale)?;
            self.inits.insert(head.init_id, init);
            if self.inits.len() > SEGMENTS_MAX {
                self.inits.pop_first();
            }
        }
        self.segmenter.open_group(head);
        Ok(())
    }

    /// The next frame of the group (`Event::Frame`).
    pub fn push(&mut self, frame: &Arc<Frame>) {
        let was_open = self.segmenter.open().is_some();
        let parts = self.segmenter.push(frame);
        let Some(open) = self.segmenter.open() else {
            return;
        };
        self.frame_ticks = frame.duration.into();
        if !was_open {
            let head = open.head.clone();
            self.fill(&head);
        }
        if parts > 0
            && let Some(open) = self.segmenter.open()
        {
            self.open_text.update(open, self.scale);
            self.revision += 1;
        }
    }

    /// The group is complete (`Event::GroupEnd`).
    pub fn close_group(&mut self) {
        if let Some(segment) = self.segmenter.close_group() {
            self.list(segment);
            self.trim();
        }
    }

    /// Frames were lost (`Event::Skipped`). What is missing is listed as gaps when the next group
    /// tells how long it was.
    pub fn skipped(&mut self) {
        if let Some(mut broken) = self.segmenter.skipped() {
            broken.gap = true;
            broken.complete = true;
            self.list(broken);
        }
    }

    /// The broadcast is over (`Event::Ended`): no more frames, ENDLIST.
    pub fn end(&mut self) {
        self.close_group();
        if !std::mem::replace(&mut self.ended, true) {
            self.revision += 1;
        }
    }

    /// Lists gaps for the groups that never came before `head`, so that numbers have no hole.
    fn fill(&mut self, head: &Head) {
        let Some(last) = self.segments.back().map(|listed| listed.segment.clone()) else {
            return;
        };
        let next = last.msn().0.saturating_add(1);
        let missing = head.id.0.saturating_sub(next);
        if head.id.0 < next || missing > SEGMENTS_MAX as u64 {
            // Another numbering, or a hole longer than any window: a new playlist.
            self.segments.clear();
            self.unlisted = 0;
            self.inits.retain(|&id, _| id == head.init_id);
            return;
        }
        let end_dts = last.head.dts.saturating_add_unsigned(last.duration_ticks);
        let lost_ticks = u64::try_from(head.dts.saturating_sub(end_dts)).unwrap_or(0);
        for index in 0..missing {
            let from = lost_ticks / missing * index;
            let until = match index + 1 == missing {
                true => lost_ticks,
                false => lost_ticks / missing * (index + 1),
            };
            let dts = end_dts.saturating_add_unsigned(from);
            let ahead_us = rescale(dts - last.head.dts, self.info.timescale, 1_000_000);
            let stand_in = Head {
                id: Id(next + index),
                wall_us: last.head.wall_us.saturating_add(ahead_us),
                dts,
                independent: true,
                ..(*last.head).clone()
            };
            self.list(Segment::missing(Arc::new(stand_in), until - from));
        }
    }

    fn list(&mut self, segment: Segment) {
        let mut text = std::mem::take(&mut self.open_text);
        text.update(&segment, self.scale);
        self.elapsed_ticks = self.elapsed_ticks.saturating_add(segment.duration_ticks);
        self.segments.push_back(Listed {
            part_count: u32::try_from(segment.parts.len()).expect("at most PARTS_MAX parts"),
            text,
            segment,
            end_ticks: self.elapsed_ticks,
        });
        self.revision += 1;
    }

    /// Lets go of what is too old for the playlist, or for anybody.
    fn trim(&mut self) {
        let end = self.elapsed_ticks;
        let window = self.ticks(u64::from(self.terms.window_ms()));
        let target = self.target_ticks();
        // A segment leaves when the playlist is long enough without it.
        while let Some(first) = self.segments.get(self.unlisted)
            && end - first.end_ticks >= window
        {
            self.unlisted += 1;
        }
        while let Some(first) = self.segments.front()
            && (self.segments.len() > SEGMENTS_MAX
                || self.unlisted > 0
                    && end - first.end_ticks >= window + SEGMENTS_KEPT_TARGETS * target)
        {
            self.segments.pop_front();
            self.unlisted = self.unlisted.saturating_sub(1);
        }
        for listed in &mut self.segments {
            if end - listed.end_ticks < PARTS_KEPT_TARGETS * target {
                break;
            }
            listed.segment.parts = Vec::new();
        }
        if let Some(first) = self.segments.front() {
            let oldest = first.segment.head.init_id;
            self.inits.retain(|&id, _| id >= oldest);
        }
    }

    fn ticks(&self, milliseconds: u64) -> u64 {
        milliseconds * u64::from(self.info.timescale) / 1000
    }

    fn target_ticks(&self) -> u64 {
        self.ticks(u64::from(self.terms.target_seconds()) * 1000)
    }
}

// === impl Timeline: what is there ===

impl Timeline {
    /// What the track is.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The frozen figures.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Grows with every change of the playlist; two equal revisions render the same (but for the
    /// reports).
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// True after [`Self::end`].
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The newest complete part: what a sibling's rendition report names. `None` before the first.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        if let Some(open) = self.segmenter.open()
            && let Some(part) = open.parts.last()
        {
            return Some(Position {
                msn: part.msn.0,
                part: part.index,
            });
        }
        let newest = self.segments.iter().rev();
        let newest = newest.filter(|listed| listed.part_count > 0);
        newest.map(Listed::last_part).next()
    }

    /// The part that is being made: the first that is not there. `None` before the first group.
    #[must_use]
    pub fn progress(&self) -> Option<Position> {
        if let Some(open) = self.segmenter.open() {
            return Some(Position {
                msn: open.msn().0,
                part: u32::try_from(open.parts.len()).expect("at most PARTS_MAX parts"),
            });
        }
        let last = self.segments.back()?;
        Some(Position {
            msn: last.segment.msn().0 + 1,
            part: 0,
        })
    }

    /// What EXT-X-PRELOAD-HINT names: the part being made, or the first of the next segment when
    /// the open one has reached the length at which segments have been ending.
    ///
    /// The origin tells the end of a group only with the first frame of the next one. A hint for one
    /// more part would then be abandoned at every segment, and each player that follows hints
    /// would get a 404 there; a hint for the next segment's first part is only early when the guess
    /// is wrong. `None` before the first group and after the end.
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
            Kind::Video | Kind::Data => self.frame_ticks / 2,
        };
        open.duration_ticks + tolerance >= expected
    }

    /// A part that is complete and kept; gaps too (their bytes are empty).
    #[must_use]
    pub fn part(&self, msn: u64, index: u32) -> Option<&Part> {
        let open = self.segmenter.open().filter(|open| open.msn().0 == msn);
        let segment = open.or_else(|| self.kept(msn).map(|listed| &listed.segment))?;
        segment.parts.get(usize::try_from(index).ok()?)
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

    /// A complete segment that is kept and has media.
    #[must_use]
    pub fn segment(&self, msn: u64) -> Option<&Segment> {
        let segment = &self.kept(msn)?.segment;
        (!segment.bytes.is_empty()).then_some(segment)
    }

    /// The initialization segment `init-N.mp4`.
    #[must_use]
    pub fn init(&self, init_id: u32) -> Option<Bytes> {
        Some(self.inits.get(&init_id)?.bytes.clone())
    }

    /// The newest configuration, for the multivariant playlist.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        Some(&self.inits.values().next_back()?.config)
    }

    /// Bit rates measured over the complete segments that are kept; `None` before there is one.
    #[must_use]
    pub fn bandwidth(&self) -> Option<Bandwidth> {
        let measured = self.segments.iter().map(|listed| &listed.segment);
        let measured = measured.filter(|segment| !segment.gap);
        Bandwidth::measure(measured, self.info.timescale, self.target_ticks())
    }

    fn kept(&self, msn: u64) -> Option<&Listed> {
        let first = self.segments.front()?.segment.msn().0;
        let index = usize::try_from(msn.checked_sub(first)?).ok()?;
        self.segments.get(index)
    }
}

impl Listed {
    fn last_part(&self) -> Position {
        Position {
            msn: self.segment.msn().0,
            part: self.part_count.saturating_sub(1),
        }
    }
}

// === impl Timeline: requests ===

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
            return match msn < next.msn {
                true => Decision::Now,
                // Every part of the segment, and its end.
                false => Decision::Wait(Position {
                    msn,
                    part: u32::MAX,
                }),
            };
        };
        self.request_part(Position { msn, part }, next)
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
        let ahead = match asked.msn == next.msn {
            true => u64::from(asked.part - next.part) + 1,
            false => u64::from(asked.part) + 1,
        };
        let limit = self.terms.advance_part_limit();
        if ahead > limit.into() {
            let part = asked.part;
            return Decision::Bad(Refusal::PartTooFar { part, ahead, limit });
        }
        Decision::Wait(asked)
    }

    /// The playlist as it is now.
    ///
    /// `skip` asks for a delta update; the whole playlist is the answer when none is offered, when
    /// nothing would be left out, and after the end. `reports` are the siblings, in a fixed order.
    #[must_use]
    pub fn render(&self, skip: Skip, reports: &[Report<'_>]) -> Bytes {
        let mut out = String::with_capacity(self.len_max(reports));
        out.push_str(&self.header);
        self.put_counters(&mut out);
        let skipped = self.skippable(skip);
        if skipped > 0 {
            put_line(
                &mut out,
                format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"),
            );
        }
        self.put_segments(&mut out, self.unlisted + skipped);
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

    fn put_counters(&self, out: &mut String) {
        let listed = self.segments.iter().skip(self.unlisted);
        let heads = listed.map(|listed| &listed.segment.head);
        let open = self.segmenter.open().map(|open| &open.head);
        let mut heads = heads.chain(open);
        let independent = heads.clone().all(|head| head.independent);
        let first = heads.next();
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
        if independent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
    }

    /// Appends the segments from `from` on, and the open one.
    fn put_segments(&self, out: &mut String, from: usize) {
        let mut before = match from > self.unlisted {
            true => self.segments.get(from - 1),
            false => None,
        }
        .map(|listed| &*listed.segment.head);
        let mut init_id = None;
        let parts_from = PARTS_LISTED_TARGETS * self.target_ticks();
        let open_ticks = self.segmenter.open().map_or(0, |open| open.duration_ticks);
        let end = self.elapsed_ticks.saturating_add(open_ticks);
        let complete = self.segments.iter().skip(from);
        let complete = complete.map(|listed| {
            let with_parts = end - listed.end_ticks <= parts_from;
            (&*listed.segment.head, &listed.text, with_parts)
        });
        let open = self.segmenter.open().filter(|open| !open.parts.is_empty());
        let open = open.map(|open| (&*open.head, &self.open_text, true));
        for (head, text, with_parts) in complete.chain(open) {
            let breaks = before.map_or(0, |before| {
                head.discontinuities.saturating_sub(before.discontinuities)
            });
            // One tag counts one: numbers stay true even if groups with theirs were lost.
            for _ in 0..breaks.min(SEGMENTS_MAX as u32) {
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

    fn len_max(&self, reports: &[Report<'_>]) -> usize {
        let listed = self.segments.iter().skip(self.unlisted);
        let segments: usize = listed.map(|listed| listed.text.len_max()).sum();
        let reports: usize = reports.iter().map(|report| report.uri.len() + 80).sum();
        self.header.len() + segments + self.open_text.len_max() + reports + 512
    }
}

impl Init {
    fn new(head: &Head, timescale: u32) -> Result<Self, Error> {
        let init_id = head.init_id;
        let config =
            Config::decode(head.init.clone()).map_err(|reason| Error::Init { init_id, reason })?;
        let bytes =
            mp4::init(&config, timescale).map_err(|reason| Error::Container { init_id, reason })?;
        Ok(Self { config, bytes })
    }
}

#[cfg(test)]
#[path = "timeline_test.rs"]
mod tests;
