//! HTTP-FLV and WebSocket-FLV: frames to many viewers the moment they arrive.
//!
//! All viewers of a worker who watch the same rendition in the same way sit in one hall. Its feed
//! reads the tracks once and makes each tag once; a frame costs one wake of the hall's task and one
//! vectored write for each viewer (D3). Knows no sockets: `net` hands a [`Sink`](net::http::Sink).
//!
//! Invariants:
//! - A viewer never gets half a tag followed by another, and enters only at a key frame.
//! - A slow viewer costs nobody else a wait: it keeps a bounded list of shared buffers, is skipped
//!   forward past the bound, and closed when it takes nothing for [`Config::slow_close_seconds`].

mod batch;
mod departure;
mod endings;
mod feed;
mod hall;
mod halls;
mod lane;
mod leaving;
mod query;
mod settling;
mod socket;
mod viewer;

use serde::{Deserialize, Serialize};

pub(super) use halls::{Builder, Drain, Halls};
pub(super) use query::{Query, Refusal};

/// What a slow viewer may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most bytes a viewer may lag before it is skipped to the next key frame. 4 MiB: 2 s at 16
    /// Mbit/s; beyond 2 s of media it is skipped in any case.
    pub backlog_bytes_max: usize,
    /// A viewer that takes no byte for this long is closed, in seconds.
    pub slow_close_seconds: u32,
    /// For how long pictures wait for others, so that a viewer costs fewer writes, in milliseconds:
    /// 0, 50, 100 and so on to 1000. Viewers may ask otherwise (`?merge=`). 100 halves what they
    /// cost.
    pub merge_ms: u64,
}

impl Config {
    /// True when `merge_ms` is one of those that may be.
    #[must_use]
    pub fn merges_well(&self) -> bool {
        query::is_merge_ms(self.merge_ms)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backlog_bytes_max: 4 << 20,
            slow_close_seconds: 10,
            merge_ms: 0,
        }
    }
}
