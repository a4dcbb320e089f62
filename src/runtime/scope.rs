//! Task scopes: whoever owns a scope owns its tasks.
//!
//! A scope is a cancellation token and a set of tasks. Cancelling asks; [`TaskScope::finish`] waits
//! out a grace and then aborts. Dropping the last handle of a scope asks its tasks to end, so
//! nothing outlives what it serves.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The wish to stop, handed down to everything that runs.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A wish nobody has uttered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until somebody wants a stop. Cancel-safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// True once somebody wants a stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Asks for a stop; all children hear it.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// A wish that this one implies, and that can be uttered alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

/// A named set of tasks with one wish to stop. Clones are handles of the same scope.
#[derive(Debug, Clone)]
pub struct TaskScope {
    shutdown: Shutdown,
    tracker: TaskTracker,
    abort: CancellationToken,
    _last: Arc<DropGuard>,
}

impl TaskScope {
    /// A scope of its own under `parent`'s wish to stop.
    #[must_use]
    pub fn under(parent: &Shutdown) -> Self {
        let shutdown = parent.child();
        let guard = shutdown.0.clone().drop_guard();
        Self {
            shutdown,
            tracker: TaskTracker::new(),
            abort: CancellationToken::new(),
            _last: Arc::new(guard),
        }
    }

    /// The wish to stop that tasks of this scope should watch.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runs `task` in the current runtime, inside a span called by `name`. Tasks should end when
    /// [`Self::shutdown`] is requested; those that do not are aborted by [`Self::finish`].
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(self.named(name, task))
    }

    /// Runs `task` on the current thread's `LocalSet`, for workers whose sessions never move (D3).
    pub fn spawn_local<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + 'static,
    {
        self.tracker.spawn_local(self.named(name, task))
    }

    /// `task` as one of this scope, for those who run it themselves.
    pub(super) fn enlist<F>(&self, name: &'static str, task: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = ()>,
    {
        self.tracker.track_future(self.named(name, task))
    }

    /// How many tasks still run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Asks all tasks to stop, waits at most `grace`, then aborts the rest. Returns how many had to
    /// be aborted.
    pub async fn finish(&self, grace: Duration) -> usize {
        self.shutdown.request();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let aborted = self.tracker.len();
        self.abort.cancel();
        self.tracker.wait().await;
        aborted
    }

    fn named<F>(&self, name: &'static str, task: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = ()>,
    {
        self.abortable(task)
            .instrument(tracing::debug_span!(parent: None, "task", name))
    }

    fn abortable<F: Future<Output = ()>>(&self, task: F) -> impl Future<Output = ()> + use<F> {
        // On the heap by itself: each wrapper that follows would hold it twice.
        let task = Box::pin(task);
        let abort = self.abort.clone();
        async move {
            tokio::select! {
                biased;
                () = task => {}
                () = abort.cancelled() => tracing::debug!("aborted after the grace period"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stubborn_task_is_aborted_after_the_grace() {
        let scope = TaskScope::under(&Shutdown::new());
        scope.spawn("stubborn", std::future::pending());
        let polite = scope.shutdown().clone();
        scope.spawn("polite", async move { polite.requested().await });
        assert_eq!(scope.finish(Duration::from_secs(5)).await, 1);
        assert_eq!(scope.running(), 0);
    }

    #[tokio::test]
    async fn parent_wish_reaches_the_scope() {
        let parent = Shutdown::new();
        let scope = TaskScope::under(&parent);
        parent.request();
        scope.shutdown().requested().await;
    }
}
