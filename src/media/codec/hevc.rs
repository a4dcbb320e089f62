//! HEVC: HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.2.1) and the head of its SPS.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::media::codec::bits::Bits;
use crate::media::codec::{ParseError, VideoCodec, VideoConfig};

const RECORD: &str = "HEVC";
/// NAL unit type of a sequence parameter set (ISO/IEC 23008-2, Table 7-1).
const SPS: u8 = 33;

pub(super) fn parse(record: Bytes) -> Result<VideoConfig, ParseError> {
    let head = record.get(..23).ok_or(ParseError::Truncated {
        record: RECORD,
        field: "head",
    })?;
    if head[0] != 1 {
        return Err(ParseError::Unsupported {
            record: RECORD,
            field: "version",
            value: head[0].into(),
        });
    }
    let name = codec_name(head);
    // In frames per 256 seconds; most encoders leave it 0.
    let average = u32::from(u16::from_be_bytes([head[19], head[20]]));
    let (width, height) = dimensions(find_sps(&record)?)?;
    Ok(VideoConfig {
        codec: VideoCodec::H265,
        width,
        height,
        frame_rate_milli: average * 1000 / 256,
        name,
        record,
    })
}

/// The name of ISO/IEC 14496-15, Annex E.3: profile space and number, compatibility flags in
/// reverse bit order, tier and level, constraint bytes without trailing zeros.
fn codec_name(head: &[u8]) -> String {
    let space = ["", "A", "B", "C"][usize::from(head[1] >> 6)];
    let profile = head[1] & 0x1f;
    let flags = u32::from_be_bytes([head[2], head[3], head[4], head[5]]).reverse_bits();
    let tier = if head[1] & 0x20 == 0 { 'L' } else { 'H' };
    let level = head[12];
    let mut name = format!("hvc1.{space}{profile}.{flags:X}.{tier}{level}");
    let constraints = &head[6..12];
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        write!(name, ".{byte:X}").expect("writing into a String cannot fail");
    }
    name
}

/// The first sequence parameter set among the record's arrays.
fn find_sps(record: &[u8]) -> Result<&[u8], ParseError> {
    let truncated = ParseError::Truncated {
        record: RECORD,
        field: "parameter sets",
    };
    let mut rest = &record[23..];
    for _ in 0..record[22] {
        let [kind, high, low, tail @ ..] = rest else {
            return Err(truncated);
        };
        rest = tail;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            let [high, low, tail @ ..] = rest else {
                return Err(truncated);
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((nal, tail)) = tail.split_at_checked(length) else {
                return Err(truncated);
            };
            if kind & 0x3f == SPS {
                return Ok(nal);
            }
            rest = tail;
        }
    }
    Err(ParseError::Unsupported {
        record: RECORD,
        field: "a number of sequence parameter sets of",
        value: 0,
    })
}

/// Width and height after the conformance window (ISO/IEC 23008-2, 7.3.2.2.1).
fn dimensions(sps: &[u8]) -> Result<(u32, u32), ParseError> {
    let mut bits = Bits::nal(RECORD, sps);
    bits.skip(16 + 4, "NAL unit header")?;
    let sub_layers = bits.read(3, "sub-layer count")?;
    bits.skip(1, "nesting flag")?;
    skip_profile_tier_level(&mut bits, sub_layers)?;
    bits.golomb("sequence parameter set number")?;
    let chroma = bits.golomb("chroma format")?;
    if chroma == 3 {
        bits.skip(1, "colour planes")?;
    }
    let width = bits.golomb("width")?;
    let height = bits.golomb("height")?;
    let mut window = [0; 4];
    if bits.flag("conformance window")? {
        for offset in &mut window {
            *offset = bits.golomb("conformance window")?;
        }
    }
    let [left, right, top, bottom] = window.map(u64::from);
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let crop = |size: u32, offsets: u64| {
        u64::from(size)
            .checked_sub(offsets)
            .and_then(|size| u32::try_from(size).ok())
            .filter(|size| (1..=16_384).contains(size))
            .ok_or_else(|| ParseError::Unsupported {
                record: RECORD,
                field: "a picture size of",
                value: size.into(),
            })
    };
    Ok((
        crop(width, unit_x * (left + right))?,
        crop(height, unit_y * (top + bottom))?,
    ))
}

/// `profile_tier_level( 1, sub_layers )` of 7.3.3.
fn skip_profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), ParseError> {
    bits.skip(88 + 8, "profile, tier and level")?;
    let mut sub_layer_bits = 0;
    for _ in 0..sub_layers {
        sub_layer_bits += if bits.flag("sub-layer profile")? {
            88
        } else {
            0
        };
        sub_layer_bits += if bits.flag("sub-layer level")? { 8 } else { 0 };
    }
    if sub_layers > 0 {
        sub_layer_bits += 2 * (8 - sub_layers as usize);
    }
    bits.skip(sub_layer_bits, "sub-layers")
}
