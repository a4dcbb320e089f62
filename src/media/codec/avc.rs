//! AVC: AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) and the parameter sets that some
//! encoders repeat inside access units.

use bytes::{BufMut, Bytes, BytesMut};
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal as _, RefNal};

use crate::media::codec::{ParseError, VideoCodec, VideoConfig};

const RECORD: &str = "AVC";
/// NAL unit types of Table 7-1.
const SPS: u8 = 7;
const PPS: u8 = 8;
/// The most parameter sets of one kind that a record can count.
const SETS_MAX: usize = 31;

/// The parts of a record that matter here, sharing its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    length_bytes: usize,
    sequence_sets: Vec<Bytes>,
    picture_sets: Vec<Bytes>,
}

pub(super) fn parse(record: Bytes) -> Result<VideoConfig, ParseError> {
    let parts = Record::read(&record)?;
    let sps = parts.sequence_sets.first().ok_or(ParseError::Unsupported {
        record: RECORD,
        field: "a number of sequence parameter sets of",
        value: 0,
    })?;
    let parsed = SeqParameterSet::from_bits(RefNal::new(sps, &[], true).rbsp_bits())
        .map_err(|error| ParseError::Sequence(format!("{error:?}")))?;
    let (width, height) = parsed
        .pixel_dimensions()
        .map_err(|error| ParseError::Sequence(format!("{error:?}")))?;
    let timing = parsed
        .vui_parameters
        .as_ref()
        .and_then(|vui| vui.timing_info.as_ref());
    // A tick is a field, so a frame lasts two (ISO/IEC 14496-10, E.2.1).
    let frame_rate_milli = timing
        .filter(|timing| timing.num_units_in_tick > 0)
        .map_or(0, |timing| {
            u64::from(timing.time_scale) * 500 / u64::from(timing.num_units_in_tick)
        });
    Ok(VideoConfig {
        codec: VideoCodec::H264,
        width,
        height,
        frame_rate_milli: u32::try_from(frame_rate_milli).unwrap_or(0),
        name: format!("avc1.{:02x}{:02x}{:02x}", sps[1], sps[2], sps[3]),
        record,
    })
}

/// The record that is in force after an access unit with parameter sets of its own, or `None` when
/// the unit brings none or only those that `record` holds.
///
/// A host that turns the phone, or an encoder that never sends a second sequence header, says so
/// only here. Costs one walk over the NAL unit headers; call it for key frames.
#[must_use]
pub fn updated_record(record: &Bytes, access_unit: &Bytes) -> Option<Bytes> {
    let known = Record::read(record).ok()?;
    let mut sequence_sets = Vec::new();
    let mut picture_sets = Vec::new();
    for nal in nal_units(access_unit, known.length_bytes) {
        match nal.first()? & 0x1f {
            SPS if nal.len() >= 4 && sequence_sets.len() < SETS_MAX => sequence_sets.push(nal),
            PPS if picture_sets.len() < SETS_MAX => picture_sets.push(nal),
            _ => {}
        }
    }
    let all_known = sequence_sets
        .iter()
        .all(|set| known.sequence_sets.contains(set))
        && picture_sets
            .iter()
            .all(|set| known.picture_sets.contains(set));
    if all_known {
        return None;
    }
    let choose = |new: Vec<Bytes>, old: Vec<Bytes>| if new.is_empty() { old } else { new };
    Record {
        length_bytes: known.length_bytes,
        sequence_sets: choose(sequence_sets, known.sequence_sets),
        picture_sets: choose(picture_sets, known.picture_sets),
    }
    .write()
}

/// The NAL units of an access unit as MP4 stores it; a broken length ends the walk.
fn nal_units(access_unit: &Bytes, length_bytes: usize) -> impl Iterator<Item = Bytes> {
    let mut rest = access_unit.clone();
    std::iter::from_fn(move || {
        if rest.len() < length_bytes {
            return None;
        }
        let length = rest
            .split_to(length_bytes)
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        (length <= rest.len()).then(|| rest.split_to(length))
    })
}

impl Record {
    fn read(record: &Bytes) -> Result<Self, ParseError> {
        let truncated = |field| {
            move || ParseError::Truncated {
                record: RECORD,
                field,
            }
        };
        let head = record.get(..6).ok_or_else(truncated("head"))?;
        if head[0] != 1 {
            return Err(ParseError::Unsupported {
                record: RECORD,
                field: "version",
                value: head[0].into(),
            });
        }
        let length_bytes = usize::from(head[4] & 3) + 1;
        let mut rest = record.slice(6..);
        let sequence_sets = read_sets(&mut rest, head[5] & 0x1f)
            .filter(|sets| sets.iter().all(|set| set.len() >= 4))
            .ok_or_else(truncated("sequence parameter sets"))?;
        let count = *rest
            .first()
            .ok_or_else(truncated("picture parameter sets"))?;
        rest = rest.slice(1..);
        let picture_sets =
            read_sets(&mut rest, count).ok_or_else(truncated("picture parameter sets"))?;
        Ok(Self {
            length_bytes,
            sequence_sets,
            picture_sets,
        })
    }

    /// `None` when a set is too long for its 16-bit length. The optional fields after the sets are
    /// left out: no decoder of ours reads them, all repeat what the sequence set says.
    fn write(&self) -> Option<Bytes> {
        let sps = self.sequence_sets.first()?;
        let mut out = BytesMut::new();
        out.put_slice(&[1, sps[1], sps[2], sps[3]]);
        out.put_u8(0xfc | u8::try_from(self.length_bytes - 1).ok()?);
        out.put_u8(0xe0 | u8::try_from(self.sequence_sets.len()).ok()?);
        for set in &self.sequence_sets {
            out.put_u16(u16::try_from(set.len()).ok()?);
            out.put_slice(set);
        }
        out.put_u8(u8::try_from(self.picture_sets.len()).ok()?);
        for set in &self.picture_sets {
            out.put_u16(u16::try_from(set.len()).ok()?);
            out.put_slice(set);
        }
        Some(out.freeze())
    }
}

/// `count` sets with 16-bit lengths; `None` when the bytes end early.
fn read_sets(rest: &mut Bytes, count: u8) -> Option<Vec<Bytes>> {
    (0..count)
        .map(|_| {
            let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
            if rest.len() < 2 + length {
                return None;
            }
            let set = rest.slice(2..2 + length);
            *rest = rest.slice(2 + length..);
            Some(set)
        })
        .collect()
}
