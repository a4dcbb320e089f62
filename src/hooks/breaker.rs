//! A circuit breaker: who does not answer is left alone for a while, so that nobody waits for him.

use std::time::Duration;

use crate::runtime::clock::Instant;

/// Failures in a row until the circuit opens.
const FAILURES_MAX: u32 = 5;
/// How long it stays open; then one question is tried.
const OPEN: Duration = Duration::from_secs(5);

/// Whether to ask.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    /// Nobody is asked before.
    closed_at: Option<Instant>,
}

impl Breaker {
    /// Whether to ask now. While the circuit is open, one question passes each [`OPEN`].
    pub fn may_ask(&mut self, now: Instant) -> bool {
        match self.closed_at {
            Some(at) if now < at => false,
            Some(_) => {
                self.closed_at = Some(now + OPEN);
                true
            }
            None => true,
        }
    }

    /// Notes an answer. Returns true when the circuit closes with it.
    pub fn answered(&mut self) -> bool {
        self.failures = 0;
        self.closed_at.take().is_some()
    }

    /// Notes that there was none. Returns true when the circuit opens with it.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES_MAX {
            return false;
        }
        self.closed_at.replace(now + OPEN).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    #[test]
    fn dead_hook_is_left_alone_and_tried_now_and_then() {
        let start = clock::now();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            assert!(breaker.may_ask(start));
            assert!(!breaker.failed(start));
        }
        assert!(breaker.failed(start));
        assert!(!breaker.may_ask(start + OPEN / 2));
        assert!(breaker.may_ask(start + OPEN));
        assert!(!breaker.may_ask(start + OPEN));
        assert!(!breaker.failed(start + OPEN));
        assert!(breaker.may_ask(start + 2 * OPEN));
        assert!(breaker.answered());
        assert!(breaker.may_ask(start + 2 * OPEN));
        assert!(!breaker.answered());
    }
}
