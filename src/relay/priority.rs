//! Which stream goes first when the link is full (D2): control, audio, newest video, data, fetches,
//! then backfill, the oldest first. QUIC sends strictly by priority.

use crate::media::group::Id;
use crate::media::track::Kind;

/// The control stream.
pub(super) const CONTROL: i32 = 6 << LEVEL_BITS;

/// The answer to a fetch: somebody waits for it, but not at the live edge.
pub(super) const FETCH: i32 = 2 << LEVEL_BITS;

const LEVEL_BITS: u32 = 24;

/// A group that was the newest when its stream began: newer before older, audio before video.
pub(super) fn live(kind: Kind, group: Id) -> i32 {
    let level = match kind {
        Kind::Audio => 5,
        Kind::Video => 4,
        Kind::Data => 3,
    };
    (level << LEVEL_BITS) | recency(group)
}

/// A group of the window that a cold child lacks: older before newer, because readers go in order.
pub(super) fn backfill(kind: Kind, group: Id) -> i32 {
    let level = match kind {
        Kind::Audio | Kind::Data => 1,
        Kind::Video => 0,
    };
    (level << LEVEL_BITS) | (MASK - recency(group))
}

const MASK: i32 = (1 << LEVEL_BITS) - 1;

/// The low bits of the number: enough for half a year of one-second groups, then order errs once.
fn recency(group: Id) -> i32 {
    i32::try_from(group.0 & MASK as u64).unwrap_or(MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_the_design() {
        let order = [
            CONTROL,
            live(Kind::Audio, Id(1)),
            live(Kind::Video, Id(9)),
            live(Kind::Video, Id(8)),
            live(Kind::Data, Id(9)),
            FETCH,
            backfill(Kind::Audio, Id(7)),
            backfill(Kind::Video, Id(2)),
            backfill(Kind::Video, Id(3)),
        ];
        assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
    }
}
