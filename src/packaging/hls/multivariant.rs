//! The multivariant playlist: which renditions there are, and what each costs.

use bytes::Bytes;

use crate::media::codec::{Config, VideoConfig};
use crate::packaging::cmaf::Segment;
use crate::packaging::hls::Terms;
use crate::packaging::hls::terms::put_line;

/// What is added to a measured rate, in percent: a live peak should stay below 125 % of BANDWIDTH
/// and an average below 110 % of AVERAGE-BANDWIDTH (AAS 1.28, 1.29).
const HEAD_ROOM_PERCENT: u64 = 10;
/// Printed rates are whole multiples of this, in bit/s.
const RATE_STEP_BPS: u64 = 1000;
/// Taken for video of which nothing is known: bits per pixel and second over ten (3.8 Mbit/s at
/// 1280x720 and 30 pictures a second: above what hosts use).
const PIXELS_PER_BIT: u64 = 7;
const FRAME_RATE_MILLI_ASSUMED: u64 = 30_000;
/// Taken for audio of which nothing is known, in bit/s.
const AUDIO_BPS_ASSUMED: u64 = 160_000;
/// The name of the only audio group.
const AUDIO_GROUP: &str = "audio";

/// Measured bit rates of a rendition, in bit/s, boxes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// Of the largest segment.
    pub peak_bps: u64,
    /// Over all.
    pub average_bps: u64,
}

/// A rendition, as the multivariant playlist shows it.
#[derive(Debug, Clone, Copy)]
pub struct Rendition<'a> {
    /// The track's name: the folder of its playlist.
    pub name: &'a str,
    /// Its newest configuration.
    pub config: &'a Config,
    /// Every listed segment starts with a key frame ([`super::Timeline::is_independent`]).
    pub independent: bool,
    /// What was measured, if anything was.
    pub measured: Option<Bandwidth>,
    /// What the encoder says it sends, in bit/s; used while nothing is measured.
    pub declared_bps: Option<u64>,
}

/// What new sessions are offered. The default is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Offer {
    /// Playlists without parts.
    pub plain: bool,
    /// The best of several video renditions is left out.
    pub without_top: bool,
}

impl Offer {
    /// The file name of media playlists.
    fn playlist(self) -> &'static str {
        if self.plain {
            "plain.m3u8"
        } else {
            "media.m3u8"
        }
    }
}

impl Bandwidth {
    /// Measures complete segments with media; `target_ticks` is the target duration.
    ///
    /// Peaks count in segments of half a target duration and more (HLS-22 4.4.6.2, BANDWIDTH).
    pub(super) fn measure<'a>(
        segments: impl Iterator<Item = &'a Segment> + Clone,
        timescale: u32,
        target_ticks: u64,
    ) -> Option<Self> {
        let rate = |bytes: usize, ticks: u64| {
            let bits = bytes as u128 * 8 * u128::from(timescale);
            u64::try_from(bits.checked_div(ticks.into())?).ok()
        };
        let bytes = segments.clone().map(|segment| segment.bytes.len()).sum();
        let ticks = segments.clone().map(|segment| segment.duration_ticks).sum();
        let average_bps = rate(bytes, ticks)?;
        let long = segments.filter(|segment| segment.duration_ticks >= target_ticks / 2);
        let peak = long.filter_map(|segment| rate(segment.bytes.len(), segment.duration_ticks));
        Some(Self {
            peak_bps: peak.max().unwrap_or(average_bps).max(average_bps),
            average_bps,
        })
    }
}

impl Rendition<'_> {
    /// What the playlist says of it: measured with head-room, or declared, or assumed.
    fn bandwidth(&self) -> Bandwidth {
        if let Some(measured) = self.measured {
            return Bandwidth {
                peak_bps: with_head_room(measured.peak_bps),
                average_bps: round_up(measured.average_bps),
            };
        }
        let average_bps = round_up(self.declared_bps.unwrap_or_else(|| self.assumed_bps()));
        Bandwidth {
            peak_bps: with_head_room(average_bps),
            average_bps,
        }
    }

    fn assumed_bps(&self) -> u64 {
        let Config::Video(video) = self.config else {
            return AUDIO_BPS_ASSUMED;
        };
        let pixels = u64::from(video.width) * u64::from(video.height);
        let rate_milli = match video.frame_rate_milli {
            0 => FRAME_RATE_MILLI_ASSUMED,
            known => known.into(),
        };
        pixels.saturating_mul(rate_milli) / 1000 / PIXELS_PER_BIT
    }
}

