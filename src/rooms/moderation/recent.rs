//! A map that forgets what is not used, in constant time and bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::time::Duration;

use crate::runtime::clock::Instant;

/// Two generations of entries: what is used moves to the young one; when that is old enough, or
/// full, it becomes the old one and the old one is forgotten.
///
/// An entry is kept for at least `keep` after its last use, unless `entries_max` others were used
/// since.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    keep: Duration,
    entries_max: usize,
    born: Option<Instant>,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V: Default> Recent<K, V> {
    pub(super) fn new(keep: Duration, entries_max: usize) -> Self {
        Self {
            keep,
            entries_max,
            born: None,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// The entry of `key`; a new one when there is none, or none any more.
    pub(super) fn entry(&mut self, now: Instant, key: &K) -> &mut V {
        let born = *self.born.get_or_insert(now);
        if now.duration_since(born) >= self.keep || self.young.len() >= self.entries_max {
            self.old = mem::take(&mut self.young);
            if now.duration_since(born) >= 2 * self.keep {
                self.old.clear();
            }
            self.born = Some(now);
        }
        if !self.young.contains_key(key) {
            let value = self.old.remove(key).unwrap_or_default();
            self.young.insert(key.clone(), value);
        }
        self.young
            .get_mut(key)
            .expect("it was put there if need be")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    #[test]
    fn entries_are_kept_as_long_as_promised_and_no_longer() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut recent = Recent::<u32, u32>::new(Duration::from_secs(10), 100);
        *recent.entry(at(0), &1) = 7;
        assert_eq!(*recent.entry(at(9), &1), 7);
        assert_eq!(*recent.entry(at(18), &1), 7);
        *recent.entry(at(18), &2) = 8;
        assert_eq!(*recent.entry(at(27), &2), 8);
        assert_eq!(*recent.entry(at(60), &2), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let start = clock::now();
        let mut recent = Recent::<u32, u32>::new(Duration::from_secs(10), 100);
        for key in 0..10_000 {
            *recent.entry(start, &key) = key;
            assert!(recent.young.len() + recent.old.len() <= 200);
        }
        assert_eq!(*recent.entry(start, &9_950), 9_950);
        assert_eq!(*recent.entry(start, &1), 0);
    }
}
