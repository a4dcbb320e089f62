//! The service of one worker.

use http::StatusCode;

use crate::net::http::{Reply, Request, Service, problem};
use crate::rooms::doors::Doors;
use crate::runtime::TaskScope;

/// What a worker answers with.
pub(super) struct Worker {
    _doors: Doors,
    _scope: TaskScope,
}

impl Worker {
    pub(super) fn new(doors: Doors, scope: TaskScope) -> Self {
        Self {
            _doors: doors,
            _scope: scope,
        }
    }
}

impl Service for Worker {
    fn call(&self, _request: Request) -> Reply {
        Reply::Ready(problem(StatusCode::NOT_FOUND, "there is no such room"))
    }
}

pub(super) fn takes(path: &str) -> bool {
    let path = match path.strip_prefix("/t/") {
        Some(rest) => rest.split_once('/').map_or("", |(_, rest)| rest),
        None => path.strip_prefix('/').unwrap_or_default(),
    };
    path.strip_prefix("rooms/")
        .is_some_and(|rest| rest.contains('/'))
}
