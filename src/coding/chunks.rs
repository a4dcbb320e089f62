//! A list of shared buffers that reads as one: what a part, a segment or a playlist is to a socket.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};

/// Buffers in order. Clones share the list; nothing is copied until [`Self::to_bytes`].
#[derive(Clone)]
pub struct Chunks {
    list: Arc<List>,
    length: usize,
}

struct List {
    chunks: Box<[Bytes]>,
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Chunks {
    /// A list of `list`'s buffers; empty ones are left out.
    #[must_use]
    pub fn new(list: impl IntoIterator<Item = Bytes>) -> Self {
        let chunks: Box<[Bytes]> = list.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let length = chunks.iter().map(Bytes::len).sum();
        let kept = OnceLock::new();
        Self {
            list: Arc::new(List { chunks, kept }),
            length,
        }
    }

    /// All buffers of `lists`, one list after the other.
    #[must_use]
    pub fn concat<'a>(lists: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::new(
            lists
                .into_iter()
                .flat_map(|chunks| chunks.as_slice().iter().cloned()),
        )
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// True when there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The buffers.
    #[must_use]
    pub fn as_slice(&self) -> &[Bytes] {
        &self.list.chunks
    }

    /// What somebody has made of these bytes, for as long as there is a clone of them; `make` makes
    /// it at first. `None`: they hold a thing of another type.
    pub fn kept<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        let kept = self.list.kept.get_or_init(|| Box::new(make()));
        kept.downcast_ref()
    }

    /// The bytes of `range` (clamped to what is there), sharing the buffers.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut position = 0;
        let mut list = Vec::new();
        for chunk in self.as_slice() {
            let from = range.start.clamp(position, position + chunk.len()) - position;
            let to = range.end.clamp(position, position + chunk.len()) - position;
            if from < to {
                list.push(chunk.slice(from..to));
            }
            position += chunk.len();
        }
        Self::new(list)
    }

    /// One contiguous copy.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if let [only] = self.as_slice() {
            return only.clone();
        }
        let mut out = BytesMut::with_capacity(self.length);
        for chunk in self.as_slice() {
            out.extend_from_slice(chunk);
        }
        out.freeze()
    }
}

impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Chunks {}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl From<Bytes> for Chunks {
    fn from(bytes: Bytes) -> Self {
        Self::new([bytes])
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self::new([])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cross_buffers() {
        let chunks = Chunks::new([&b"abc"[..], b"", b"def", b"g"].map(Bytes::from_static));
        assert_eq!(chunks.len(), 7);
        assert_eq!(chunks.as_slice().len(), 3);
        assert_eq!(chunks.slice(2..5).to_bytes(), "cde");
        assert_eq!(chunks.slice(3..6).to_bytes(), "def");
        assert_eq!(chunks.slice(5..99).to_bytes(), "fg");
        assert!(chunks.slice(9..12).is_empty());
        assert_eq!(
            Chunks::concat([&chunks.slice(0..1), &chunks.slice(6..7)]).to_bytes(),
            "ag"
        );
    }

    #[test]
    fn what_is_kept_is_made_once_and_shared_by_clones() {
        let chunks = Chunks::from(Bytes::from_static(b"abc"));
        assert_eq!(chunks.kept(|| 5_u32), Some(&5));
        assert_eq!(chunks.clone().kept(|| 6_u32), Some(&5));
        assert_eq!(chunks.kept(|| 7_u64), None);
        assert_eq!(chunks.slice(0..3).kept(|| 8_u32), Some(&8));
    }
}
