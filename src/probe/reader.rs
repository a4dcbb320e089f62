//! Reads media playlists from `quick-m3u8`'s lines, with the faults that only their order shows.

use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::{self, Tag};
use quick_m3u8::{HlsLine, Reader};

use super::playlist::{Control, Hint, Part, Playlist, RenditionReport, Segment};

/// The largest number of a playlist that counts: what JavaScript players still tell from its
/// neighbours.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// See [`Playlist::parse`].
pub(super) fn read(text: &str) -> Playlist {
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

    /// `number`, or 0 and a fault when it is too large to count with.
    fn number(&mut self, name: &str, number: u64) -> u64 {
        if number <= NUMBER_MAX {
            return number;
        }
        self.fault(&format!(
            "{name} is {number}: players count to {NUMBER_MAX}"
        ));
        0
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
            Tag::Targetduration(tag) => {
                let seconds = self.number("EXT-X-TARGETDURATION", tag.target_duration());
                self.playlist.target_duration = seconds;
            }
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
                let first = self.number("EXT-X-MEDIA-SEQUENCE", tag.media_sequence());
                self.playlist.media_sequence = first;
                self.sequence_seen = true;
                self.header("EXT-X-MEDIA-SEQUENCE");
            }
            Tag::DiscontinuitySequence(tag) => {
                let name = "EXT-X-DISCONTINUITY-SEQUENCE";
                let count = self.number(name, tag.discontinuity_sequence());
                self.playlist.discontinuity_sequence = Some(count);
                self.header(name);
            }
            Tag::Skip(tag) => {
                let skipped = self.number("SKIPPED-SEGMENTS", tag.skipped_segments());
                self.playlist.skipped = skipped;
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
                let msn = self.number("LAST-MSN", tag.last_msn());
                let part = tag.last_part().map(|part| self.number("LAST-PART", part));
                self.playlist.reports.push(RenditionReport {
                    uri: tag.uri().to_owned(),
                    last: (msn, part),
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
