//! A multivariant playlist and the rules of its attributes.

use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

use super::report::Report;

/// A parsed multivariant playlist.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Multivariant {
    /// EXT-X-VERSION; 1 when there is none.
    pub version: u64,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
    /// EXT-X-STREAM-INF with their URIs.
    pub variants: Vec<Variant>,
    /// EXT-X-MEDIA of TYPE=AUDIO: group and URI.
    pub audio: Vec<(String, Option<String>)>,
    /// Lines that cannot be read.
    pub line_faults: Vec<String>,
}

/// EXT-X-STREAM-INF.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Variant {
    /// Its media playlist.
    pub uri: String,
    /// BANDWIDTH, in bits per second.
    pub bandwidth: u64,
    /// AVERAGE-BANDWIDTH, in bits per second.
    pub average_bandwidth: Option<u64>,
    /// CODECS.
    pub codecs: String,
    /// RESOLUTION is there.
    pub resolution: bool,
    /// FRAME-RATE.
    pub frame_rate: Option<f64>,
    /// AUDIO.
    pub audio: Option<String>,
}

impl Multivariant {
    /// Parses `text`; `None` when it has no EXT-X-STREAM-INF and so is a media playlist.
    pub fn parse(text: &str) -> Option<Self> {
        let options = ParsingOptionsBuilder::new()
            .with_parsing_for_all_tags()
            .build();
        let mut reader = Reader::from_str(text, options);
        let mut this = Self {
            version: 1,
            ..Self::default()
        };
        let mut pending: Option<Variant> = None;
        loop {
            match reader.read_line() {
                Ok(None) => break,
                Ok(Some(HlsLine::KnownTag(KnownTag::Hls(tag)))) => this.tag(tag, &mut pending),
                Ok(Some(HlsLine::Uri(uri))) => {
                    if let Some(mut variant) = pending.take() {
                        variant.uri = uri.into_owned();
                        this.variants.push(variant);
                    }
                }
                Ok(Some(HlsLine::UnknownTag(tag))) => {
                    if let Some(error) = tag.validation_error() {
                        let fault = format!("#EXT{} is malformed: {error}", tag.name());
                        this.line_faults.push(fault);
                    }
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    this.line_faults
                        .push(format!("a line cannot be read: {error}"));
                }
            }
        }
        (!this.variants.is_empty()).then_some(this)
    }

    fn tag(&mut self, tag: Tag<'_>, pending: &mut Option<Variant>) {
        match tag {
            Tag::Version(tag) => self.version = tag.version(),
            Tag::IndependentSegments(_) => self.independent_segments = true,
            Tag::Media(tag) if *"AUDIO" == *tag.media_type().to_string() => {
                let uri = tag.uri().map(str::to_owned);
                self.audio.push((tag.group_id().to_owned(), uri));
            }
            Tag::StreamInf(tag) => {
                *pending = Some(Variant {
                    uri: String::new(),
                    bandwidth: tag.bandwidth(),
                    average_bandwidth: tag.average_bandwidth(),
                    codecs: tag.codecs().unwrap_or_default().to_owned(),
                    resolution: tag.resolution().is_some(),
                    frame_rate: tag.frame_rate(),
                    audio: tag.audio().map(str::to_owned),
                });
            }
            _ => {}
        }
    }

    /// The media playlists it leads to, variants first, each once.
    pub fn uris(&self) -> Vec<&str> {
        let variants = self.variants.iter().map(|variant| variant.uri.as_str());
        let audio = self.audio.iter().filter_map(|(_, uri)| uri.as_deref());
        let mut uris = Vec::new();
        for uri in variants.chain(audio) {
            if !uris.contains(&uri) {
                uris.push(uri);
            }
        }
        uris
    }

    /// Looks at every attribute that Apple's authoring rules ask for (AAS 9.1-9.15).
    pub fn check(&self, report: &mut Report) {
        let lines = match self.line_faults.first() {
            None => Ok("every line can be read".to_owned()),
            Some(fault) => Err(format!("multivariant: {fault}")),
        };
        report.record("R1.6-lines", lines);
        for variant in &self.variants {
            report.record("R1.9-bandwidth", variant.check_bandwidth());
            report.record("R1.6-variant-codecs", variant.check_codecs());
            report.record("R1.6-variant-video", variant.check_video());
            report.record("R1.6-audio-group", self.check_audio(variant));
        }
    }

    fn check_audio(&self, variant: &Variant) -> Result<String, String> {
        let Some(group) = &variant.audio else {
            return if self.audio.is_empty() {
                Ok("no separate audio".into())
            } else {
                Err(format!(
                    "{} names no AUDIO group though there is one",
                    variant.uri
                ))
            };
        };
        if self.audio.iter().any(|(known, _)| known == group) {
            Ok(format!("group {group} is there"))
        } else {
            Err(format!(
                "{} names the AUDIO group {group}, which no EXT-X-MEDIA has",
                variant.uri
            ))
        }
    }
}

impl Variant {
    fn check_bandwidth(&self) -> Result<String, String> {
        let Self { uri, bandwidth, .. } = self;
        match self.average_bandwidth {
            None => Err(format!("{uri} has no AVERAGE-BANDWIDTH")),
            Some(average) if average > *bandwidth => Err(format!(
                "{uri} has AVERAGE-BANDWIDTH {average} above BANDWIDTH {bandwidth}"
            )),
            Some(average) => Ok(format!("{bandwidth} peak, {average} average")),
        }
    }

    fn check_codecs(&self) -> Result<String, String> {
        let Self { uri, codecs, .. } = self;
        if codecs.is_empty() {
            return Err(format!("{uri} has no CODECS"));
        }
        if codecs.contains("avc3") || codecs.contains("hev1") {
            return Err(format!(
                "{uri} has CODECS {codecs}: avc1 and hvc1 are asked"
            ));
        }
        if self.audio.is_some() && self.resolution && !codecs.contains(',') {
            return Err(format!(
                "{uri} has CODECS {codecs}, which leaves a format out"
            ));
        }
        Ok(codecs.clone())
    }

    /// True when CODECS names a video format.
    fn has_video(&self) -> bool {
        const VIDEO: [&str; 8] = [
            "avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "dvh1", "dvhe",
        ];
        VIDEO.iter().any(|name| self.codecs.contains(name))
    }

    fn check_video(&self) -> Result<String, String> {
        if !self.has_video() && !self.codecs.is_empty() {
            return Ok(format!("{} has no video", self.uri));
        }
        match (self.resolution, self.frame_rate) {
            (true, Some(rate)) if rate > 0.0 => {
                Ok(format!("RESOLUTION and FRAME-RATE {rate} are there"))
            }
            (false, _) => Err(format!("{} has no RESOLUTION", self.uri)),
            (true, _) => Err(format!("{} has no FRAME-RATE", self.uri)),
        }
    }
}
