//! The boxes of one fragment, up to the first media byte.

use bytes::{BufMut, Bytes, BytesMut};

use super::TRACK_ID;

/// One frame in a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Decode time to the next sample, in ticks.
    pub duration: u32,
    /// Payload bytes.
    pub size: u32,
    /// Decodable without earlier samples.
    pub key: bool,
    /// Presentation time minus decode time, in ticks.
    pub composition: i32,
}

/// What a fragment is, but for its payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// `mfhd` sequence number; grows from fragment to fragment.
    pub sequence: u32,
    /// Decode time of the first sample, in ticks.
    pub dts: u64,
    /// Put `styp` in front: the fragment starts a segment.
    pub starts_segment: bool,
    /// Put `prft` in front: when the first sample was captured.
    pub reference: Option<Reference>,
    /// The samples in decode order.
    pub samples: &'a [Sample],
}

/// A point of media time on the wall clock (`prft`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Microseconds since 1970, by the capture clock.
    pub wall_us: i64,
    /// The presentation time captured then, in ticks.
    pub pts: u64,
}

/// `styp` of a CMAF segment: brands `msdh` (DASH media segment) and `cmfs`.
const SEGMENT_TYPE: &[u8; 24] = b"\0\0\0\x18stypmsdh\0\0\0\0msdhcmfs";
const PRFT_BYTES: usize = 32;
const MFHD_BYTES: usize = 16;
const TFHD_BYTES: usize = 24;
const TFDT_BYTES: usize = 20;
const TRUN_FIXED_BYTES: usize = 20;
const BOX_HEADER_BYTES: usize = 8;

/// `prft` flags of a capture time: a small and constant offset from the real event (8.16.5).
const CAPTURED: u32 = 24;
/// `tfhd`: default-base-is-moof, and a default duration and flags for all samples.
const TFHD_FLAGS: u32 = 0x02_0000 | 0x08 | 0x20;
/// `trun`: data offset and a size per sample, always.
const TRUN_FLAGS: u32 = 0x01 | 0x200;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SAMPLE_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;
/// Version 1: composition offsets are signed.
const TRUN_VERSION: u32 = 1 << 24;
/// sample_depends_on = 2: others not needed.
const FLAGS_KEY: u32 = 0x0200_0000;
/// sample_depends_on = 1, sample_is_non_sync_sample.
const FLAGS_INTER: u32 = 0x0101_0000;

/// Seconds from 1900 (NTP) to 1970.
const NTP_EPOCH_SECONDS: u64 = 2_208_988_800;

