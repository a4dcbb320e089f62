//! Whether a link is alive: when it was last heard, and whether the parent has said goodbye.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::runtime::clock::Instant;
use crate::runtime::{Shutdown, clock};

/// How often a parent is pinged. A link that frames come over, and that could be left for another
/// one, is watched closely: a dead parent is noticed by its silence alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Frames come over it, and there is another one.
    Close,
    /// It is warm.
    Steady,
    /// There is no other.
    Alone,
}

impl Pace {
    /// Between two pings.
    pub(super) fn ping(self) -> Duration {
        match self {
            Self::Close => Duration::from_millis(50),
            Self::Steady => Duration::from_millis(250),
            Self::Alone => Duration::from_secs(1),
        }
    }

    /// A link that is silent for longer is late: three pings were not answered.
    fn silence(self, rtt: Duration) -> Duration {
        self.ping() * 3 + rtt * 2
    }
}

/// How a link fares.
#[derive(Debug)]
pub(super) struct Health {
    heard: Mutex<Heard>,
    is_late: AtomicBool,
    is_leaving: AtomicBool,
    /// Better ones are up, and nothing comes over it.
    surplus: Shutdown,
}

#[derive(Debug)]
struct Heard {
    /// Datagrams received so far.
    datagrams: u64,
    at: Instant,
    pace: Pace,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            heard: Mutex::new(Heard {
                datagrams: 0,
                at: clock::now(),
                pace: Pace::Alone,
            }),
            is_late: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            surplus: Shutdown::new(),
        }
    }

    /// Looks whether anything came. True when that makes the link late, or good again.
    pub(super) fn look(&self, datagrams: u64, pace: Pace, rtt: Duration, now: Instant) -> bool {
        let mut heard = self.heard.lock();
        let is_quiet = heard.datagrams == datagrams;
        if !is_quiet || heard.pace != pace {
            // Under a new pace there is time for its pings.
            heard.at = now;
        }
        (heard.datagrams, heard.pace) = (datagrams, pace);
        let quiet = now.saturating_duration_since(heard.at);
        let is_late = quiet > pace.silence(rtt);
        self.is_late.swap(is_late, Ordering::Relaxed) != is_late
    }

    /// How often it is pinged.
    pub(super) fn pace(&self) -> Pace {
        self.heard.lock().pace
    }

    /// The parent goes down.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// True when the parent has said goodbye.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// The link is no longer needed.
    pub(super) fn dismiss(&self) {
        self.surplus.request();
    }

    /// Waits until the link is no longer needed.
    pub(super) async fn surplus(&self) {
        self.surplus.requested().await;
    }

    /// True when it is silent.
    pub(super) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_link_is_late_until_it_is_heard_again() {
        let (health, begun) = (Health::new(), clock::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let rtt = Duration::from_millis(10);
        assert!(!health.look(1, Pace::Close, rtt, at(0)));
        assert!(!health.look(1, Pace::Close, rtt, at(170)));
        assert!(health.look(1, Pace::Close, rtt, at(171)));
        assert!(health.is_late());
        assert!(health.look(2, Pace::Close, rtt, at(180)));
        assert!(!health.is_late());
    }

    #[test]
    fn closer_pace_begins_with_a_ping() {
        let (health, begun) = (Health::new(), clock::now());
        let at = |ms| begun + Duration::from_millis(ms);
        health.look(1, Pace::Alone, Duration::ZERO, at(0));
        assert!(!health.look(1, Pace::Close, Duration::ZERO, at(900)));
        assert!(!health.look(1, Pace::Close, Duration::ZERO, at(1000)));
        assert!(health.look(1, Pace::Close, Duration::ZERO, at(1051)));
    }
}
