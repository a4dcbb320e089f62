//! Records as ffmpeg 5.1 with x264, x265, SVT-AV1, libaom and libopus writes them.

use bytes::{BufMut as _, BytesMut};
use proptest::prelude::*;

use super::*;

const AVC_1080: &str = "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c658010006\
                        68ebe3cb22c0fdf8f800";
const AVC_638: &str = "014d401fffe10019674d401feca05017f53602200000030020\
                       00000c91e30632c001000568ebe3cb20";
const HEVC_720: &str = "0101600000009000000000005df000fcfdf8f800000f04a0000100184001\
    0c01ffff016000000300900000030000 03005d959809a1000100 2b420101016000000300900000030000 0300\
    5da00280802d165959a4932bc05a020000030002000003003210 a2000100074401c172b46240";
const HEVC_1078: &str = "0102200000009000000000007bf000fcfdfafa00000f04a00001001840010c01\
    ffff022000000300900000030000 03007b959809a1000100 2d42010102200000 0300900000030000 0300\
    7ba003c08010e754d96566924caf016808000003000800 0003019040 a2000100074401c172b46240";
const AV1_1080: &str = "81090c000a0b0000004aabbfc3700be001";
const AV1_TEN_BIT: &str = "81014c000a0b0000000cc5036936be5010";
const OPUS: &str = "4f707573486561640101380180bb0000000000";

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn check_video(codec: VideoCodec, hex: &str, size: (u32, u32), rate_milli: u32, name: &str) {
    let config = VideoConfig::parse(codec, bytes(hex)).unwrap();
    assert_eq!((config.width, config.height), size, "{name}");
    assert_eq!(config.frame_rate_milli, rate_milli, "{name}");
    assert_eq!(config.name, name);
    assert_eq!(config.record, bytes(hex));
}

#[test]
fn video_records_tell_size_rate_and_name() {
    let (avc, hevc, av1) = (VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1);
    check_video(avc, AVC_1080, (1920, 1080), 29_970, "avc1.640028");
    check_video(avc, AVC_638, (638, 358), 50_000, "avc1.4d401f");
    check_video(hevc, HEVC_720, (1280, 720), 0, "hvc1.1.6.L93.90");
    check_video(hevc, HEVC_1078, (1918, 1078), 0, "hvc1.2.4.L123.90");
    check_video(av1, AV1_1080, (1920, 1080), 0, "av01.0.09M.08");
    check_video(av1, AV1_TEN_BIT, (642, 362), 0, "av01.0.01M.10");
}

#[test]
fn aac_records_tell_the_output_rate() {
    for (hex, rate, channels, samples, name) in [
        ("1190", 48_000, 2, 1024, "mp4a.40.2"),
        ("118856e500", 48_000, 1, 1024, "mp4a.40.2"),
        ("1210", 44_100, 2, 1024, "mp4a.40.2"),
        // 960 samples a frame.
        ("1194", 48_000, 2, 960, "mp4a.40.2"),
        // SBR, told first (explicit) and last (backward compatible).
        ("2b920800", 44_100, 2, 2048, "mp4a.40.5"),
        ("139056e5a0", 44_100, 2, 2048, "mp4a.40.5"),
        // Parametric stereo over a mono core.
        ("eb8a0800", 44_100, 2, 2048, "mp4a.40.29"),
        // A rate of its own: 24 bits.
        ("178018 6a10", 12_500, 2, 1024, "mp4a.40.2"),
    ] {
        let config = AudioConfig::parse(AudioCodec::Aac, bytes(hex)).unwrap();
        let found = (config.sample_rate, config.channels, config.frame_samples());
        assert_eq!(found, (rate, channels, Some(samples)), "{hex}");
        assert_eq!(config.name, name, "{hex}");
    }
}

#[test]
fn opus_head_is_taken_with_and_without_magic() {
    for record in [bytes(OPUS), bytes(OPUS).slice(8..)] {
        let config = AudioConfig::parse(AudioCodec::Opus, record).unwrap();
        assert_eq!((config.sample_rate, config.channels), (48_000, 1));
        assert_eq!(config.record, bytes(OPUS));
        assert_eq!(config.frame_samples(), None);
    }
}

#[test]
fn opus_packets_tell_their_length() {
    for (packet, samples) in [
        (&[0x00][..], Some(480)),
        (&[0x18], Some(2880)),
        (&[0x78], Some(960)),
        (&[0x80], Some(120)),
        (&[0xfc], Some(960)),
        (&[0xfd], Some(1920)),
        (&[0xff, 0x03], Some(2880)),
        (&[0xff, 0x3f], None),
        (&[0xff, 0x00], None),
        (&[0xff], None),
        (&[], None),
    ] {
        assert_eq!(opus::packet_samples(packet), samples, "{packet:02x?}");
    }
}

