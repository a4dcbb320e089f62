//! A door that opens once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Closed until somebody opens it, then open for ever. Clones are the same door.
#[derive(Debug, Clone, Default)]
pub struct Latch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    open: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Latch {
    /// Opens it.
    pub fn open(&self) {
        let mut waiting = self.0.waiting.lock();
        self.0.open.store(true, Ordering::Release);
        waiting.drain(..).for_each(Waker::wake);
    }

    /// Waits until it is open. Cancel-safe.
    pub async fn opened(&self) {
        std::future::poll_fn(|cx| self.poll_opened(cx)).await;
    }

    /// As [`Self::opened`].
    pub fn poll_opened(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.open.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut waiting = self.0.waiting.lock();
        if self.0.open.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
