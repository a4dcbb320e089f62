//! CMCD: what players tell of themselves with their requests (CTA-5004 and CTA-5004-B), sans-IO.
//!
//! Text in, values out; knows no request and no log. Invariants: nothing is refused, for a player
//! must not suffer from what it reports: an unknown key, a bad value or a set of a later version is
//! left out (CTA-5004-B, server duties); what is kept is bounded by [`TEXT_BYTES_MAX`] a value, and
//! a set above [`SET_BYTES_MAX`] is left out whole.
//!
//! Spec: CTA-5004 (2020, version 1), CTA-5004-B (2026, version 2).

mod decode;
mod read;

pub use decode::percent_decode;
pub use read::{events, read};

use serde::Serialize;

/// The longest set that is read, in bytes after decoding. Players stay below 1 KB.
pub const SET_BYTES_MAX: usize = 4096;

/// The longest identifier that is kept, in bytes (`cid` of version 2).
pub const TEXT_BYTES_MAX: usize = 128;

/// The most events of one report that are read; further ones are left out.
pub const EVENTS_MAX: usize = 64;

/// The query parameter that carries a set.
pub const PARAMETER: &str = "CMCD";

/// The headers that carry a set in four parts, as they are cased on the wire of HTTP/2.
pub const HEADERS: [&str; 4] = ["cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"];

/// One set. Every key is optional; times are milliseconds and rates kbit/s, as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Cmcd {
    /// Version, 1 when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// Session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Box<str>>,
    /// Content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cid: Option<Box<str>>,
    /// Streaming format: d, h, s, o.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sf: Option<&'static str>,
    /// Stream type: v, l, ll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub st: Option<&'static str>,
    /// Object type: m, a, v, av, i, c, tt, k, o.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ot: Option<&'static str>,
    /// Player state of version 2: s, p, k, r, a, w, e, f, q, d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sta: Option<&'static str>,
    /// Event of a report: ps, e, t, c, b, m, um, pe, pc, rr, bc, pr, sk, ce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<&'static str>,
    /// Encoded bit rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub br: Option<u32>,
    /// Buffer length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bl: Option<u32>,
    /// Duration of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d: Option<u32>,
    /// Deadline: when the buffer runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dl: Option<u32>,
    /// Latency to the live edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ltc: Option<u32>,
    /// Media start delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msd: Option<u32>,
    /// Measured throughput.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtp: Option<u32>,
    /// Requested maximum throughput.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp: Option<u32>,
    /// Top bit rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tb: Option<u32>,
    /// Number of the report, per target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sn: Option<u32>,
    /// Time to the first byte of the reported response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttfb: Option<u32>,
    /// Time to its last byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttlb: Option<u32>,
    /// Its status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rc: Option<u32>,
    /// When the event happened, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<u64>,
    /// The buffer has run empty since the last request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bs: bool,
    /// Needed urgently: start-up, seeking, or after a stall.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub su: bool,
}

impl Cmcd {
    /// True when nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
