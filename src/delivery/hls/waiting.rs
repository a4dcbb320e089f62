//! The waiting room of a worker: requests that wait for a shelf to move on.
//!
//! Requests that wait for the same position of a shelf share one gate. For each shelf that somebody
//! waits for there is one task; it is woken once for each change and opens all gates that the
//! change has passed. A waiting request costs an entry in a gate's list, inside its own future.
//!
//! Reloads of a playlist over plain HTTP/1.1 are the many. The task encodes their reply once and
//! writes it to each of their connections in one pass, before it wakes any of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use super::shelf::{Progress, Shelf};
use super::steps::{self, Step};
use crate::net::http::{Begun, Direct, Encoded};
use crate::packaging::hls::{Directives, Position};
use crate::runtime::TaskScope;
use crate::runtime::clock::Instant;

/// Replies written, or requests woken, before other tasks of the worker have their turn: one or two
/// milliseconds, so that an order beside a large audience waits no longer than that.
const TURN_MAX: usize = 512;

/// Encoded replies kept during a pass. Those who wait for the same part differ in `_HLS_skip` and
/// coding; who asks for more than that has his own encoded, in place of all that are kept.
const REPLIES_MAX: usize = 8;

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
    gates: RefCell<BTreeMap<Position, Rc<Gate>>>,
}

/// Those who wait for one position of a shelf.
#[derive(Debug, Default)]
struct Gate {
    opened: Notify,
    /// Requests that wait for it.
    waiting: Cell<usize>,
    /// Those of them who can be written to, in the order of their coming.
    reloads: RefCell<BTreeMap<u64, Rc<Waiter>>>,
    came: Cell<u64>,
}

/// A request for a playlist whose reply can be begun where it waits.
#[derive(Debug)]
pub(super) struct Reload(Rc<Waiter>);

#[derive(Debug)]
struct Waiter {
    directives: Directives,
    gzip: bool,
    direct: Direct,
    begun: RefCell<Option<(Begun, Duration)>>,
}

/// A request that waits, until dropped.
struct Counted(Rc<Gate>);

/// A reload in a gate's list, until dropped.
struct Listed {
    gate: Rc<Gate>,
    number: u64,
}

/// Encoded replies, by all that they depend on.
type Replies = Vec<((Directives, bool), Rc<Encoded>)>;

/// How waiting ended.
#[derive(Debug)]
pub(super) enum Woken {
    /// The shelf is past the position.
    Open,
    /// It is, and the reload's reply is begun; how old the playlist was then.
    Begun(Begun, Duration),
    /// The deadline came first.
    Late,
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

    fn gate(self: &Rc<Self>, shelf: &Arc<Shelf>, position: Position) -> Rc<Gate> {
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
    /// Waits until `shelf` is past `position` or `deadline` comes. Cancel-safe, but a `reload` is
    /// of no more use if it is cancelled: its reply may have begun.
    pub(super) async fn wait(
        &self,
        shelf: &Arc<Shelf>,
        position: Position,
        deadline: Instant,
        reload: Option<&Reload>,
    ) -> Woken {
        let gate = self.0.gate(shelf, position);
        let _one = Counted::new(&gate);
        let opened = gate.opened.notified();
        // The shelf may have moved on between the caller's look and the gate: nobody would open it.
        if shelf.is_past(position) {
            return Woken::Open;
        }
        let _listed = reload.map(|reload| Listed::new(&gate, reload));
        let in_time = tokio::time::timeout_at(deadline, opened).await.is_ok();
        if let Some(Reload(waiter)) = reload
            && let Some((begun, age)) = waiter.begun.take()
        {
            steps::watched(shelf, &waiter.directives, begun.status());
            return Woken::Begun(begun, age);
        }
        if in_time { Woken::Open } else { Woken::Late }
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
        room.open(&shelf, &now).await;
        if room.gates.borrow().is_empty() || progress.changed().await.is_err() {
            break;
        }
    }
    waiting.rooms.borrow_mut().remove(&Arc::as_ptr(&shelf));
}

impl Room {
    async fn open(&self, shelf: &Shelf, progress: &Progress) {
        while let Some(gate) = self.passed(progress) {
            gate.reply(shelf).await;
            gate.wake().await;
        }
    }

    /// Takes out the first gate that `progress` is past.
    fn passed(&self, progress: &Progress) -> Option<Rc<Gate>> {
        let mut gates = self.gates.borrow_mut();
        let first = gates.first_entry()?;
        progress.is_past(*first.key()).then(|| first.remove())
    }
}

impl Gate {
    /// Begins the replies of all who can be written to. Whoever gets none is woken as others are.
    async fn reply(&self, shelf: &Shelf) {
        let mut replies = Replies::new();
        let mut count = 0;
        while let Some(waiter) = self.next() {
            if let Some(reply) = waiter.reply(shelf, &mut replies) {
                let begun = waiter.direct.begin(&reply);
                waiter.begun.replace(Some((begun, shelf.age())));
            }
            count += 1;
            if count % TURN_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Wakes all who wait, some at a time: each of them is a task, and who comes meanwhile has its
    /// turn after those that are woken, not after all.
    async fn wake(&self) {
        for _ in 0..self.waiting.get() / TURN_MAX {
            for _ in 0..TURN_MAX {
                self.opened.notify_one();
            }
            tokio::task::yield_now().await;
        }
        self.opened.notify_waiters();
    }

    fn next(&self) -> Option<Rc<Waiter>> {
        let (_, waiter) = self.reloads.borrow_mut().pop_first()?;
        Some(waiter)
    }
}

impl Reload {
    pub(super) fn new(directives: Directives, gzip: bool, direct: Direct) -> Self {
        Self(Rc::new(Waiter {
            directives,
            gzip,
            direct,
            begun: RefCell::default(),
        }))
    }
}

impl Waiter {
    /// The reply, one of `replies` if somebody has asked the same; `None` if there is none yet.
    fn reply(&self, shelf: &Shelf, replies: &mut Replies) -> Option<Rc<Encoded>> {
        let key = (self.directives, self.gzip);
        if let Some((_, reply)) = replies.iter().find(|(known, _)| *known == key) {
            return Some(reply.clone());
        }
        let step = steps::shared_playlist(shelf, &self.directives, self.gzip);
        let Step::Done(response) = step else {
            return None;
        };
        let reply = self.direct.encode(response)?;
        if replies.len() == REPLIES_MAX {
            replies.clear();
        }
        replies.push((key, reply.clone()));
        Some(reply)
    }
}

impl Counted {
    fn new(gate: &Rc<Gate>) -> Self {
        gate.waiting.set(gate.waiting.get() + 1);
        Self(gate.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

impl Listed {
    fn new(gate: &Rc<Gate>, reload: &Reload) -> Self {
        let number = gate.came.get();
        gate.came.set(number + 1);
        gate.reloads.borrow_mut().insert(number, reload.0.clone());
        let gate = gate.clone();
        Self { gate, number }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.gate.reloads.borrow_mut().remove(&self.number);
    }
}
