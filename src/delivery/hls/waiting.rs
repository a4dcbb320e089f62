//! The waiting room of a worker: requests that wait for a shelf to move on.
//!
//! Requests that wait for the same position of a shelf share one gate. For each shelf that somebody
//! waits for there is one task; it is woken once for each change and opens all gates that the
//! change has passed. A waiting request costs an entry in a gate's list, inside its own future.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use super::shelf::{Progress, Shelf};
use crate::packaging::hls::Position;
use crate::runtime::TaskScope;
use crate::runtime::clock::Instant;

/// The parked requests of one worker.
#[derive(Debug)]
pub(super) struct Waiting {
    rooms: RefCell<HashMap<*const Shelf, Rc<Room>>>,
    parked: Cell<usize>,
    parked_max: usize,
    gauge: Gauge,
    scope: TaskScope,
}

/// The gates of one shelf, by what they wait for.
#[derive(Debug, Default)]
struct Room {
    gates: RefCell<BTreeMap<Position, Rc<Notify>>>,
}

/// The right to wait; given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket(Rc<Waiting>);

impl Waiting {
    pub(super) fn new(parked_max: usize, gauge: Gauge, scope: TaskScope) -> Rc<Self> {
        Rc::new(Self {
            rooms: RefCell::default(),
            parked: Cell::new(0),
            parked_max,
            gauge,
            scope,
        })
    }

    /// A ticket, unless as many as may wait do so.
    pub(super) fn ticket(self: &Rc<Self>) -> Option<Ticket> {
        if self.parked.get() >= self.parked_max {
            return None;
        }
        self.parked.set(self.parked.get() + 1);
        self.gauge.inc();
        Some(Ticket(self.clone()))
    }

    fn gate(self: &Rc<Self>, shelf: &Arc<Shelf>, position: Position) -> Rc<Notify> {
        let mut rooms = self.rooms.borrow_mut();
        let room = rooms.entry(Arc::as_ptr(shelf)).or_insert_with(|| {
            let room = Rc::new(Room::default());
            let work = attend(self.clone(), room.clone(), shelf.clone());
            self.scope.spawn_local("delivery.waiting", work);
            room
        });
        room.gates.borrow_mut().entry(position).or_default().clone()
    }
}

impl Ticket {
    /// Waits until `shelf` is past `position`; false when `deadline` comes first. Cancel-safe.
    pub(super) async fn wait(
        &self,
        shelf: &Arc<Shelf>,
        position: Position,
        deadline: Instant,
    ) -> bool {
        let gate = self.0.gate(shelf, position);
        let opened = gate.notified();
        // The shelf may have moved on between the caller's look and the gate: nobody would open it.
        shelf.is_past(position) || tokio::time::timeout_at(deadline, opened).await.is_ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.parked.set(self.0.parked.get() - 1);
        self.0.gauge.dec();
    }
}

/// Opens the gates of `room` as `shelf` moves on, until there are none.
async fn attend(waiting: Rc<Waiting>, room: Rc<Room>, shelf: Arc<Shelf>) {
    let mut progress = shelf.progress();
    loop {
        let now = *progress.borrow_and_update();
        room.open(&now);
        if room.gates.borrow().is_empty() || progress.changed().await.is_err() {
            break;
        }
    }
    waiting.rooms.borrow_mut().remove(&Arc::as_ptr(&shelf));
}

impl Room {
    fn open(&self, progress: &Progress) {
        let mut gates = self.gates.borrow_mut();
        while let Some(gate) = gates.first_entry()
            && progress.is_past(*gate.key())
        {
            gate.remove().notify_waiters();
        }
    }
}