#[test]
fn damaged_records_say_what_is_wrong() {
    let check = |codec, hex: &str, text: &str| {
        let error = VideoConfig::parse(codec, bytes(hex)).unwrap_err();
        assert_eq!(error.to_string(), text);
    };
    let (avc, hevc, av1) = (VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1);
    check(avc, "0164", "the AVC record ends inside its head");
    check(avc, "02640028ffe1", "the AVC record has version 2");
    check(
        avc,
        "01640028ffe10019",
        "the AVC record ends inside its sequence parameter sets",
    );
    check(hevc, "01", "the HEVC record ends inside its head");
    check(av1, "01090c00", "the AV1 record has marker and version 1");
    check(
        av1,
        "81090c00",
        "the AV1 record ends inside its sequence header",
    );
    let error = AudioConfig::parse(AudioCodec::Aac, bytes("17")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the AAC record ends inside its sample rate"
    );
    let error = AudioConfig::parse(
        AudioCodec::Opus,
        bytes("4f7075734865616401ff380180bb0000000000"),
    );
    let text = "the Opus record has a number of channels of 255";
    assert_eq!(error.unwrap_err().to_string(), text);
    let huge = Bytes::from(vec![1; RECORD_BYTES_MAX + 1]);
    let error = VideoConfig::parse(avc, huge).unwrap_err();
    assert_eq!(
        error,
        ParseError::TooLarge {
            bytes: RECORD_BYTES_MAX + 1
        }
    );
}

/// An access unit of `units` with 4-byte lengths.
fn access_unit(units: &[&[u8]]) -> Bytes {
    let mut out = BytesMut::new();
    for unit in units {
        out.put_u32(u32::try_from(unit.len()).unwrap());
        out.put_slice(unit);
    }
    out.freeze()
}

#[test]
fn parameter_sets_inside_a_frame_renew_the_record() {
    let (wide, small) = (bytes(AVC_1080), bytes(AVC_638));
    let sets = |record: &Bytes, pps_length: usize| {
        let pps = 8 + 25 + 3;
        let pps = record.slice(pps..pps + pps_length);
        (record.slice(8..8 + 25), pps)
    };
    let (wide_sps, wide_pps) = sets(&wide, 6);
    let (small_sps, small_pps) = sets(&small, 5);
    let slice: &[u8] = &[0x65, 1, 2, 3];
    let same = access_unit(&[&wide_sps, &wide_pps, slice]);
    assert_eq!(avc::updated_record(&wide, &same), None);
    assert_eq!(avc::updated_record(&wide, &access_unit(&[slice])), None);
    let turned = access_unit(&[&[9, 0xf0], &small_sps, &small_pps, slice]);
    let record = avc::updated_record(&wide, &turned).unwrap();
    let config = VideoConfig::parse(VideoCodec::H264, record.clone()).unwrap();
    assert_eq!((config.width, config.height), (638, 358));
    assert_eq!(avc::updated_record(&record, &turned), None);
    let cut = turned.slice(..turned.len() - 2);
    assert!(
        avc::updated_record(&wide, &cut).is_some(),
        "the sets are whole"
    );
}

proptest! {
    #[test]
    fn no_record_panics(record in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_all(&record);
    }

    #[test]
    fn no_damaged_record_panics(
        which in 0..7_usize,
        at in 0..200_usize,
        byte: u8,
        cut in 0..200_usize,
    ) {
        let records = [AVC_1080, AVC_638, HEVC_720, HEVC_1078, AV1_1080, AV1_TEN_BIT, OPUS];
        let mut record = bytes(records[which]).to_vec();
        let length = record.len();
        record[at % length] = byte;
        record.truncate(cut.max(1));
        parse_all(&record);
    }
}

fn parse_all(record: &[u8]) {
    let record = Bytes::copy_from_slice(record);
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        if let Ok(config) = VideoConfig::parse(codec, record.clone()) {
            assert!(config.name.len() <= 64 && config.name.is_ascii());
        }
    }
    for codec in [AudioCodec::Aac, AudioCodec::Opus] {
        if let Ok(config) = AudioConfig::parse(codec, record.clone()) {
            assert!(config.name.len() <= 64 && config.channels > 0);
            assert_ne!(config.frame_samples(), Some(0));
        }
    }
    let _none_or_new = avc::updated_record(&bytes(AVC_1080), &record);
}
