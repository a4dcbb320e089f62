//! Which stream goes first when the link is full (D2): control, class 0, class 1, audio, newest
//! video, classes 2 and 3, fetches, backfill with the oldest first, class 4. QUIC sends strictly by
//! priority.

use crate::media::Class;
use crate::media::group::Id;
use crate::media::track::Kind;

/// The control stream.
pub(super) const CONTROL: i32 = 9 << LEVEL_BITS;

/// The answer to a fetch: somebody waits for it, but not at the live edge.
pub(super) const FETCH: i32 = 3 << LEVEL_BITS;

const LEVEL_BITS: u32 = 24;

/// A group that was the newest when its stream began: audio before video, newer before older.
pub(super) fn live(kind: Kind, group: Id) -> i32 {
    let level = match kind {
        Kind::Audio => 6,
        Kind::Video => 5,
        Kind::Data(class) if is_gapless(class) => return message(class) | (MASK - recency(group)),
        Kind::Data(class) => return message(class) | recency(group),
    };
    (level << LEVEL_BITS) | recency(group)
}

/// True for classes of which nothing may be missing: an older group goes before a newer one, for
/// nobody can use the newer one without it.
pub(super) fn is_gapless(class: Class) -> bool {
    matches!(class, Class::Order | Class::Program)
}

/// Events of a class, and the questions and answers about them.
pub(super) fn message(class: Class) -> i32 {
    let level = match class {
        Class::Order => 8,
        Class::Program => 7,
        Class::Personal | Class::Comment => 4,
        Class::Total => 0,
    };
    level << LEVEL_BITS
}

/// A group of the window that a cold child lacks: older before newer, because readers go in order.
pub(super) fn backfill(kind: Kind, group: Id) -> i32 {
    let level = match kind {
        Kind::Audio | Kind::Data(_) => 2,
        Kind::Video => 1,
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
            live(Kind::Data(Class::Order), Id(1)),
            live(Kind::Data(Class::Order), Id(2)),
            live(Kind::Data(Class::Program), Id(1)),
            live(Kind::Audio, Id(1)),
            live(Kind::Video, Id(9)),
            live(Kind::Video, Id(8)),
            live(Kind::Data(Class::Comment), Id(9)),
            FETCH,
            backfill(Kind::Audio, Id(7)),
            backfill(Kind::Video, Id(2)),
            backfill(Kind::Video, Id(3)),
            live(Kind::Data(Class::Total), Id(9)),
        ];
        assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
    }
}
