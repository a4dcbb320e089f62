//! The initialization segment: `ftyp` and `moov`.

use bytes::{Buf, Bytes};
use mp4_atom::{
    Atom, Audio, Av01, Av1c, Avc1, Avcc, Codec, Dinf, Dops, Dref, DrefEntry, Encode, Esds, FourCC,
    Ftyp, Hdlr, Hvc1, Hvcc, Mdhd, Mdia, Minf, Moov, Mp4a, Mvex, Mvhd, Opus, Smhd, Stbl, Stco, Stsd,
    Tkhd, Trak, Trex, Url, Visual, Vmhd, esds,
};

use super::{Error, TRACK_ID};
use crate::media::codec::{AudioCodec, AudioConfig, Config, VideoCodec, VideoConfig};

/// Writes the initialization segment of a track of `timescale` ticks per second.
///
/// There is no edit list: all tracks of a broadcast count from one origin and no picture is shown
/// before it (decode times are never negative, nor are presentation times), so presentation time is
/// decode time plus composition offset in each track, and sound and picture stay together without
/// a shift. An edit list on the video alone would move it against the audio in the players that
/// obey it, and not in the others.
///
/// Errors: [`Error::Record`] when the configuration record is damaged.
/// Source: ISO/IEC 14496-12 8.2 and 8.8; CMAF 7.3.
pub fn init(config: &Config, timescale: u32) -> Result<Bytes, Error> {
    let record_error = |reason| {
        let (name, bytes) = match config {
            Config::Video(video) => (video.name.clone(), video.record.len()),
            Config::Audio(audio) => (audio.name.clone(), audio.record.len()),
        };
        Error::Record {
            name,
            bytes,
            reason,
        }
    };
    let entry = match config {
        Config::Video(video) => video_entry(video),
        Config::Audio(audio) => audio_entry(audio),
    }
    .map_err(record_error)?;
    let write_error = |reason| Error::Write {
        name: config.name().to_owned(),
        reason,
    };
    let mut out = Vec::with_capacity(1024);
    file_type(config).encode(&mut out).map_err(write_error)?;
    movie(config, timescale, entry)
        .encode(&mut out)
        .map_err(write_error)?;
    Ok(out.into())
}

fn file_type(config: &Config) -> Ftyp {
    let mut compatible_brands: Vec<FourCC> = [b"iso6", b"cmfc", b"mp41"].map(FourCC::new).into();
    if let Config::Video(VideoConfig {
        codec: VideoCodec::Av1,
        ..
    }) = config
    {
        compatible_brands.push(FourCC::new(b"av01"));
    }
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands,
    }
}

fn movie(config: &Config, timescale: u32, entry: Codec) -> Moov {
    Moov {
        mvhd: Mvhd {
            timescale,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: TRACK_ID + 1,
            ..Mvhd::default()
        },
        trak: vec![track(config, timescale, entry)],
        mvex: Some(Mvex {
            mehd: None,
            trex: vec![Trex {
                track_id: TRACK_ID,
                default_sample_description_index: 1,
                ..Trex::default()
            }],
        }),
        ..Moov::default()
    }
}

