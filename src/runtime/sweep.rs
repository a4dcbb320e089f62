//! When a map whose entries go stale is looked through for them.

/// Below this a map is never looked through: it costs a few kilobytes.
const ENTRIES_MIN: usize = 1024;

/// Tells when a map has doubled since the last look.
///
/// So a look costs each new entry a constant, and the map holds at most twice as many as are in
/// use, not as many as it may ever hold: a node's memory does not grow with the hours of a show.
#[derive(Debug)]
pub struct Sweep {
    due: usize,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { due: ENTRIES_MIN }
    }
}

impl Sweep {
    /// True when a map of `entries` should be swept before another one joins.
    #[must_use]
    pub fn is_due(&self, entries: usize) -> bool {
        entries >= self.due
    }

    /// It was, and `entries` are left.
    pub fn swept(&mut self, entries: usize) {
        self.due = (2 * entries).max(ENTRIES_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_as_rare_as_the_map_is_large() {
        let (mut sweep, mut looks) = (Sweep::default(), 0);
        for entries in 0..100_000 {
            if sweep.is_due(entries) {
                sweep.swept(entries);
                looks += 1;
            }
        }
        assert_eq!(looks, 7);
        sweep.swept(10);
        assert!(!sweep.is_due(1023) && sweep.is_due(1024));
    }
}
