//! Nodes that frames may come from, and what is held against them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::relay::wire::control::Purpose;
use crate::runtime::clock::Instant;

/// How long others are preferred to a parent that failed for the first time; it doubles up to
/// [`BLAME_MAX`] when it fails again.
const BLAME_MIN: Duration = Duration::from_secs(5);
const BLAME_MAX: Duration = Duration::from_secs(80);

/// A parent that was good for so long has a clean record again.
const FORGIVEN: Duration = Duration::from_secs(300);

/// One node that frames may come from. Outlives the links to it.
#[derive(Debug)]
pub(super) struct Parent {
    /// As it was named: `HOST:PORT`.
    pub(super) address: Arc<str>,
    /// Why there are links to it.
    pub(super) purpose: Purpose,
    /// Its place in the order of preference.
    rank: AtomicUsize,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// It is not dialled before.
    rest: Option<Instant>,
    blame: Blame,
}

/// A memory of failures, which fades.
#[derive(Debug, Default)]
pub(super) struct Blame {
    failed: Option<Instant>,
    wait: Duration,
}

impl Parent {
    pub(super) fn new(address: Arc<str>, purpose: Purpose, rank: usize) -> Arc<Self> {
        Arc::new(Self {
            address,
            purpose,
            rank: AtomicUsize::new(rank),
            record: Mutex::default(),
        })
    }

    pub(super) fn rank(&self) -> usize {
        self.rank.load(Ordering::Relaxed)
    }

    pub(super) fn set_rank(&self, rank: usize) {
        self.rank.store(rank, Ordering::Relaxed);
    }

    /// It is not dialled before `until`.
    pub(super) fn rest(&self, until: Instant) {
        let mut record = self.record.lock();
        record.rest = record.rest.max(Some(until));
    }

    /// When it may be dialled again; `None`: now.
    pub(super) fn rests(&self) -> Option<Instant> {
        self.record.lock().rest
    }

    pub(super) fn blame(&self, now: Instant) {
        self.record.lock().blame.add(now);
    }

    pub(super) fn is_blamed(&self, now: Instant) -> bool {
        self.record.lock().blame.holds(now)
    }

    /// True when it has not failed since `since`.
    pub(super) fn is_good_since(&self, since: Instant) -> bool {
        let failed = self.record.lock().blame.failed;
        failed.is_none_or(|failed| failed < since)
    }
}

impl Blame {
    pub(super) fn add(&mut self, now: Instant) {
        let is_old = |failed: Instant| now.saturating_duration_since(failed) > FORGIVEN;
        if self.failed.is_some_and(is_old) {
            self.wait = Duration::ZERO;
        }
        self.wait = (self.wait * 2).clamp(BLAME_MIN, BLAME_MAX);
        self.failed = Some(now);
    }

    pub(super) fn holds(&self, now: Instant) -> bool {
        self.failed
            .is_some_and(|failed| now.saturating_duration_since(failed) < self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    #[test]
    fn blame_grows_with_each_failure_and_fades() {
        let mut blame = Blame::default();
        let begun = clock::now();
        assert!(!blame.holds(begun));
        blame.add(begun);
        assert!(blame.holds(begun + BLAME_MIN / 2) && !blame.holds(begun + BLAME_MIN));
        blame.add(begun);
        assert!(blame.holds(begun + BLAME_MIN) && !blame.holds(begun + BLAME_MIN * 2));
        for _ in 0..20 {
            blame.add(begun);
        }
        assert!(!blame.holds(begun + BLAME_MAX));
        let later = begun + FORGIVEN * 2;
        blame.add(later);
        assert!(!blame.holds(later + BLAME_MIN));
    }
}
