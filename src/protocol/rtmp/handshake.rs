//! The handshake (5.2), the server's side of the plain form.
//!
//! Encoders that offer the digest form (ffmpeg does) fall back to the plain one when S1 names
//! version 0, so C1 and C2 need no check.

use bytes::{Buf, BufMut, BytesMut};

/// C1, C2, S1 and S2.
pub(super) const PACKET_BYTES: usize = 1536;
/// C0 and S0: the version of plain RTMP.
pub(super) const VERSION: u8 = 3;

/// Where a handshake is.
#[derive(Debug, Default)]
pub(super) enum Handshake {
    #[default]
    AwaitC0,
    AwaitC1,
    AwaitC2,
    Done,
}

impl Handshake {
    /// Takes what it can from `input` and appends answers to `out`. Errors: the version, if it is
    /// none of RTMP.
    pub(super) fn read(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<(), u8> {
        loop {
            match self {
                Self::AwaitC0 if !input.is_empty() => {
                    let version = input.get_u8();
                    if version != VERSION {
                        return Err(version);
                    }
                    *self = Self::AwaitC1;
                }
                Self::AwaitC1 if input.len() >= PACKET_BYTES => {
                    answer(&input[..PACKET_BYTES], out);
                    input.advance(PACKET_BYTES);
                    *self = Self::AwaitC2;
                }
                Self::AwaitC2 if input.len() >= PACKET_BYTES => {
                    input.advance(PACKET_BYTES);
                    *self = Self::Done;
                }
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// S0, S1 and S2.
fn answer(c1: &[u8], out: &mut BytesMut) {
    out.reserve(1 + 2 * PACKET_BYTES);
    out.put_u8(VERSION);
    out.put_bytes(0, 8); // time, and version 0
    // 5.2.3: the rest tells this answer from others; nothing hangs on it being random.
    out.extend((8..PACKET_BYTES).map(|index| (index.wrapping_mul(31) % 251) as u8));
    out.put_slice(&c1[..4]);
    out.put_bytes(0, 4); // time2: when C1 was read
    out.put_slice(&c1[8..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_echoes_the_offer() {
        let mut c1: Vec<u8> = (0..PACKET_BYTES).map(|index| index as u8).collect();
        let mut handshake = Handshake::default();
        let mut out = BytesMut::new();
        let mut input = BytesMut::from(&[VERSION][..]);
        input.put_slice(&c1[..100]);
        handshake.read(&mut input, &mut out).unwrap();
        assert!(out.is_empty());
        assert_eq!(input.len(), 100, "half a packet stays with the caller");
        input.put_slice(&c1[100..]);
        handshake.read(&mut input, &mut out).unwrap();
        assert_eq!(out.len(), 1 + 2 * PACKET_BYTES);
        c1[4..8].fill(0);
        assert_eq!(&out[1 + PACKET_BYTES..], &c1[..]);
        input.put_bytes(7, PACKET_BYTES + 1);
        handshake.read(&mut input, &mut out).unwrap();
        assert!(handshake.is_done());
        assert_eq!(input.len(), 1, "what follows C2 is left");
    }

    #[test]
    fn other_protocols_are_told_by_their_first_byte() {
        for first in [0x16, b'G', 6] {
            let mut input = BytesMut::from(&[first][..]);
            let read = Handshake::default().read(&mut input, &mut BytesMut::new());
            assert_eq!(read, Err(first));
        }
    }
}
