//! Opus: the identification header (RFC 7845, 5.1) and the length of a packet (RFC 6716, 3.1).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::media::codec::{AudioCodec, AudioConfig, ParseError};

/// Opus always decodes at this rate, in samples per second.
pub const SAMPLE_RATE: u32 = 48_000;

const MAGIC: &[u8] = b"OpusHead";
/// 120 ms, the longest packet.
const PACKET_SAMPLES_MAX: u32 = SAMPLE_RATE * 120 / 1000;

/// Accepts the header with its magic or, as some senders do, without; keeps it with.
pub(super) fn parse(record: Bytes) -> Result<AudioConfig, ParseError> {
    let record = if record.starts_with(MAGIC) {
        record
    } else {
        let mut whole = BytesMut::with_capacity(MAGIC.len() + record.len());
        whole.put_slice(MAGIC);
        whole.put_slice(&record);
        whole.freeze()
    };
    let [version, channels, ..] = record[MAGIC.len()..] else {
        return Err(ParseError::Truncated {
            record: "Opus",
            field: "head",
        });
    };
    if record.len() < MAGIC.len() + 11 {
        return Err(ParseError::Truncated {
            record: "Opus",
            field: "head",
        });
    }
    // Versions 0 to 15 are compatible (RFC 7845, 5.1).
    for (field, value, allowed) in [
        ("version", version, 0..=15),
        ("a number of channels of", channels, 1..=8),
    ] {
        if !allowed.contains(&value) {
            return Err(ParseError::Unsupported {
                record: "Opus",
                field,
                value: value.into(),
            });
        }
    }
    Ok(AudioConfig {
        codec: AudioCodec::Opus,
        record,
        sample_rate: SAMPLE_RATE,
        channels,
        name: "opus".into(),
    })
}

/// Samples at 48 kHz in a packet; `None` for a packet that is none.
#[must_use]
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = u32::from(toc >> 3);
    let frame = match config {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1920, 2880][config as usize % 4],
        // Hybrid: 10, 20 ms.
        12..=15 => [480, 960][config as usize % 2],
        // CELT: 2.5, 5, 10, 20 ms.
        _ => [120, 240, 480, 960][config as usize % 4],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame * count).filter(|samples| (1..=PACKET_SAMPLES_MAX).contains(samples))
}
