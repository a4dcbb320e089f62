//! A map that forgets: what was not touched for a while is let go, without a walk over all of it.
//! Pure.

use std::collections::HashMap;

/// Values by hash, in two generations. Whatever is touched belongs to the new one; the old one goes
/// as a whole, when its time is over or when the new one is full.
#[derive(Debug)]
pub(super) struct Generations<V> {
    newer: HashMap<u64, V>,
    older: HashMap<u64, V>,
    /// The most values in each generation.
    max: usize,
    lasts_ms: i64,
    since_ms: i64,
}

impl<V> Generations<V> {
    /// Remembers each value for `lasts_ms` to twice as long after its last touch, and at most
    /// `max` of them.
    pub(super) fn new(max: usize, lasts_ms: i64, now_ms: i64) -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
            max: max / 2,
            lasts_ms,
            since_ms: now_ms,
        }
    }

    /// Lets go of what is too old. To be called now and then.
    pub(super) fn age(&mut self, now_ms: i64) {
        if now_ms - self.since_ms >= self.lasts_ms {
            self.turn();
            self.since_ms = now_ms;
        }
    }

    /// The value, touched.
    pub(super) fn get_mut(&mut self, hash: u64) -> Option<&mut V> {
        if let Some(value) = self.older.remove(&hash) {
            self.insert(hash, value);
        }
        self.newer.get_mut(&hash)
    }

    /// Remembers a value in place of the one before.
    pub(super) fn insert(&mut self, hash: u64, value: V) {
        self.older.remove(&hash);
        if self.newer.len() >= self.max && !self.newer.contains_key(&hash) {
            self.turn();
        }
        self.newer.insert(hash, value);
    }

    /// Forgets a value.
    pub(super) fn remove(&mut self, hash: u64) {
        self.newer.remove(&hash);
        self.older.remove(&hash);
    }

    /// All values, those of the newer generation first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&u64, &V)> {
        self.newer.iter().chain(&self.older)
    }

    fn turn(&mut self) {
        self.older = std::mem::take(&mut self.newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_stays_and_the_rest_goes() {
        let mut map = Generations::new(10, 100, 0);
        (0..3).for_each(|hash| map.insert(hash, hash));
        map.age(100);
        assert_eq!(map.get_mut(1), Some(&mut 1));
        map.age(200);
        assert_eq!(map.get_mut(0), None);
        assert_eq!(map.get_mut(1), Some(&mut 1));
        map.remove(1);
        assert_eq!(map.get_mut(1), None);
    }

    #[test]
    fn there_are_never_more_than_allowed() {
        let mut map = Generations::new(10, i64::MAX, 0);
        for hash in 0..100 {
            map.insert(hash, ());
            map.insert(hash, ());
            assert!(map.iter().count() <= 10);
        }
        assert_eq!(map.iter().filter(|(hash, ())| **hash >= 95).count(), 5);
    }
}
