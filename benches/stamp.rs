//! The stamp inside a frame: a sequence number and the time of sending, in an SEI message that
//! every decoder skips and every server carries along.

use bytes::{BufMut as _, Bytes, BytesMut};
use rushlane::runtime::clock;

/// The UUID of the SEI message (user_data_unregistered, H.264 D.1.7); also what viewers look for.
const MARK: &[u8; 16] = b"rushlane-bench-1";

/// Hex digits after the mark: 8 of the sequence number, 16 of the time. ASCII needs no emulation
/// prevention.
const DIGITS: usize = 24;

/// Bytes from the start of a media message within which the stamp stands.
pub const WITHIN_BYTES: usize = 96;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Frames are numbered from 0 at the publisher.
    pub sequence: u32,
    /// When it was handed to the socket, in microseconds since 1970.
    pub sent_us: i64,
}

impl Stamp {
    /// A stamp of now.
    pub fn now(sequence: u32) -> Self {
        Self {
            sequence,
            sent_us: clock::unix_us(),
        }
    }

    /// A length-prefixed SEI NAL unit that holds the stamp.
    fn nal(self) -> Bytes {
        let mut nal = BytesMut::new();
        let payload = MARK.len() + DIGITS;
        nal.put_u32(u32::try_from(3 + payload + 1).expect("a short NAL unit"));
        nal.put_slice(&[6, 5, u8::try_from(payload).expect("below 255")]);
        nal.put_slice(MARK);
        nal.put_slice(format!("{:08x}{:016x}", self.sequence, self.sent_us).as_bytes());
        nal.put_u8(0x80);
        nal.freeze()
    }

    /// The body of an FLV video tag (AVC) with the stamp as its first NAL unit.
    pub fn put_into(self, body: &Bytes) -> Bytes {
        // Frame type and codec, packet type, composition time: five bytes, then NAL units.
        let nal = self.nal();
        let mut stamped = BytesMut::with_capacity(body.len() + nal.len());
        stamped.put_slice(&body[..5]);
        stamped.put_slice(&nal);
        stamped.put_slice(&body[5..]);
        stamped.freeze()
    }

    /// Finds the first stamp in `bytes`.
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let at = bytes
            .windows(MARK.len())
            .position(|window| window == MARK)?
            + MARK.len();
        let digits = std::str::from_utf8(bytes.get(at..at + DIGITS)?).ok()?;
        let (sequence, sent) = digits.split_at_checked(8)?;
        Some(Self {
            sequence: u32::from_str_radix(sequence, 16).ok()?,
            sent_us: i64::from_str_radix(sent, 16).ok()?,
        })
    }

    /// Every stamp in `bytes`, in order: the frames of a part.
    pub fn all(mut bytes: &[u8]) -> Vec<Self> {
        let mut stamps = Vec::new();
        while let Some(at) = bytes.windows(MARK.len()).position(|window| window == MARK) {
            stamps.extend(Self::find(&bytes[at..]));
            bytes = &bytes[at + MARK.len()..];
        }
        stamps
    }

    /// How old it is, in microseconds.
    pub fn age_us(self) -> u64 {
        u64::try_from(clock::unix_us() - self.sent_us).unwrap_or(0)
    }
}
