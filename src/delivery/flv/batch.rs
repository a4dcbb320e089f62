//! A batch: the tags that all viewers of a hall get in one pass, built once.

use std::cell::OnceCell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::packaging::flv::Tag;

/// Buffers up to this size are copied next to their neighbours: a copy of this many bytes costs
/// less than one more entry in the vectored write of each viewer.
const COPY_BYTES_MAX: usize = 1024;

/// Tags in order, as few buffers.
#[derive(Debug)]
pub(super) struct Batch {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// A viewer may begin (again) with this batch.
    pub(super) entry: bool,
    /// Media time of its last frame, in milliseconds.
    pub(super) edge_ms: i64,
    /// When its newest picture arrived at the origin, in microseconds since 1970 by this node's
    /// clock; 0 = not known.
    pub(super) ingest_us: i64,
    /// When that came to this node; 0 = not known.
    pub(super) received_us: i64,
    merged: OnceCell<Bytes>,
}

/// Collects tags.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pieces: Vec<Bytes>,
    small: BytesMut,
    bytes: usize,
    ingest_us: i64,
    received_us: i64,
}

impl Batch {
    pub(super) fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// The batch as one buffer, for the queues of HTTP/2 and HTTP/3; copied once for all of them.
    pub(super) fn merged(&self) -> &Bytes {
        self.merged.get_or_init(|| {
            if let [only] = &*self.pieces {
                return only.clone();
            }
            let mut all = BytesMut::with_capacity(self.bytes);
            for piece in &self.pieces {
                all.extend_from_slice(piece);
            }
            all.freeze()
        })
    }
}

impl Builder {
    pub(super) fn tag(&mut self, tag: &Tag) {
        for piece in [&tag.head, &tag.payload, &tag.tail] {
            self.bytes(piece);
        }
    }

    pub(super) fn bytes(&mut self, piece: &Bytes) {
        self.bytes += piece.len();
        if piece.len() <= COPY_BYTES_MAX {
            self.small.extend_from_slice(piece);
            return;
        }
        self.seal();
        self.pieces.push(piece.clone());
    }

    /// Notes when what was added last arrived at the origin, and here.
    pub(super) fn stamp(&mut self, (ingest_us, received_us): (i64, i64)) {
        self.ingest_us = self.ingest_us.max(ingest_us);
        self.received_us = self.received_us.max(received_us);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn finish(mut self, entry: bool, edge_ms: i64) -> Rc<Batch> {
        self.seal();
        Rc::new(Batch {
            pieces: self.pieces,
            bytes: self.bytes,
            entry,
            edge_ms,
            ingest_us: self.ingest_us,
            received_us: self.received_us,
            merged: OnceCell::new(),
        })
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }
}
