//! AV1: the body of `av1C` (AV1 Codec ISO Media File Format Binding, 2.3) and its sequence header.

use bytes::Bytes;

use crate::media::codec::bits::Bits;
use crate::media::codec::{ParseError, VideoCodec, VideoConfig};

const RECORD: &str = "AV1";
/// `OBU_SEQUENCE_HEADER` (AV1, 6.2.2).
const SEQUENCE_HEADER: u32 = 1;

pub(super) fn parse(record: Bytes) -> Result<VideoConfig, ParseError> {
    let mut bits = Bits::plain(RECORD, &record);
    let marker_and_version = bits.read(8, "head")?;
    if marker_and_version != 0x81 {
        return Err(ParseError::Unsupported {
            record: RECORD,
            field: "marker and version",
            value: marker_and_version.into(),
        });
    }
    let profile = bits.read(3, "profile")?;
    let level = bits.read(5, "level")?;
    let tier = if bits.flag("tier")? { 'H' } else { 'M' };
    let high = bits.flag("bit depth")?;
    let twelve = bits.flag("bit depth")?;
    let depth = match (high, twelve) {
        (true, true) => 12,
        (true, false) => 10,
        _ => 8,
    };
    bits.skip(13, "head")?;
    let sequence = Sequence::read(&mut bits)?;
    Ok(VideoConfig {
        codec: VideoCodec::Av1,
        width: sequence.width,
        height: sequence.height,
        frame_rate_milli: sequence.frame_rate_milli,
        name: format!("av01.{profile}.{level:02}{tier}.{depth:02}"),
        record,
    })
}

struct Sequence {
    width: u32,
    height: u32,
    frame_rate_milli: u32,
}

impl Sequence {
    /// Reads `sequence_header_obu()` (AV1, 5.5.1) with its header up to the frame size.
    fn read(bits: &mut Bits<'_>) -> Result<Self, ParseError> {
        bits.skip(1, "sequence header")?;
        let kind = bits.read(4, "sequence header")?;
        if kind != SEQUENCE_HEADER {
            return Err(ParseError::Unsupported {
                record: RECORD,
                field: "a first unit of type",
                value: kind.into(),
            });
        }
        let extension = bits.flag("sequence header")?;
        let has_size = bits.flag("sequence header")?;
        bits.skip(if extension { 9 } else { 1 }, "sequence header")?;
        // leb128: seven bits a byte, the top bit says that more follow.
        while has_size && bits.read(8, "sequence header size")? & 0x80 != 0 {}
        bits.skip(3 + 1, "profile")?;
        let mut frame_rate_milli = 0;
        if bits.flag("reduced header")? {
            bits.skip(5, "level")?;
        } else {
            frame_rate_milli = timing_and_operating_points(bits)?;
        }
        let width_bits = bits.read(4, "frame size")? as usize + 1;
        let height_bits = bits.read(4, "frame size")? as usize + 1;
        Ok(Self {
            width: bits.read(width_bits, "frame width")? + 1,
            height: bits.read(height_bits, "frame height")? + 1,
            frame_rate_milli,
        })
    }
}

/// Returns the frame rate times 1000, 0 when the header does not fix one.
fn timing_and_operating_points(bits: &mut Bits<'_>) -> Result<u32, ParseError> {
    let mut frame_rate_milli = 0;
    let mut decoder_model_bits = None;
    if bits.flag("timing")? {
        let units = u64::from(bits.read(32, "timing")?);
        let scale = u64::from(bits.read(32, "timing")?);
        if bits.flag("timing")? {
            let ticks = u64::from(bits.golomb("timing")?) + 1;
            let frame = units.saturating_mul(ticks).max(1);
            frame_rate_milli = u32::try_from(scale * 1000 / frame).unwrap_or(0);
        }
        if bits.flag("decoder model")? {
            decoder_model_bits = Some(bits.read(5, "decoder model")? as usize + 1);
            bits.skip(32 + 5 + 5, "decoder model")?;
        }
    }
    let initial_delay = bits.flag("display delay")?;
    for _ in 0..=bits.read(5, "operating points")? {
        bits.skip(12, "operating point")?;
        // Levels above 3.3 come with a tier bit.
        if bits.read(5, "operating point level")? > 7 {
            bits.skip(1, "operating point tier")?;
        }
        if let Some(delay_bits) = decoder_model_bits
            && bits.flag("operating parameters")?
        {
            bits.skip(2 * delay_bits + 1, "operating parameters")?;
        }
        if initial_delay && bits.flag("display delay")? {
            bits.skip(4, "display delay")?;
        }
    }
    Ok(frame_rate_milli)
}
