//! Bits of a record, with errors that name the record and the field.

use std::borrow::Cow;

use crate::media::codec::ParseError;

/// Reads bits, most significant first.
pub(super) struct Bits<'a> {
    record: &'static str,
    bytes: Cow<'a, [u8]>,
    position: usize,
}

impl<'a> Bits<'a> {
    /// Reads `bytes` as they are.
    pub(super) fn plain(record: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            record,
            bytes: Cow::Borrowed(bytes),
            position: 0,
        }
    }

    /// Reads a NAL unit without the emulation prevention bytes (ISO/IEC 23008-2, 7.4.2).
    pub(super) fn nal(record: &'static str, nal: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(nal.len());
        let mut zeros = 0;
        for &byte in nal {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            bytes.push(byte);
        }
        Self {
            record,
            bytes: Cow::Owned(bytes),
            position: 0,
        }
    }

    /// Bits not yet read.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }

    /// One bit.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, ParseError> {
        Ok(self.read(1, field)? == 1)
    }

    /// An unsigned number of `count` bits, at most 32.
    pub(super) fn read(&mut self, count: usize, field: &'static str) -> Result<u32, ParseError> {
        let record = self.record;
        if count > self.left().min(32) {
            return Err(ParseError::Truncated { record, field });
        }
        let mut value = 0;
        for position in self.position..self.position + count {
            let bit = self.bytes[position / 8] >> (7 - position % 8) & 1;
            value = value << 1 | u32::from(bit);
        }
        self.position += count;
        Ok(value)
    }

    /// Passes over `count` bits.
    pub(super) fn skip(&mut self, count: usize, field: &'static str) -> Result<(), ParseError> {
        let record = self.record;
        if count > self.left() {
            return Err(ParseError::Truncated { record, field });
        }
        self.position += count;
        Ok(())
    }

    /// An unsigned Exp-Golomb number, `ue(v)` (also `uvlc()` of AV1).
    pub(super) fn golomb(&mut self, field: &'static str) -> Result<u32, ParseError> {
        let mut zeros = 0;
        while !self.flag(field)? {
            zeros += 1;
        }
        if zeros >= 32 {
            let (record, value) = (self.record, u64::from(u32::MAX));
            return Err(ParseError::Unsupported {
                record,
                field,
                value,
            });
        }
        Ok((1 << zeros) - 1 + self.read(zeros, field)?)
    }
}
