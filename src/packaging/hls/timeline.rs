//! The state of one media playlist.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::container::mp4;
use crate::media::codec::Config;
use crate::media::group::{Head, Id};
use crate::media::track::Info;
use crate::media::{Frame, rescale};
use crate::packaging::Error;
use crate::packaging::cmaf::{Part, Segment, Segmenter};
use crate::packaging::hls::text::{Scale, Text};
use crate::packaging::hls::{Bandwidth, Terms};

/// The most segments a timeline keeps, whatever their length.
const SEGMENTS_MAX: usize = 1024;
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

/// One media playlist, fed with what a `live::track::Reader` of its track yields.
///
/// Bounded: it holds [`Terms::window_ms`] of segments in the playlist and three target durations
/// more for late requests; all media is shared with the store.
#[derive(Debug)]
pub struct Timeline {
    pub(super) info: Info,
    pub(super) terms: Terms,
    pub(super) header: String,
    pub(super) scale: Scale,
    pub(super) segmenter: Segmenter,
    /// Complete segments, consecutive numbers.
    pub(super) segments: VecDeque<Listed>,
    /// How many of `segments` have left the playlist.
    pub(super) unlisted: usize,
    /// The text of the segment being built.
    pub(super) open_text: Text,
    pub(super) inits: BTreeMap<u32, Init>,
    /// The end of the newest complete segment's time, as the sum of all durations since the start.
    pub(super) elapsed_ticks: u64,
    /// Duration of the newest frame: how exactly the next cut can be foretold.
    pub(super) frame_ticks: u64,
    pub(super) ended: bool,
    pub(super) revision: u64,
}

#[derive(Debug)]
pub(super) struct Listed {
    pub(super) segment: Segment,
    pub(super) text: Text,
    /// Number of parts it had before they were forgotten.
    pub(super) part_count: u32,
    /// Its end in [`Timeline::elapsed_ticks`].
    pub(super) end_ticks: u64,
}

#[derive(Debug)]
pub(super) struct Init {
    pub(super) config: Config,
    pub(super) bytes: Bytes,
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
        } else {
            self.segmenter.close_group();
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
            let until = lost_ticks / missing * (index + 1);
            let dts = end_dts.saturating_add_unsigned(from);
            let ahead_ticks = dts.saturating_sub(last.head.dts);
            let ahead_us = rescale(ahead_ticks, self.info.timescale, 1_000_000);
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

    pub(super) fn ticks(&self, milliseconds: u64) -> u64 {
        milliseconds * u64::from(self.info.timescale) / 1000
    }

    pub(super) fn target_ticks(&self) -> u64 {
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

    /// True while every listed segment can be decoded alone (EXT-X-INDEPENDENT-SEGMENTS).
    #[must_use]
    pub fn is_independent(&self) -> bool {
        self.listed_heads().all(|head| head.independent)
    }

    /// The heads of the segments in the playlist, the open one last.
    pub(super) fn listed_heads(&self) -> impl Iterator<Item = &Arc<Head>> {
        let listed = self.segments.iter().skip(self.unlisted);
        let open = self.segmenter.open();
        listed
            .map(|listed| &listed.segment.head)
            .chain(open.map(|open| &open.head))
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

    /// A part that is complete and kept; gaps too (their bytes are empty).
    #[must_use]
    pub fn part(&self, msn: u64, index: u32) -> Option<&Part> {
        let open = self.segmenter.open().filter(|open| open.msn().0 == msn);
        let segment = open.or_else(|| self.kept(msn).map(|listed| &listed.segment))?;
        segment.parts.get(usize::try_from(index).ok()?)
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

    pub(super) fn kept(&self, msn: u64) -> Option<&Listed> {
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
