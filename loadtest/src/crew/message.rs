//! What a coordinator and a worker say to each other once each knows who the other is.
//!
//! Knows nothing of sockets. A change here is a change of [`wire::VERSION`](super::wire::VERSION).

use serde::{Deserialize, Serialize};

use crate::actors::Books;
use crate::report::Own;
use crate::share::Share;
use crate::tally::Packed;

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ToWorker {
    /// Every second: we are here; what is your clock?
    Ping(u32),
    /// What will be done; asks for [`ToCoordinator::Ready`].
    Task(Box<Task>),
    /// When it begins.
    Start(Start),
    /// End the load at once, and say what was measured.
    Stop,
}

/// What a worker will do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    /// The scenario without hosts, events and a local fleet, as TOML: read as strictly as a file.
    pub(super) scenario: String,
    /// The worker's part of it.
    pub(super) share: Share,
    /// The print of the coordinator's key; `None`: it has no key.
    pub(super) key: Option<String>,
}

/// The agreement on time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// When the load begins by the coordinator's clock, in microseconds since 1970.
    pub(super) at_us: i64,
    /// How far the worker's clock is ahead of it, in microseconds.
    pub(super) ahead_us: i64,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ToCoordinator {
    /// To the ping of that number: the worker's clock, in microseconds since 1970.
    Pong(u32, i64),
    /// The task can be done.
    Ready,
    /// It cannot, or not now, and why.
    Refused(String),
    /// What the group of that number, in the order of [`groups`](crate::stage::groups), measured
    /// since the last book.
    Book(u32, Packed),
    /// All books of that second have been sent; this is how the machine was.
    Second(u32, Own),
    /// The worker ends before the load does, and why.
    Leaving(String),
    /// The load is over, and all books have been sent.
    Done(Done),
}

/// How the load of a worker ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    /// What the comparison of its receipts found, where it had buyers and was not cut short.
    pub(super) books: Option<Books>,
    /// What could not be done as planned.
    pub(super) faults: Vec<String>,
    /// How late actions began, 99th percentile, in milliseconds.
    pub(super) lag_p99_ms: f64,
    /// Actions that its part of the ceiling has forbidden.
    pub(super) held_back: u64,
}
