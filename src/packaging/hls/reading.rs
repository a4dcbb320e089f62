//! Reads playlists back for the tests, through a parser that is not ours.

use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

/// A media playlist as a player sees it.
#[derive(Debug, Default)]
pub(super) struct Playlist {
    pub(super) version: u64,
    pub(super) target: u64,
    pub(super) part_target: f64,
    pub(super) media_sequence: u64,
    pub(super) discontinuity_sequence: u64,
    pub(super) independent: bool,
    pub(super) skipped: u64,
    /// Listed segments; the last one has no URI when it is open.
    pub(super) segments: Vec<Segment>,
    pub(super) dates: Vec<String>,
    pub(super) hints: Vec<String>,
    pub(super) reports: Vec<(String, u64, u64)>,
    pub(super) ended: bool,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Segment {
    pub(super) uri: Option<String>,
    pub(super) duration: f64,
    pub(super) parts: Vec<Part>,
    pub(super) date: Option<String>,
    pub(super) map: Option<String>,
    pub(super) gap: bool,
    pub(super) discontinuities: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) uri: String,
    pub(super) duration: f64,
    pub(super) independent: bool,
    pub(super) gap: bool,
}

/// Parses `text`; panics on whatever is no known tag or URI, or stands at the wrong place.
pub(super) fn read(text: &[u8]) -> Playlist {
    let text = std::str::from_utf8(text).unwrap();
    let options = ParsingOptionsBuilder::new()
        .with_parsing_for_all_tags()
        .build();
    let mut reader = Reader::from_str(text, options);
    let mut playlist = Playlist::default();
    let mut open = Segment::default();
    let mut lines = 0;
    while let Some(line) = reader.read_line().unwrap() {
        lines += 1;
        assert!(!playlist.ended, "nothing follows ENDLIST");
        match line {
            HlsLine::Uri(uri) => {
                open.uri = Some(uri.into_owned());
                playlist.segments.push(std::mem::take(&mut open));
            }
            HlsLine::KnownTag(KnownTag::Hls(tag)) => playlist.take(tag, &mut open, lines),
            other => panic!("line {lines} is unknown: {other:?}"),
        }
    }
    if open != Segment::default() {
        assert!(!open.parts.is_empty(), "an open segment has parts: {text}");
        playlist.segments.push(open);
    }
    playlist
}

impl Playlist {
    fn take(&mut self, tag: Tag<'_>, open: &mut Segment, line: usize) {
        let header = self.segments.is_empty() && *open == Segment::default();
        match tag {
            Tag::M3u(_) => assert_eq!(line, 1),
            Tag::Version(tag) => self.version = tag.version(),
            Tag::Targetduration(tag) => self.target = tag.target_duration(),
            Tag::ServerControl(tag) => {
                assert!(header && tag.can_block_reload());
            }
            Tag::PartInf(tag) => self.part_target = tag.part_target(),
            Tag::MediaSequence(tag) => {
                assert!(header && self.skipped == 0);
                self.media_sequence = tag.media_sequence();
            }
            Tag::DiscontinuitySequence(tag) => {
                assert!(header);
                self.discontinuity_sequence = tag.discontinuity_sequence();
            }
            Tag::IndependentSegments(_) => self.independent = true,
            Tag::Skip(tag) => self.skipped = tag.skipped_segments(),
            Tag::Discontinuity(_) => {
                assert!(open.map.is_none() && open.date.is_none());
                open.discontinuities += 1;
            }
            Tag::Map(tag) => open.map = Some(tag.uri().to_owned()),
            Tag::ProgramDateTime(tag) => {
                assert!(open.parts.is_empty(), "the date stands before the parts");
                open.date = Some(tag.program_date_time().to_string());
            }
            Tag::Gap(_) => open.gap = true,
            Tag::Part(tag) => {
                assert!(open.date.is_some());
                open.parts.push(Part {
                    uri: tag.uri().to_owned(),
                    duration: tag.duration(),
                    independent: tag.independent(),
                    gap: tag.gap(),
                });
            }
            Tag::Daterange(tag) => self.dates.push(tag.id().to_owned()),
            Tag::Inf(tag) => open.duration = tag.duration(),
            Tag::PreloadHint(tag) => {
                assert!(self.reports.is_empty(), "reports stand last");
                self.hints.push(tag.uri().to_owned());
            }
            Tag::RenditionReport(tag) => {
                let last = (tag.last_msn(), tag.last_part().unwrap());
                self.reports.push((tag.uri().to_owned(), last.0, last.1));
            }
            Tag::Endlist(_) => self.ended = true,
            other => panic!("line {line} has no place here: {other:?}"),
        }
    }
}