/// Renders the multivariant playlist of a broadcast: one variant a video rendition, best first,
/// each with the audio group; or one an audio rendition when there is no video.
///
/// URIs are `EPOCH/RENDITION/media.m3u8` (or `plain.m3u8`), relative to the playlist's own place.
/// Source: HLS-22 4.4.6; AAS 9.
#[must_use]
pub fn multivariant(
    terms: &Terms,
    epoch: &str,
    renditions: &[Rendition<'_>],
    offer: Offer,
) -> Bytes {
    let mut out = String::with_capacity(256 + renditions.len() * 256);
    put_line(
        &mut out,
        format_args!("#EXTM3U\n#EXT-X-VERSION:{}", terms.version()),
    );
    if renditions.iter().all(|rendition| rendition.independent) {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let mut videos = Vec::with_capacity(renditions.len());
    let mut audios = Vec::new();
    for rendition in renditions {
        match rendition.config {
            Config::Video(video) => videos.push((rendition, video)),
            Config::Audio(_) => audios.push(rendition),
        }
    }
    videos.sort_by_key(|(rendition, _)| {
        let best_first = std::cmp::Reverse(rendition.bandwidth().peak_bps);
        (best_first, rendition.name)
    });
    if offer.without_top && videos.len() > 1 {
        videos.remove(0);
    }
    let uri = |name: &str| format!("{epoch}/{name}/{}", offer.playlist());
    if videos.is_empty() {
        for audio in audios {
            put_variant(&mut out, audio, None, &[], &uri(audio.name));
        }
    } else {
        for (index, audio) in audios.iter().enumerate() {
            put_audio(&mut out, audio, index == 0, &uri(audio.name));
        }
        for (rendition, video) in videos {
            put_variant(
                &mut out,
                rendition,
                Some(video),
                &audios,
                &uri(rendition.name),
            );
        }
    }
    out.into()
}

fn put_audio(out: &mut String, audio: &Rendition<'_>, first: bool, uri: &str) {
    let Config::Audio(config) = audio.config else {
        return;
    };
    let name = audio.name;
    put_line(
        out,
        format_args!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{AUDIO_GROUP}\",NAME=\"{name}\",DEFAULT={default},\
             AUTOSELECT=YES,CHANNELS=\"{channels}\",URI=\"{uri}\"",
            default = if first { "YES" } else { "NO" },
            channels = config.channels,
        ),
    );
}

fn put_variant(
    out: &mut String,
    rendition: &Rendition<'_>,
    video: Option<&VideoConfig>,
    audios: &[&Rendition<'_>],
    uri: &str,
) {
    let own = rendition.bandwidth();
    let rates = audios.iter().map(|audio| audio.bandwidth());
    let peak = own.peak_bps + rates.clone().map(|rate| rate.peak_bps).max().unwrap_or(0);
    let average = own.average_bps + rates.map(|rate| rate.average_bps).max().unwrap_or(0);
    let mut line = format!("#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}");
    line.push_str(",CODECS=\"");
    line.push_str(rendition.config.name());
    let mut named = vec![rendition.config.name()];
    for audio in audios {
        let name = audio.config.name();
        if !named.contains(&name) {
            named.push(name);
            line.push(',');
            line.push_str(name);
        }
    }
    line.push('"');
    if let Some(video) = video {
        line.push_str(&format!(",RESOLUTION={}x{}", video.width, video.height));
        let rate = video.frame_rate_milli;
        if rate > 0 {
            line.push_str(&format!(",FRAME-RATE={}.{:03}", rate / 1000, rate % 1000));
        }
    }
    if !audios.is_empty() {
        line.push_str(&format!(",AUDIO=\"{AUDIO_GROUP}\""));
    }
    put_line(out, format_args!("{line}\n{uri}"));
}

fn with_head_room(bps: u64) -> u64 {
    round_up(bps.saturating_add(bps / 100 * HEAD_ROOM_PERCENT))
}

fn round_up(bps: u64) -> u64 {
    bps.div_ceil(RATE_STEP_BPS) * RATE_STEP_BPS
}

#[cfg(test)]
#[path = "multivariant_test.rs"]
mod tests;
