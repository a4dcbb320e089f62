//! A media playlist as a player understands it, from `quick-m3u8`'s lines, plus the faults that
//! only the order of lines shows.

use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::{self, Tag};
use quick_m3u8::{HlsLine, Reader};

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
        let mut parser = Parser::default();
        parser.playlist.version = 1;
        if !text.starts_with("#EXTM3U") {
            parser.fault("the first line is not #EXTM3U");
        }
        let options = ParsingOptionsBuilder::new()
            .with_parsing_for_all_tags()
            .without_parsing_for_program_date_time()
            .build();
        let mut reader = Reader::from_str(text, options);
        loop {
            match reader.read_line() {
                Ok(Some(line)) => parser.line(line),
                Ok(None) => break,
                Err(error) => parser.fault(&format!("a line cannot be read: {error}")),
            }
        }
        parser.finish()
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

/// Seconds of a playlist in microseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "playlist times are far below 2^53 microseconds, and the cast saturates"
)]
pub fn microseconds(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[derive(Default)]
struct Parser {
    playlist: Playlist,
    next: Segment,
    map: Option<String>,
    mapped: bool,
    started: bool,
    in_reports: bool,
    sequence_seen: bool,
}

impl Parser {
    fn fault(&mut self, fault: &str) {
        self.playlist.line_faults.push(fault.to_owned());
    }

    fn line(&mut self, line: HlsLine<'_>) {
        if self.in_reports && matches!(line, HlsLine::Uri(_)) {
            self.fault("a segment follows EXT-X-RENDITION-REPORT");
        }
        match line {
            HlsLine::KnownTag(KnownTag::Hls(tag)) => self.tag(tag),
            HlsLine::UnknownTag(tag) if tag.name() == "-X-PROGRAM-DATE-TIME" => {
                self.date(&String::from_utf8_lossy(tag.as_bytes()));
            }
            HlsLine::UnknownTag(tag) => {
                if let Some(error) = tag.validation_error() {
                    self.fault(&format!("#EXT{} is malformed: {error}", tag.name()));
                }
            }
            HlsLine::Uri(uri) => self.segment(&uri),
            HlsLine::KnownTag(_) | HlsLine::Comment(_) | HlsLine::Blank => {}
        }
    }

    fn header(&mut self, name: &str) {
        if self.started {
            self.fault(&format!("{name} stands after the first segment or part"));
        }
    }

    fn tag(&mut self, tag: Tag<'_>) {
        let playlist = &mut self.playlist;
        match tag {
            Tag::Version(tag) => playlist.version = tag.version(),
            Tag::Targetduration(tag) => playlist.target_duration = tag.target_duration(),
            Tag::IndependentSegments(_) => playlist.independent_segments = true,
            Tag::PartInf(tag) => {
                playlist.part_target = Some(tag.part_target());
                self.header("EXT-X-PART-INF");
            }
            Tag::ServerControl(tag) => {
                playlist.control = Control {
                    can_block_reload: tag.can_block_reload(),
                    hold_back: tag.hold_back(),
                    part_hold_back: tag.part_hold_back(),
                    can_skip_until: tag.can_skip_until(),
                };
                self.header("EXT-X-SERVER-CONTROL");
            }
            Tag::MediaSequence(tag) => {
                playlist.media_sequence = tag.media_sequence();
                self.sequence_seen = true;
                self.header("EXT-X-MEDIA-SEQUENCE");
            }
            Tag::DiscontinuitySequence(tag) => {
                playlist.discontinuity_sequence = Some(tag.discontinuity_sequence());
                self.header("EXT-X-DISCONTINUITY-SEQUENCE");
            }
            Tag::Skip(tag) => {
                playlist.skipped = tag.skipped_segments();
                self.header("EXT-X-SKIP");
                if !self.sequence_seen {
                    self.fault("EXT-X-SKIP stands before EXT-X-MEDIA-SEQUENCE");
                }
                self.started = true;
            }
            Tag::Endlist(_) => playlist.ended = true,
            other => self.media_tag(other),
        }
    }

    fn media_tag(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Discontinuity(_) => {
                self.started = true;
                self.next.discontinuity = true;
                if !self.next.parts.is_empty() || self.mapped {
                    self.fault("EXT-X-DISCONTINUITY stands after a part or the map of its segment");
                }
            }
            Tag::Map(tag) => {
                self.mapped = true;
                if !self.next.parts.is_empty() {
                    self.fault("EXT-X-MAP stands after a part of its segment");
                }
                self.map = Some(tag.uri().to_owned());
            }
            Tag::Gap(_) => self.next.gap = true,
            Tag::Inf(tag) => {
                self.started = true;
                self.next.duration = tag.duration();
            }
            Tag::Part(tag) => self.part(&tag),
            Tag::PreloadHint(tag) if *"PART" == *tag.hint_type().to_string() => {
                self.playlist.hints.push(Hint {
                    uri: tag.uri().to_owned(),
                    start: tag.byterange_start(),
                });
            }
            Tag::RenditionReport(tag) => {
                self.in_reports = true;
                self.playlist.reports.push(RenditionReport {
                    uri: tag.uri().to_owned(),
                    last: (tag.last_msn(), tag.last_part()),
                });
            }
            _ => {}
        }
    }

    fn part(&mut self, tag: &hls::Part<'_>) {
        self.started = true;
        if self.in_reports {
            self.fault("EXT-X-PART follows EXT-X-RENDITION-REPORT");
        }
        if !self.playlist.hints.is_empty() {
            self.fault("EXT-X-PART follows EXT-X-PRELOAD-HINT");
        }
        self.next.parts.push(Part {
            uri: tag.uri().to_owned(),
            duration: tag.duration(),
            independent: tag.independent(),
            gap: tag.gap(),
            range: tag.byterange().map(|range| (range.length, range.offset)),
        });
    }

    fn date(&mut self, line: &str) {
        if !self.next.parts.is_empty() {
            self.fault("EXT-X-PROGRAM-DATE-TIME stands after a part of its segment");
        }
        let date = line.split_once(':').map_or("", |(_, date)| date.trim());
        match date.parse::<jiff::Timestamp>() {
            Ok(date) => self.next.date_us = Some(date.as_microsecond()),
            Err(_) => self.fault(&format!("{date:?} is no date with a time zone")),
        }
    }

    fn segment(&mut self, uri: &str) {
        self.next.uri = Some(uri.to_owned());
        self.push_next();
    }

    fn push_next(&mut self) {
        let mut segment = std::mem::take(&mut self.next);
        self.mapped = false;
        let index = u64::try_from(self.playlist.segments.len()).unwrap_or(u64::MAX);
        segment.msn = self.playlist.media_sequence + self.playlist.skipped + index;
        segment.map.clone_from(&self.map);
        if segment.uri.is_none() {
            segment.duration = segment.parts.iter().map(|part| part.duration).sum();
        }
        self.playlist.segments.push(segment);
    }

    fn finish(mut self) -> Playlist {
        if !self.next.parts.is_empty() {
            self.push_next();
        }
        if self.playlist.target_duration == 0 {
            self.fault("there is no EXT-X-TARGETDURATION");
        }
        self.playlist
    }
}
