//! How long a connection waits for its peer: one timer for all its waits.
//!
//! Nearly every wait ends long before its time is up. A timer of its own for each would cost more
//! than the reading that it guards, so this one is left where it is when a later time is set, and
//! looks again when it goes off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep_until};

use crate::runtime::clock::{self, Instant};

/// The timer of one connection.
#[derive(Debug)]
pub(super) struct Patience {
    /// Goes off at the deadline or before.
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Patience {
    /// A wait of `wait` from now on.
    pub(super) fn new(wait: Duration) -> Self {
        let deadline = clock::now() + wait;
        Self {
            timer: Box::pin(sleep_until(deadline)),
            deadline,
        }
    }

    /// Begins a new wait of `wait`, in place of the last.
    pub(super) fn renew(&mut self, wait: Duration) {
        self.deadline = clock::now() + wait;
        if self.deadline < self.timer.deadline() {
            self.timer.as_mut().reset(self.deadline);
        }
    }

    /// Ready when the wait is over.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn the_last_wait_counts_whether_it_is_shorter_or_longer() {
        for (first, last) in [(SHORT, LONG), (LONG, SHORT), (SHORT, SHORT)] {
            let mut patience = Patience::new(first);
            let over = poll_fn(|cx| Poll::Ready(patience.poll_over(cx).is_ready()));
            assert!(!over.await, "{first:?}");
            let since = clock::now();
            patience.renew(last);
            poll_fn(|cx| patience.poll_over(cx)).await;
            assert_eq!(since.elapsed().as_secs(), last.as_secs());
        }
    }
}
