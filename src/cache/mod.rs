//! The cache of what the live window no longer holds: older segments, fetched once per key.
//!
//! Knows keys, bytes and misses; deliberately knows neither `live` nor packaging: whoever asks
//! brings the future that makes the bytes.
//!
//! Invariants:
//! - A key names its bytes for good (room, epoch, track, group: D8), so an entry is never replaced
//!   in place and a look-up can never be stale.
//! - All who ask for one key at the same time share one fetch and its answer.
//! - Bytes, misses, concurrent fetches and the wait for each are bounded.
//!
//! Policy: moka 0.12.16 with its default TinyLFU, because its weight accounting is exact under any
//! load we could make, while its LRU loses capacity for good when keys come back under concurrent
//! inserts (stress runs in docs/decisions/0002-libraries.md). TinyLFU refuses fresh keys once it is
//! full; that would be the wrong policy for the live tail, but the tail is in `live`, and here a
//! refusal costs no more than one further fetch: those who wait get the bytes all the same, and a
//! key that is asked for again is admitted.

mod segments;

use serde::{Deserialize, Serialize};

pub use segments::{Key, Miss, Segments};

/// Bounds of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most bytes of segments. 256 MiB: about 12 minutes of a rendition of 3 Mbit/s.
    pub bytes_max: u64,
    /// The most fetches at once; further ones wait. 32: the parent's streams are shared with the
    /// live tracks.
    pub fetches_max: usize,
    /// How long one fetch may take, waiting included, in seconds. 5: half of what hls.js allows.
    pub fetch_seconds: u32,
    /// How many misses are remembered; the oldest are forgotten first.
    pub misses_max: u64,
    /// How long a miss is remembered, in seconds: one target duration (DOMAIN 1.4).
    pub miss_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bytes_max: 256 << 20,
            fetches_max: 32,
            fetch_seconds: 5,
            misses_max: 10_000,
            miss_seconds: 2,
        }
    }
}
