//! Low-Latency HLS: the state of a media playlist, what a request for it gets, and the multivariant
//! playlist.
//!
//! Knows no HTTP, no viewer and no clock: a blocked request is a [`Decision::Wait`] that the caller
//! parks. All texts are functions of the frames (and of the reports handed in), so every node says
//! the same.
//!
//! Invariants (R1.1, R1.2): what [`Terms`] says never changes in a broadcast; no duration is
//! printed above its ceiling; media sequence and discontinuity numbers never go back.
//! Spec: draft-pantos-hls-rfc8216bis-22 (HLS-22).

mod dates;
mod directives;
mod lifetime;
mod multivariant;
mod playlist;
#[cfg(test)]
mod reading;
mod request;
mod terms;
mod text;
mod timeline;

pub use dates::DateRange;
pub use directives::{Directives, Malformed, Skip};
pub use lifetime::{Answer, Lifetime};
pub use multivariant::{Bandwidth, Offer, Rendition, multivariant};
pub use playlist::Report;
pub use request::{Availability, Decision, Refusal};
pub use terms::Terms;
pub use timeline::{Position, Timeline};
