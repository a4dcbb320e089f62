//! Who is in a room on this node: connections exactly, users by a sketch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::protocol::interact::question;
use crate::rooms::Sketch;

/// The members of one room on this node.
#[derive(Debug)]
pub(super) struct Presence {
    process: Arc<str>,
    online: AtomicU64,
    users: Mutex<Sketch>,
}

/// One connection, for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat(Arc<super::room::Room>);

impl Presence {
    /// `process`: names this process to the origin.
    pub(super) fn new(process: Arc<str>) -> Self {
        Self {
            process,
            online: AtomicU64::default(),
            users: Mutex::default(),
        }
    }

    /// Connections now.
    pub(super) fn online(&self) -> u64 {
        self.online.load(Ordering::Relaxed)
    }

    /// Different users since the room opened here, about.
    pub(super) fn unique(&self) -> u64 {
        self.users.lock().estimate()
    }

    /// What the origin is told.
    pub(super) fn report(&self) -> question::Presence {
        question::Presence {
            edge: self.process.clone(),
            online: self.online(),
            sketch: self.users.lock().to_base64(),
        }
    }
}

impl Seat {
    /// `user` has come in.
    pub(super) fn new(room: &Arc<super::room::Room>, user: &str) -> Self {
        room.presence.online.fetch_add(1, Ordering::Relaxed);
        room.presence.users.lock().insert(user);
        Self(room.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.presence.online.fetch_sub(1, Ordering::Relaxed);
    }
}
