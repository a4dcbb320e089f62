//! Turns: how long one task works on what is for many before others of its thread do.
//!
//! An order beside a large audience waits for a turn, on its way in and on its way out, and not for
//! the audience.

use std::time::Duration;

use crate::runtime::clock::{self, Instant};

/// As long as a few tasks or a few dozen writes need, and ten times what it costs to look what else
/// there is to do.
const TURN: Duration = Duration::from_micros(100);

/// The turn of one task; yield when it is over.
#[derive(Debug, Clone, Copy)]
pub struct Turn(Instant);

impl Turn {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self(clock::now() + TURN)
    }

    /// True when others shall have theirs.
    #[must_use]
    pub fn is_over(self) -> bool {
        clock::now() >= self.0
    }

    /// Lets them: other threads of the core, which would have to wait for the end of a slice of the
    /// scheduler's, and other tasks of the thread, for whose sockets and timers is looked.
    pub async fn pass_on() {
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}
