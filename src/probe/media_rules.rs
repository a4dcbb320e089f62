//! Rules of the media bytes: initialization, chunks and their times (CMAF; `mp4-atom` reads the
//! boxes).

use std::io::Cursor;

use bytes::Bytes;
use mp4_atom::{Any, DecodeMaybe as _, FourCC, Moof, Moov, Trex};

use super::playlist::Part;

/// A time that a playlist and its media may differ by, in seconds: both round.
const TOLERANCE_SECONDS: f64 = 0.005;

/// What an initialization segment says about its track.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Init {
    timescale: u32,
    defaults: Trex,
    /// True for a video track.
    pub video: bool,
}

/// A part's place in time, in ticks of the track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// tfdt of its first chunk.
    pub start: u64,
    /// Where its last sample ends.
    pub end: u64,
    /// True when its first sample is a sync sample.
    pub sync: bool,
}

impl Init {
    /// Reads `ftyp` and `moov` with one track.
    pub(super) fn parse(bytes: &Bytes) -> Result<Self, String> {
        let mut moov: Option<Moov> = None;
        let mut kinds = Vec::new();
        for atom in atoms(bytes)? {
            kinds.push(atom.kind());
            if let Any::Moov(found) = atom {
                moov = Some(found);
            }
        }
        if kinds.first() != Some(&FourCC::new(b"ftyp")) {
            return Err("the initialization does not start with ftyp".into());
        }
        let moov = moov.ok_or("the initialization has no moov")?;
        let track = match moov.trak.as_slice() {
            [track] => track,
            tracks => return Err(format!("{} tracks in one rendition", tracks.len())),
        };
        let timescale = track.mdia.mdhd.timescale;
        if timescale == 0 {
            return Err("the track has timescale 0".into());
        }
        if track.mdia.minf.stbl.stsd.codecs.is_empty() {
            return Err("the track has no sample description".into());
        }
        let extends = moov.mvex.ok_or("moov has no mvex: not fragmented")?;
        let id = track.tkhd.track_id;
        let defaults = extends.trex.into_iter().find(|trex| trex.track_id == id);
        Ok(Self {
            timescale,
            defaults: defaults.ok_or("mvex has no trex of the track")?,
            video: track.mdia.hdlr.handler == FourCC::new(b"vide"),
        })
    }

    /// Reads a part: one or more chunks, each `moof` and `mdat`, without a hole between them.
    pub(super) fn span(&self, bytes: &Bytes) -> Result<Span, String> {
        let mut span: Option<Span> = None;
        let mut open = false;
        for atom in atoms(bytes)? {
            match atom {
                Any::Moof(moof) => {
                    let chunk = self.chunk(&moof)?;
                    if span.is_some_and(|span| span.end != chunk.start) {
                        return Err("a hole between two chunks of one part".into());
                    }
                    let start = span.map_or(chunk.start, |span| span.start);
                    let sync = span.map_or(chunk.sync, |span| span.sync);
                    let end = chunk.end;
                    span = Some(Span { start, end, sync });
                    open = true;
                }
                Any::Mdat(_) if open => open = false,
                Any::Mdat(_) => return Err("an mdat without its moof".into()),
                _ => {}
            }
        }
        if open {
            return Err("a moof without its mdat".into());
        }
        span.ok_or_else(|| "no moof".to_owned())
    }

    fn chunk(&self, moof: &Moof) -> Result<Span, String> {
        let [traf] = moof.traf.as_slice() else {
            return Err(format!("{} tracks in one chunk", moof.traf.len()));
        };
        let start = traf.tfdt.as_ref().ok_or("a chunk has no tfdt")?;
        let start = start.base_media_decode_time;
        let usual = traf.tfhd.default_sample_duration;
        let usual = usual.unwrap_or(self.defaults.default_sample_duration);
        let flags = traf.tfhd.default_sample_flags;
        let flags = flags.unwrap_or(self.defaults.default_sample_flags);
        let mut end = start;
        let mut sync = None;
        for sample in traf.trun.iter().flat_map(|run| run.samples.iter()) {
            end = end.saturating_add(u64::from(sample.duration.unwrap_or(usual)));
            // ISO/IEC 14496-12, 8.8.3.1: sample_is_non_sync_sample.
            let is_sync = sample.flags.unwrap_or(flags) & 0x1_0000 == 0;
            sync = sync.or(Some(is_sync));
        }
        Ok(Span {
            start,
            end,
            sync: sync.ok_or("a chunk has no samples")?,
        })
    }

