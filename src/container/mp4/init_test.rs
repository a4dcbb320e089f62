use std::io::Cursor;

use mp4_atom::{Any, DecodeMaybe};

use super::*;

/// Configuration records that ffmpeg 5.1 wrote (libx264, libx265, libaom, 320x180).
const AVCC: &str = "0164000dffe1001a6764000dacd941419f9f0110000003001000000303c0f1429960\
                    01000468ef8fcbfdf8f800";
const HVCC: &str = "0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff\
                    01600000030090000003000003003c959809a10001002b42010101600000030090000003\
                    000003003ca00a080b9f79656692\
                    4caf016808000003000800000300f040a2000100074401c172b46240";
const AV1C: &str = "81000c000a0b000000043cfeccdaf90040";

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn video(codec: VideoCodec, record: &str) -> Config {
    Config::Video(VideoConfig {
        codec,
        record: bytes(record),
        width: 320,
        height: 180,
        frame_rate_milli: 30_000,
        name: "a name".into(),
    })
}

fn audio(codec: AudioCodec, record: &[u8], sample_rate: u32) -> Config {
    Config::Audio(AudioConfig {
        codec,
        record: Bytes::copy_from_slice(record),
        sample_rate,
        channels: 2,
        name: "a name".into(),
    })
}

fn read(config: &Config, timescale: u32) -> (Ftyp, Moov) {
    let written = init(config, timescale).unwrap();
    let mut input = Cursor::new(&written[..]);
    let Some(Any::Ftyp(ftyp)) = Any::decode_maybe(&mut input).unwrap() else {
        panic!("ftyp comes first");
    };
    let Some(Any::Moov(moov)) = Any::decode_maybe(&mut input).unwrap() else {
        panic!("moov follows");
    };
    assert_eq!(input.position(), written.len() as u64);
    (ftyp, moov)
}

fn entry(moov: &Moov) -> &Codec {
    &moov.trak[0].mdia.minf.stbl.stsd.codecs[0]
}

/// The body of a box inside `bytes`.
fn body_of(bytes: &[u8], kind: &[u8; 4]) -> Vec<u8> {
    let at = bytes.windows(4).position(|four| four == kind).unwrap();
    let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap());
    bytes[at + 4..at - 4 + length as usize].to_vec()
}

#[test]
fn video_records_are_kept_byte_for_byte() {
    for (codec, record, kind) in [
        (VideoCodec::H264, AVCC, b"avcC"),
        (VideoCodec::H265, HVCC, b"hvcC"),
        (VideoCodec::Av1, AV1C, b"av1C"),
    ] {
        let config = video(codec, record);
        let written = init(&config, 90_000).unwrap();
        assert_eq!(body_of(&written, kind), bytes(record), "{codec:?}");
        let (_, moov) = read(&config, 90_000);
        let track = &moov.trak[0];
        assert_eq!(track.mdia.mdhd.timescale, 90_000);
        assert!(track.edts.is_none(), "no edit list");
        assert_eq!(moov.mvex.as_ref().unwrap().trex[0].track_id, TRACK_ID);
        match (codec, entry(&moov)) {
            (VideoCodec::H264, Codec::Avc1(found)) => assert_eq!(found.visual.width, 320),
            (VideoCodec::H265, Codec::Hvc1(found)) => assert_eq!(found.visual.height, 180),
            (VideoCodec::Av1, Codec::Av01(_)) => {}
            (codec, other) => panic!("{codec:?} became {other:?}"),
        }
    }
}

#[test]
fn brands_name_cmaf() {
    let (ftyp, _) = read(&video(VideoCodec::Av1, AV1C), 90_000);
    assert!(ftyp.compatible_brands.contains(&FourCC::new(b"cmfc")));
    assert!(ftyp.compatible_brands.contains(&FourCC::new(b"av01")));
}

#[test]
fn aac_config_is_in_the_descriptor() {
    let (_, moov) = read(&audio(AudioCodec::Aac, &[0x11, 0x90], 48_000), 48_000);
    let Codec::Mp4a(found) = entry(&moov) else {
        panic!("mp4a");
    };
    let config = found.esds.es_desc.dec_config.dec_specific.as_ref().unwrap();
    assert_eq!(config.raw, [0x11, 0x90]);
    assert_eq!(found.audio.channel_count, 2);
    assert_eq!(found.audio.sample_rate, 48_000.into());
}

#[test]
fn opus_head_turns_big_endian_with_or_without_its_magic() {
    let body = [1, 2, 0x38, 0x01, 0x80, 0xbb, 0, 0, 0, 0, 0];
    let with_magic = [b"OpusHead", &body[..]].concat();
    for record in [&body[..], &with_magic] {
        let (_, moov) = read(&audio(AudioCodec::Opus, record, 48_000), 48_000);
        let Codec::Opus(found) = entry(&moov) else {
            panic!("Opus");
        };
        assert_eq!(found.dops.pre_skip, 312);
        assert_eq!(found.dops.input_sample_rate, 48_000);
        assert_eq!(found.dops.output_channel_count, 2);
    }
}

#[test]
fn damaged_records_are_errors_with_their_size() {
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        for length in 0..4 {
            let config = video(codec, AVCC.get(..length * 2).unwrap());
            let fault = init(&config, 90_000).unwrap_err().to_string();
            assert!(fault.contains(&format!("{length} bytes")), "{fault}");
        }
    }
    let config = audio(AudioCodec::Opus, &[1, 2, 3], 48_000);
    assert!(matches!(init(&config, 48_000), Err(Error::Record { .. })));
}