impl Fragment<'_> {
    /// Writes everything up to and with the header of `mdat`: `[styp] [prft] moof mdat-header`.
    /// The payloads of the samples follow in order.
    ///
    /// Durations and flags that all samples share stand once in `tfhd`; a column of `trun` is there
    /// only when its values differ (composition: when one is not zero).
    /// The payloads together must be below 4 GiB.
    #[must_use]
    pub fn header(&self) -> Bytes {
        let columns = Columns::of(self.samples);
        let trun_bytes = TRUN_FIXED_BYTES + self.samples.len() * columns.bytes_per_sample();
        let traf_bytes = BOX_HEADER_BYTES + TFHD_BYTES + TFDT_BYTES + trun_bytes;
        let moof_bytes = BOX_HEADER_BYTES + MFHD_BYTES + traf_bytes;
        let payload_bytes: usize = self.samples.iter().map(|s| s.size as usize).sum();

        let mut out = BytesMut::with_capacity(
            SEGMENT_TYPE.len() + PRFT_BYTES + moof_bytes + BOX_HEADER_BYTES,
        );
        if self.starts_segment {
            out.put_slice(SEGMENT_TYPE);
        }
        if let Some(reference) = self.reference {
            put_prft(&mut out, reference);
        }
        put_box(&mut out, moof_bytes, b"moof");
        put_box(&mut out, MFHD_BYTES, b"mfhd");
        out.put_u32(0);
        out.put_u32(self.sequence);
        put_box(&mut out, traf_bytes, b"traf");
        self.put_tfhd(&mut out);
        put_box(&mut out, TFDT_BYTES, b"tfdt");
        out.put_u32(1 << 24); // version 1: 64-bit time
        out.put_u64(self.dts);
        put_box(&mut out, trun_bytes, b"trun");
        self.put_trun(&mut out, &columns, moof_bytes + BOX_HEADER_BYTES);
        put_box(&mut out, BOX_HEADER_BYTES + payload_bytes, b"mdat");
        out.freeze()
    }

    fn put_tfhd(&self, out: &mut BytesMut) {
        let first = self.samples.first();
        put_box(out, TFHD_BYTES, b"tfhd");
        out.put_u32(TFHD_FLAGS);
        out.put_u32(TRACK_ID);
        out.put_u32(first.map_or(0, |sample| sample.duration));
        out.put_u32(first.map_or(FLAGS_KEY, sample_flags));
    }

    fn put_trun(&self, out: &mut BytesMut, columns: &Columns, data_offset: usize) {
        out.put_u32(TRUN_VERSION | columns.flags());
        out.put_u32(bytes_u32(self.samples.len()));
        out.put_u32(bytes_u32(data_offset));
        for sample in self.samples {
            if columns.duration {
                out.put_u32(sample.duration);
            }
            out.put_u32(sample.size);
            if columns.flags {
                out.put_u32(sample_flags(sample));
            }
            if columns.composition {
                out.put_i32(sample.composition);
            }
        }
    }
}

/// Which columns `trun` needs.
struct Columns {
    duration: bool,
    flags: bool,
    composition: bool,
}

impl Columns {
    fn of(samples: &[Sample]) -> Self {
        let differs = |same: fn(&Sample, &Sample) -> bool| {
            let first = samples.first();
            first.is_some_and(|first| samples.iter().any(|sample| !same(first, sample)))
        };
        Self {
            duration: differs(|a, b| a.duration == b.duration),
            flags: differs(|a, b| a.key == b.key),
            composition: samples.iter().any(|sample| sample.composition != 0),
        }
    }

    fn bytes_per_sample(&self) -> usize {
        let columns = [true, self.duration, self.flags, self.composition];
        columns.into_iter().filter(|&present| present).count() * 4
    }

    fn flags(&self) -> u32 {
        let mut flags = TRUN_FLAGS;
        if self.duration {
            flags |= TRUN_DURATION;
        }
        if self.flags {
            flags |= TRUN_SAMPLE_FLAGS;
        }
        if self.composition {
            flags |= TRUN_COMPOSITION;
        }
        flags
    }
}

fn sample_flags(sample: &Sample) -> u32 {
    if sample.key { FLAGS_KEY } else { FLAGS_INTER }
}

/// Source: ISO/IEC 14496-12 8.16.5; the time is NTP's 32.32 fixed point (RFC 5905).
fn put_prft(out: &mut BytesMut, reference: Reference) {
    let wall_us = u64::try_from(reference.wall_us).unwrap_or(0);
    let seconds = wall_us / 1_000_000 + NTP_EPOCH_SECONDS;
    let fraction = ((wall_us % 1_000_000) << 32) / 1_000_000;
    put_box(out, PRFT_BYTES, b"prft");
    out.put_u32(1 << 24 | CAPTURED); // version 1: 64-bit media time
    out.put_u32(TRACK_ID);
    // NTP eras wrap in 2036; readers take the era that is near.
    out.put_u64(seconds << 32 | fraction);
    out.put_u64(reference.pts);
}

fn put_box(out: &mut BytesMut, bytes: usize, kind: &[u8; 4]) {
    out.put_u32(bytes_u32(bytes));
    out.put_slice(kind);
}

fn bytes_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a fragment is below 4 GiB")
}

#[cfg(test)]
#[path = "fragment_test.rs"]
mod tests;
