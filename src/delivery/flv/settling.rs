//! Whether what a feed reads is live, so that viewers may be seated.
//!
//! On a node that has only begun to read a track, the pictures since the key frame come one by one
//! and late; a viewer who was seated meanwhile would stay behind by as much.

use std::time::Duration;

use crate::runtime::clock::{self, Instant};

/// A frame that arrived at the origin less than this ago is live, in microseconds: more than any
/// relay takes, less than a viewer sees.
const LIVE_US: i64 = 100_000;
/// How long new viewers wait for a feed to become live: clocks may disagree and hosts be silent.
const SETTLE: Duration = Duration::from_millis(300);

/// How far a feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settling {
    /// Nothing that a viewer could start with is here.
    Unknown,
    /// It is here since then, and what comes is late.
    Since(Instant),
    /// What comes is live, or the patience is over.
    Done,
}

impl Settling {
    /// Looks at the newest frame, which `arrived_us` tells (0: it has no stamp; none: no frame).
    pub(super) fn look(&mut self, arrived_us: Option<i64>, now: Instant) {
        let (Some(arrived_us), false) = (arrived_us, self.is_done()) else {
            return;
        };
        let live = arrived_us == 0 || clock::unix_us() - arrived_us < LIVE_US;
        *self = match *self {
            Self::Unknown if !live => Self::Since(now),
            Self::Since(since) if !live && now < since + SETTLE => Self::Since(since),
            _ => Self::Done,
        };
    }

    pub(super) fn is_done(self) -> bool {
        self == Self::Done
    }

    /// When to look again without a new frame.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Since(since) => Some(since + SETTLE),
            Self::Unknown | Self::Done => None,
        }
    }
}
