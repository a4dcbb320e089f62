//! FLV as it arrives (FLV 10.1, annex E): 9 bytes and a back pointer, then tags.

use bytes::{Buf as _, Bytes, BytesMut};

/// The largest tag, in bytes: a key frame of 2160p.
const TAG_BYTES_MAX: usize = 8 << 20;

/// A tag.
#[derive(Debug, Clone)]
pub struct Tag {
    /// 8 audio, 9 video, 18 data.
    pub kind: u8,
    /// Its time, in milliseconds.
    pub at_ms: u32,
    /// Its body.
    pub body: Bytes,
}

impl Tag {
    /// A coded picture of H.264, not a header.
    #[must_use]
    pub fn is_picture(&self) -> bool {
        self.kind == 9 && self.body.len() > 5 && self.body.get(1) == Some(&1)
    }

    /// A decoder's configuration.
    #[must_use]
    pub fn is_config(&self) -> bool {
        self.kind != 18 && self.body.get(1) == Some(&0)
    }

    /// A picture that starts a group.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.is_picture() && self.body.first().is_some_and(|first| first >> 4 & 7 == 1)
    }
}

/// Puts bytes together to tags.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    started: bool,
}

impl Reader {
    /// Takes what was read; the tags that are whole now follow from [`Self::next_tag`].
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tag. Errors: this is no FLV.
    pub fn next_tag(&mut self) -> anyhow::Result<Option<Tag>> {
        if !self.started {
            if self.buffer.len() < 13 {
                return Ok(None);
            }
            anyhow::ensure!(self.buffer.starts_with(b"FLV\x01"), "this is no FLV");
            self.buffer.advance(13);
            self.started = true;
        }
        let Some(&[kind, l2, l1, l0, t2, t1, t0, t3]) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let length = usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0);
        anyhow::ensure!(matches!(kind, 8 | 9 | 18), "an FLV tag of type {kind}");
        anyhow::ensure!(length <= TAG_BYTES_MAX, "an FLV tag of {length} bytes");
        if self.buffer.len() < 11 + length + 4 {
            return Ok(None);
        }
        let mut tag = self.buffer.split_to(11 + length + 4).freeze();
        tag.advance(11);
        Ok(Some(Tag {
            kind,
            at_ms: u32::from_be_bytes([t3, t2, t1, t0]),
            body: tag.slice(..length),
        }))
    }
}
