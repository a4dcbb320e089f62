//! The model: what a broadcast is made of, in memory and without any wire format.
//!
//! A broadcast (room + epoch) has tracks; a track has groups; a group has frames. Knows nothing of
//! RTMP, FLV, MP4, QUIC, sockets or the time of day: every time is a number somebody hands in.
//!
//! Invariants: the origin decides every cut (part end, group start, discontinuity, init change) and
//! writes it into [`frame::Flags`] and [`group::Head`]; all later rooms only read them, so all
//! nodes package the same bytes.
#![deny(clippy::disallowed_types)] // pure room

pub mod broadcast;
mod class;
pub mod codec;
pub mod frame;
pub mod group;
pub mod track;

pub use broadcast::RoomName;
pub use class::{Class, UnknownClass};
pub use frame::Frame;
pub use group::Group;

/// Ticks per second of every video track (MPEG's 90 kHz, so that milliseconds and common frame
/// rates are exact).
pub const VIDEO_TIMESCALE: u32 = 90_000;

/// Converts ticks of `timescale` to milliseconds, rounding to nearest, away from overflow for
/// 64-bit inputs.
#[must_use]
pub fn ticks_to_ms(ticks: i64, timescale: u32) -> i64 {
    let scale = i128::from(timescale.max(1));
    let scaled = i128::from(ticks) * 1000;
    let rounded = (scaled + (scale / 2) * scaled.signum()) / scale;
    i64::try_from(rounded).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

/// Converts ticks of one timescale to ticks of another, rounding to nearest.
#[must_use]
pub fn rescale(ticks: i64, from: u32, to: u32) -> i64 {
    let from = i128::from(from.max(1));
    let scaled = i128::from(ticks) * i128::from(to);
    let rounded = (scaled + (from / 2) * scaled.signum()) / from;
    i64::try_from(rounded).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_round_to_nearest_millisecond() {
        assert_eq!(ticks_to_ms(3003, 90_000), 33);
        assert_eq!(ticks_to_ms(-3003, 90_000), -33);
        assert_eq!(ticks_to_ms(1024, 44_100), 23);
        assert_eq!(rescale(1000, 1000, 90_000), 90_000);
        assert_eq!(ticks_to_ms(i64::MAX, 1), i64::MAX);
    }
}
