//! A cursor over bytes that somebody else sent: every read is checked.

use crate::coding::varint::unzigzag;

/// The bytes end before the value does, or a variable-length integer is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes end inside a value")]
pub struct Truncated;

/// Reads values from the front of a slice.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the first byte of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        let (first, rest) = self.rest.split_first().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Eight bytes, highest first.
    pub fn i64(&mut self) -> Result<i64, Truncated> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Truncated)?;
        self.rest = rest;
        Ok(i64::from_be_bytes(*head))
    }

    /// A variable-length integer ([`super::put_varint`]).
    pub fn varint(&mut self) -> Result<u64, Truncated> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Truncated);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Truncated)
    }

    /// A signed variable-length integer ([`super::put_signed`]).
    pub fn signed(&mut self) -> Result<i64, Truncated> {
        self.varint().map(unzigzag)
    }

    /// Bytes with their length in front ([`super::put_prefixed`]).
    pub fn prefixed(&mut self) -> Result<&'a [u8], Truncated> {
        let length = usize::try_from(self.varint()?).map_err(|_| Truncated)?;
        self.bytes(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coding::{put_prefixed, put_signed, put_varint};

    proptest! {
        #[test]
        fn values_come_back(unsigned: u64, signed: i64, text: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, unsigned);
            put_signed(&mut out, signed);
            put_prefixed(&mut out, &text);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.varint(), Ok(unsigned));
            prop_assert_eq!(cursor.signed(), Ok(signed));
            prop_assert_eq!(cursor.prefixed(), Ok(&text[..]));
            prop_assert!(cursor.rest().is_empty());
        }
    }

    #[test]
    fn short_or_endless_integers_are_errors() {
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(Truncated));
        assert_eq!(Cursor::new(&[0xff; 11]).varint(), Err(Truncated));
        let too_wide = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2];
        assert_eq!(Cursor::new(&too_wide).varint(), Err(Truncated));
        assert_eq!(Cursor::new(&[5, 1, 2]).prefixed(), Err(Truncated));
    }
}
