//! AAC: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).

use bytes::Bytes;

use crate::media::codec::bits::Bits;
use crate::media::codec::{AudioCodec, AudioConfig, ParseError};

const RECORD: &str = "AAC";
/// Audio object types of Table 1.17.
const SBR: u32 = 5;
const PARAMETRIC_STEREO: u32 = 29;
/// Opens the backward compatible signalling of SBR (1.6.2.1, `syncExtensionType`).
const SYNC_EXTENSION: u32 = 0x2b7;
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

pub(super) fn parse(record: Bytes) -> Result<AudioConfig, ParseError> {
    let specific = Specific::read(&record)?;
    Ok(AudioConfig {
        codec: AudioCodec::Aac,
        sample_rate: specific.output_rate,
        channels: specific.channels,
        name: format!("mp4a.40.{}", specific.object_type),
        record,
    })
}

/// Output samples in one frame of a record that [`parse`] has accepted.
pub(super) fn frame_samples(record: &[u8]) -> Option<u32> {
    let specific = Specific::read(record).ok()?;
    let samples = u64::from(specific.core_samples) * u64::from(specific.output_rate);
    u32::try_from(samples / u64::from(specific.core_rate)).ok()
}

struct Specific {
    /// The type a player has to know: the outermost extension.
    object_type: u32,
    core_rate: u32,
    output_rate: u32,
    channels: u8,
    /// Samples a frame at the core rate: 1024, or 960 in broadcast profiles.
    core_samples: u32,
}

impl Specific {
    fn read(record: &[u8]) -> Result<Self, ParseError> {
        let mut bits = Bits::plain(RECORD, record);
        let mut object_type = read_object_type(&mut bits)?;
        let core_rate = read_rate(&mut bits)?;
        let channel_code = bits.read(4, "channels")?;
        let mut output_rate = core_rate;
        let mut core_type = object_type;
        if object_type == SBR || object_type == PARAMETRIC_STEREO {
            output_rate = read_rate(&mut bits)?;
            core_type = read_object_type(&mut bits)?;
        }
        let short_frames = bits.flag("frame length").unwrap_or(false);
        if let Some(rate) = compatible_sbr(&mut bits, core_type) {
            object_type = SBR;
            output_rate = rate;
        }
        let channels = match channel_code {
            1 if object_type == PARAMETRIC_STEREO => 2,
            code @ 1..=6 => u8::try_from(code).expect("at most 6"),
            7 => 8,
            11 => 7,
            12 | 14 => 8,
            // 0: a program config element says it, which only players need; two is what hosts send.
            _ => 2,
        };
        Ok(Self {
            object_type,
            core_rate,
            output_rate,
            channels,
            core_samples: if short_frames { 960 } else { 1024 },
        })
    }
}

/// The output rate when an SBR extension follows the plain configuration of AAC-LC.
fn compatible_sbr(bits: &mut Bits<'_>, core_type: u32) -> Option<u32> {
    if core_type == SBR {
        return None;
    }
    // dependsOnCoreCoder and extensionFlag: both 0 in what may precede the extension.
    bits.skip(2, "specific configuration").ok()?;
    if bits.left() < 16 || bits.read(11, "extension").ok()? != SYNC_EXTENSION {
        return None;
    }
    let is_sbr = read_object_type(bits).ok()? == SBR && bits.flag("extension").ok()?;
    if is_sbr { read_rate(bits).ok() } else { None }
}

fn read_object_type(bits: &mut Bits<'_>) -> Result<u32, ParseError> {
    Ok(match bits.read(5, "object type")? {
        31 => 32 + bits.read(6, "object type")?,
        object_type => object_type,
    })
}

fn read_rate(bits: &mut Bits<'_>) -> Result<u32, ParseError> {
    let index = bits.read(4, "sample rate")?;
    let rate = match index {
        15 => bits.read(24, "sample rate")?,
        _ => SAMPLE_RATES.get(index as usize).copied().unwrap_or(0),
    };
    if !(7_000..=192_000).contains(&rate) {
        return Err(ParseError::Unsupported {
            record: RECORD,
            field: "a sample rate of",
            value: rate.into(),
        });
    }
    Ok(rate)
}