fn track(config: &Config, timescale: u32, entry: Codec) -> Trak {
    let (handler, name) = match config {
        Config::Video(_) => (b"vide", "video"),
        Config::Audio(_) => (b"soun", "audio"),
    };
    let mut header = Tkhd {
        track_id: TRACK_ID,
        enabled: true,
        in_movie: true,
        ..Tkhd::default()
    };
    let mut media = Minf {
        dinf: Dinf {
            dref: Dref {
                entries: vec![DrefEntry::Url(Url::default())],
            },
        },
        stbl: Stbl {
            stsd: Stsd {
                codecs: vec![entry],
            },
            stco: Some(Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    };
    match config {
        Config::Video(video) => {
            header.width = pixels(video.width).into();
            header.height = pixels(video.height).into();
            media.vmhd = Some(Vmhd::default());
        }
        Config::Audio(_) => {
            header.volume = 1.into();
            media.smhd = Some(Smhd::default());
        }
    }
    Trak {
        tkhd: header,
        mdia: Mdia {
            mdhd: Mdhd {
                timescale,
                language: "und".into(),
                ..Mdhd::default()
            },
            hdlr: Hdlr {
                handler: FourCC::new(handler),
                name: name.into(),
            },
            minf: media,
        },
        ..Trak::default()
    }
}

fn video_entry(video: &VideoConfig) -> Result<Codec, mp4_atom::Error> {
    let visual = Visual {
        data_reference_index: 1,
        width: pixels(video.width),
        height: pixels(video.height),
        ..Visual::default()
    };
    let mut record = &video.record[..];
    Ok(match video.codec {
        VideoCodec::H264 => Codec::Avc1(Avc1 {
            visual,
            avcc: Avcc::decode_body(&mut record)?,
            ..Avc1::default()
        }),
        VideoCodec::H265 => Codec::Hvc1(Hvc1 {
            visual,
            hvcc: Hvcc::decode_body(&mut record)?,
            ..Hvc1::default()
        }),
        VideoCodec::Av1 => Codec::Av01(Av01 {
            visual,
            av1c: Av1c::decode_body(&mut record)?,
            ..Av01::default()
        }),
    })
}

fn audio_entry(audio: &AudioConfig) -> Result<Codec, mp4_atom::Error> {
    let sound = Audio {
        data_reference_index: 1,
        channel_count: audio.channels.into(),
        sample_size: 16,
        // A 16.16 number: rates above 65535 Hz are told by the codec's own record.
        sample_rate: u16::try_from(audio.sample_rate).unwrap_or(0).into(),
    };
    Ok(match audio.codec {
        AudioCodec::Aac => Codec::Mp4a(Mp4a {
            audio: sound,
            esds: aac_descriptor(&audio.record),
            btrt: None,
            taic: None,
        }),
        AudioCodec::Opus => Codec::Opus(Opus {
            audio: sound,
            dops: opus_box(&audio.record)?,
            btrt: None,
        }),
    })
}

/// Source: ISO/IEC 14496-14 5.6 and 14496-1 7.2.6.
fn aac_descriptor(record: &[u8]) -> Esds {
    const MPEG4_AUDIO: u8 = 0x40;
    const AUDIO_STREAM: u8 = 5;
    Esds {
        es_desc: esds::EsDescriptor {
            es_id: 1,
            dec_config: esds::DecoderConfig {
                object_type_indication: MPEG4_AUDIO,
                stream_type: AUDIO_STREAM,
                dec_specific: Some(esds::DecoderSpecific {
                    raw: record.to_vec(),
                    ..esds::DecoderSpecific::default()
                }),
                ..esds::DecoderConfig::default()
            },
            ..esds::EsDescriptor::default()
        },
    }
}

/// OpusHead (little-endian, version 1, the magic may stand in front) to `dOps` (big-endian, version
/// 0).
///
/// Source: RFC 7845 section 5.1; "Encapsulation of Opus in ISOBMFF" 4.3.2.
fn opus_box(record: &[u8]) -> Result<Dops, mp4_atom::Error> {
    let head = record.strip_prefix(b"OpusHead").unwrap_or(record);
    let Some((mut fixed, table)) = head.split_at_checked(11) else {
        return Err(mp4_atom::Error::ShortRead);
    };
    let mut body = Vec::with_capacity(head.len());
    let _version = fixed.get_u8();
    body.extend([0, fixed.get_u8()]);
    body.extend(fixed.get_u16_le().to_be_bytes());
    body.extend(fixed.get_u32_le().to_be_bytes());
    body.extend(fixed.get_u16_le().to_be_bytes());
    body.push(fixed.get_u8());
    body.extend(table);
    Dops::decode_body(&mut &body[..])
}

/// Picture sizes are 16 bits in MP4; larger pictures do not exist.
fn pixels(size: u32) -> u16 {
    u16::try_from(size).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[path = "init_test.rs"]
mod tests;
