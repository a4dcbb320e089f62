//! Tasks that can wait, on a thread that also has some that cannot.
//!
//! All tasks of a worker stand in one queue, so when thousands of viewers have something to do at
//! once, an order would wait behind all of them. In the bulk they run for a [`Turn`] at a time, and
//! between two turns everything else that is due on the thread does. A task that turns out to be
//! one that cannot wait leaves the bulk by its [`Ticket`].
//!
//! Deliberately knows nothing of connections.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::task::coop::has_budget_remaining;

use crate::runtime::{TaskScope, Turn};

/// The bulk of one thread. Clones are the same one.
#[derive(Clone, Default)]
pub struct Bulk(Rc<Inner>);

/// A task's way out of the bulk. One that stands in no bulk needs none, and has no effect.
#[derive(Debug, Clone, Default)]
pub struct Ticket(Rc<Cell<bool>>);

#[derive(Default)]
struct Inner {
    arrivals: RefCell<Vec<Lot>>,
    /// Wakes [`Bulk::run`] for them.
    waker: Cell<Option<Waker>>,
    turn: Cell<Option<Turn>>,
    /// Of the task that runs.
    ticket: RefCell<Option<Ticket>>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Lot {
    /// None once it has left.
    task: Option<Task>,
    ticket: Ticket,
}

/// A lot in its place.
struct Placed {
    lot: Lot,
    bulk: Rc<Inner>,
}

impl Bulk {
    /// Runs `task` as one of `scope`, as [`TaskScope::spawn_local`] does, when nothing else is due.
    pub fn spawn<F>(&self, scope: &TaskScope, name: &'static str, task: F)
    where
        F: Future<Output = ()> + 'static,
    {
        // A panic ends its own task and no other, as everywhere in tokio.
        let task = AssertUnwindSafe(scope.enlist(name, task)).catch_unwind();
        let task: Task = Box::pin(task.map(drop));
        self.0.arrivals.borrow_mut().push(Lot {
            task: Some(task),
            ticket: Ticket::default(),
        });
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }

    /// The ticket of the task that runs.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.0.ticket.borrow().clone().unwrap_or_default()
    }

    /// Runs the tasks for ever, inside a `LocalSet`. Dropping it drops them.
    pub async fn run(&self) -> Infallible {
        let mut lots = FuturesUnordered::new();
        loop {
            poll_fn(|cx| self.turn(&mut lots, cx)).await;
            Turn::pass_on().await;
        }
    }

    /// Ready when the turn is over and not all is done.
    fn turn(&self, lots: &mut FuturesUnordered<Placed>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.turn.set(Some(Turn::begin()));
        loop {
            let arrivals = self.0.arrivals.take().into_iter();
            lots.extend(arrivals.map(|lot| Placed {
                lot,
                bulk: self.0.clone(),
            }));
            let polled = lots.poll_next_unpin(cx);
            if self.0.is_spent() {
                return Poll::Ready(());
            }
            let is_idle = !matches!(polled, Poll::Ready(Some(())));
            if is_idle && self.0.arrivals.borrow().is_empty() {
                self.0.waker.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
        }
    }
}

impl Inner {
    /// True when others shall have their turn: the time is over, or what tokio lets one task do
    /// before it yields.
    fn is_spent(&self) -> bool {
        let is_late = self.turn.get().is_some_and(Turn::is_over);
        is_late || !has_budget_remaining()
    }
}

impl Ticket {
    /// Lets the task leave the bulk: from its next step on it waits for none of the others.
    pub fn leave(&self) {
        self.0.set(true);
    }
}

impl Future for Placed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { lot, bulk } = self.get_mut();
        let Some(task) = &mut lot.task else {
            return Poll::Ready(());
        };
        if !lot.ticket.0.get() {
            if bulk.is_spent() {
                // The set stops at the second task that does so.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            bulk.ticket.replace(Some(lot.ticket.clone()));
            let polled = task.as_mut().poll(cx);
            bulk.ticket.take();
            if polled.is_ready() || !lot.ticket.0.get() {
                return polled;
            }
        }
        if let Some(task) = lot.task.take() {
            go_on_alone(task);
        }
        Poll::Ready(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a scope owns the task already")]
fn go_on_alone(task: Task) {
    tokio::task::spawn_local(task);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::{LocalSet, yield_now};

    use super::*;
    use crate::runtime::Shutdown;

    /// Runs `test` on a thread with a bulk.
    async fn with_bulk<F: Future>(test: impl FnOnce(Bulk, TaskScope) -> F) {
        let (bulk, scope) = (Bulk::default(), TaskScope::under(&Shutdown::new()));
        let test = test(bulk.clone(), scope);
        LocalSet::new()
            .run_until(async {
                tokio::select! {
                    _ = test => {}
                    never = bulk.run() => match never {},
                }
            })
            .await;
    }

    /// Takes a whole turn, as often as told.
    async fn toil(turns: usize, done: Rc<Cell<usize>>) {
        for _ in 0..turns {
            let turn = Turn::begin();
            while !turn.is_over() {
                std::hint::spin_loop();
            }
            yield_now().await;
        }
        done.set(done.get() + 1);
    }

    #[tokio::test]
    async fn what_cannot_wait_runs_between_two_turns() {
        with_bulk(async |bulk, scope| {
            let done = Rc::new(Cell::new(0));
            for _ in 0..50 {
                bulk.spawn(&scope, "toil", toil(1, done.clone()));
            }
            for step in 0..10 {
                yield_now().await;
                assert!(done.get() <= 2 * (step + 1), "{} before {step}", done.get());
            }
            while done.get() < 50 {
                yield_now().await;
            }
            assert_eq!(scope.running(), 0);
        })
        .await;
    }

    #[tokio::test]
    async fn a_task_leaves_with_its_ticket_and_goes_on_where_it_was() {
        with_bulk(async |bulk, scope| {
            let done = Rc::new(Cell::new(0));
            for _ in 0..50 {
                bulk.spawn(&scope, "toil", toil(4, done.clone()));
            }
            let (inner, finished) = (bulk.clone(), Rc::new(Cell::new(false)));
            let finish = finished.clone();
            bulk.spawn(&scope, "urgent", async move {
                inner.ticket().leave();
                for _ in 0..5 {
                    yield_now().await;
                }
                finish.set(true);
            });
            while !finished.get() {
                yield_now().await;
            }
            assert_eq!(done.get(), 0, "it did not wait for the others");
        })
        .await;
    }

    #[tokio::test]
    async fn tasks_end_with_their_scope() {
        with_bulk(async |bulk, scope| {
            bulk.spawn(&scope, "endless", std::future::pending());
            assert_eq!(scope.finish(Duration::ZERO).await, 1);
        })
        .await;
    }
}
