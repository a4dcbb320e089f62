//! The pulse of a room on this node: how late its frames leave, and how its viewers take them.
//! Counted on the data path by atomic additions, read once a second by whoever asks why.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::media::frame::Stamps;
use crate::runtime::clock;
use crate::telemetry::Meter;
use crate::telemetry::access::Traffic;

/// What is counted of one room.
#[derive(Debug, Default)]
pub struct Pulse {
    /// From a frame's arrival at this node to its being handed to viewers' sockets, or to its being
    /// in the playlist.
    pub edge: Meter,
    /// How far HTTP-FLV viewers lag behind the newest frame in what they have taken, by media time.
    pub queue: Meter,
    /// Answers to HLS viewers.
    pub hls: Arc<Traffic>,
    flv_bytes: AtomicU64,
}

impl Pulse {
    /// Bytes that HTTP-FLV viewers took.
    #[must_use]
    pub fn flv_bytes(&self) -> u64 {
        self.flv_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn flv_sent(&self, bytes: u64) {
        self.flv_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A frame that was received at `received_us` leaves now; 0 = not known.
    pub(super) fn leaves(&self, received_us: i64) {
        if received_us > 0 {
            self.edge.add(clock::unix_us() - received_us);
        }
    }
}

/// When a frame came to this node, by its own clock; 0 = not known.
pub(super) fn received_us(stamps: &Stamps) -> i64 {
    stamps
        .hops
        .last()
        .map_or(stamps.ingest_us, |hop| hop.received_us)
}