    /// Ticks in seconds.
    pub(super) fn seconds(&self, ticks: u64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a live stream stays below 2^53 ticks"
        )]
        let ticks = ticks as f64;
        ticks / f64::from(self.timescale)
    }

    /// `next` starts where `span` ends, within the rounding of an encoder that counts in whole
    /// milliseconds, as RTMP does: a server that waits for no frame cannot know better.
    pub(super) fn continues(&self, span: Span, next: Span) -> Result<String, String> {
        let apart = self.seconds(span.end.abs_diff(next.start));
        if apart <= 0.002 {
            return Ok("each part starts where the one before ends".into());
        }
        Err(format!(
            "a part ends at tick {}, the next starts at {}: {apart:.4} s apart",
            span.end, next.start
        ))
    }

    /// The part lasts what its playlist says, and opens with a sync sample when it says so.
    pub(super) fn matches(&self, span: Span, part: &Part) -> Result<String, String> {
        let lasts = self.seconds(span.end - span.start);
        if (lasts - part.duration).abs() > TOLERANCE_SECONDS {
            return Err(format!(
                "{} lasts {lasts:.4} s, its playlist says {} s",
                part.uri, part.duration
            ));
        }
        if part.independent && self.video && !span.sync {
            return Err(format!(
                "{} is INDEPENDENT but opens without a sync sample",
                part.uri
            ));
        }
        Ok("parts last what the playlist says".into())
    }
}

fn atoms(bytes: &Bytes) -> Result<Vec<Any>, String> {
    let mut cursor = Cursor::new(bytes.as_ref());
    let mut atoms = Vec::new();
    while let Some(atom) = Any::decode_maybe(&mut cursor).map_err(|e| format!("MP4: {e}"))? {
        atoms.push(atom);
    }
    let read = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    if read < bytes.len() {
        return Err(format!("{} bytes after the last box", bytes.len() - read));
    }
    Ok(atoms)
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Encode as _, Mdat, Mfhd, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples};

    use super::*;

    const INIT: Init = Init {
        timescale: 90_000,
        defaults: Trex {
            track_id: 1,
            default_sample_description_index: 1,
            default_sample_duration: 0,
            default_sample_size: 0,
            default_sample_flags: 0,
        },
        video: true,
    };

    /// A chunk of ten pictures at 30 a second; the first flags are the given ones.
    fn chunk(start: u64, first_flags: u32) -> Vec<u8> {
        let sample = |flags| TrunEntry {
            duration: Some(3000),
            size: Some(1),
            flags: Some(flags),
            cts: None,
        };
        let mut samples = vec![sample(first_flags)];
        samples.resize(10, sample(0x1_0000));
        let moof = Moof {
            mfhd: Mfhd { sequence_number: 1 },
            traf: vec![Traf {
                tfhd: Tfhd {
                    track_id: 1,
                    ..Tfhd::default()
                },
                tfdt: Some(Tfdt {
                    base_media_decode_time: start,
                }),
                trun: vec![Trun {
                    data_offset: Some(0),
                    samples: TrunSamples::Explicit(samples),
                }],
                ..Traf::default()
            }],
        };
        let mut bytes = Vec::new();
        moof.encode(&mut bytes).expect("a moof");
        Mdat { data: vec![0; 10] }
            .encode(&mut bytes)
            .expect("an mdat");
        bytes
    }

    fn part(duration: f64) -> Part {
        Part {
            uri: "7.0.m4s".into(),
            duration,
            independent: true,
            gap: false,
            range: None,
        }
    }

    #[test]
    fn spans_are_read_and_compared() {
        let span = INIT.span(&chunk(90_000, 0).into()).expect("a good part");
        assert_eq!((span.start, span.end, span.sync), (90_000, 120_000, true));
        assert!(INIT.matches(span, &part(0.33333)).is_ok());
        assert!(INIT.matches(span, &part(0.34)).is_err());
        let next = INIT
            .span(&chunk(120_000, 0x1_0000).into())
            .expect("a good part");
        assert!(INIT.continues(span, next).is_ok());
        assert!(INIT.continues(next, span).is_err());
        assert!(
            INIT.matches(next, &part(0.33333)).is_err(),
            "no sync sample"
        );
    }

    #[test]
    fn damaged_parts_are_named() {
        let whole = chunk(0, 0);
        let check = |bytes: Vec<u8>| INIT.span(&bytes.into());
        assert!(check(Vec::new()).is_err());
        assert!(check([whole.clone(), vec![0, 0, 0]].concat()).is_err());
        assert!(
            check(whole[..whole.len() - 18].to_vec()).is_err(),
            "no mdat"
        );
        assert!(
            check(whole[whole.len() - 18..].to_vec()).is_err(),
            "no moof"
        );
        assert!(check([whole.clone(), chunk(30_000, 0)].concat()).is_ok());
        assert!(check([whole, chunk(30_001, 0)].concat()).is_err(), "a hole");
        assert!(Init::parse(&Bytes::from_static(b"\0\0\0\x08moov")).is_err());
    }
}
