//! A hall: all members of one worker in one room. One task, one wake a batch, one write a member.
//!
//! The hall's position is where its members stand. Who enters at it with all events up to it, and
//! gets the batches after it, has everything once: there is no other seam.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

use crate::media::Class;
use crate::protocol::websocket::CloseCode;
use crate::rooms::Settings;
use crate::rooms::doors::batch::{Batch, FORMATS, Form, Position};
use crate::rooms::doors::figures::{Entry, Figures};
use crate::rooms::doors::leaving::Leaving;
use crate::rooms::doors::member::Member;
use crate::rooms::doors::room::{Turn, Visit};
use crate::rooms::doors::snapshot::Held;
use crate::runtime::clock;

/// Members that are written to before other tasks of the worker have their turn: about a
/// millisecond, so that an order beside a large room waits no longer than that.
const TURN_MEMBERS: usize = 256;
/// How often connections are looked after.
const TEND: Duration = Duration::from_secs(1);
/// How long a hall stays without members, so that a wave of returns finds its position.
const EMPTY_TENDS: u32 = 60;

/// The members of one worker in one room.
pub(super) struct Hall {
    pub(super) room: Visit,
    settings: Settings,
    figures: Figures,
    rows: RefCell<Rows>,
    /// Told after each turn, for those who wait for the hall's position.
    moved: Notify,
    /// Members who are at the door.
    entering: Cell<usize>,
    /// A batch is on its way to them, and nobody enters: he would get it too, or twice.
    is_giving: Cell<bool>,
    is_over: Cell<bool>,
}

#[derive(Default)]
struct Rows {
    members: Vec<Rc<Member>>,
    by_user: HashMap<Arc<str>, SmallVec<[Rc<Member>; 1]>>,
    position: Option<Position>,
    /// Where those stood who had to enter again.
    left: Option<Position>,
}

/// What becomes of somebody at the door.
pub(super) enum Admission {
    /// He is in, and has everything up to now.
    Seated,
    /// A snapshot is needed; the one he brings is of no use.
    NeedsSnapshot,
    /// Try again after [`Hall::moved`].
    Wait,
}

/// What somebody brings to the door.
#[derive(Default)]
pub(super) struct Ticket {
    /// Where he was, when he was here before.
    pub(super) from: Option<Position>,
    /// The state of the room.
    pub(super) snapshot: Option<Arc<Held>>,
}

impl Hall {
    /// A hall and what it has to read; see [`Self::run`].
    pub(super) fn new(
        room: Visit,
        settings: Settings,
        figures: Figures,
    ) -> (Rc<Self>, broadcast::Receiver<Turn>) {
        let (turns, position) = room.follow();
        let rows = Rows {
            position,
            ..Rows::default()
        };
        let hall = Rc::new(Self {
            room,
            settings,
            figures,
            rows: RefCell::new(rows),
            moved: Notify::new(),
            entering: Cell::default(),
            is_giving: Cell::default(),
            is_over: Cell::default(),
        });
        (hall, turns)
    }

    /// Serves the hall until nobody has come for a while, the room is over, or members are
    /// `leaving`.
    /// With each of `denials`, members are looked through for those who must go.
    pub(super) async fn run(
        self: Rc<Self>,
        mut turns: broadcast::Receiver<Turn>,
        mut denials: watch::Receiver<Bytes>,
        leaving: Leaving,
    ) {
        let mut tends = tokio::time::interval(TEND);
        tends.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut empty = 0;
        loop {
            tokio::select! {
                biased;
                () = leaving.begun() => {
                    let reason = "this node goes down: come back to another";
                    self.close_all(CloseCode::Restart, reason, leaving.notice().as_deref());
                    break;
                }
                turn = turns.recv() => match turn {
                    Ok(Turn::Batch(batch)) => self.give(&batch).await,
                    Ok(Turn::Settled(position)) => self.rows.borrow_mut().position = Some(position),
                    Ok(Turn::Reset) => self.unseat_all(None),
                    Ok(Turn::Over) | Err(RecvError::Closed) => {
                        self.close_all(CloseCode::NoRoom, "the room has closed", None);
                        break;
                    }
                    Err(RecvError::Lagged(turns_lost)) => {
                        tracing::warn!(room = %self.room.name, turns_lost, "a hall lay behind");
                        let (again, position) = self.room.follow();
                        turns = again;
                        self.unseat_all(position);
                    }
                },
                Ok(()) = denials.changed() => self.let_go(),
                _ = tends.tick() => {
                    self.tend();
                    empty = if self.is_empty() { empty + 1 } else { 0 };
                    if empty > EMPTY_TENDS {
                        break;
                    }
                }
            }
            self.moved.notify_waiters();
        }
        self.is_over.set(true);
        self.moved.notify_waiters();
    }

    /// True once nobody is served here any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    fn is_empty(&self) -> bool {
        self.rows.borrow().members.is_empty() && self.entering.get() == 0
    }

    /// Somebody comes to the door.
    pub(super) fn arrive(&self) {
        self.entering.set(self.entering.get() + 1);
    }

    /// Somebody at the door is in, or has gone.
    pub(super) fn arrived(&self) {
        self.entering.set(self.entering.get() - 1);
    }

    /// Waits for the next turn. Create it before [`Self::admit`], so that none is missed.
    pub(super) fn moved(&self) -> tokio::sync::futures::Notified<'_> {
        self.moved.notified()
    }

    /// Where those stood who had to enter again.
    pub(super) fn left(&self) -> Option<Position> {
        self.rows.borrow().left.clone()
    }

    /// Seats `member` if `ticket` is good. `hello` makes the first event from the position that the
    /// others follow, and whether he has resumed.
    pub(super) fn admit(
        &self,
        member: &Rc<Member>,
        ticket: &Ticket,
        hello: impl FnOnce(&Position, bool) -> Vec<u8>,
    ) -> Admission {
        if self.is_giving.get() {
            return Admission::Wait;
        }
        let mut rows = self.rows.borrow_mut();
        let Some(here) = rows.position.clone() else {
            return match ticket.snapshot {
                Some(_) => Admission::Wait,
                None => Admission::NeedsSnapshot,
            };
        };
        let (from, snapshot) = match (&ticket.from, &ticket.snapshot) {
            (Some(from), _) if from.epoch == here.epoch && is_ahead(from, &here) => {
                return Admission::Wait;
            }
            (Some(from), _) if self.room.between(from, &here).is_some() => (from, None),
            (_, Some(held)) if held.position.epoch != here.epoch => return Admission::Wait,
            (_, Some(held)) if is_ahead(&held.position, &here) => return Admission::Wait,
            (_, Some(held)) => (&held.position, Some(held)),
            (_, None) => return Admission::NeedsSnapshot,
        };
        let Some(missed) = self.room.between(from, &here) else {
            return Admission::NeedsSnapshot;
        };
        let now = clock::now();
        let format = member.format;
        let give = |bytes: Bytes| {
            bytes.is_empty() || member.send(Class::Program, bytes, now, &self.figures)
        };
        let hello = format.one(&hello(from, snapshot.is_none()), None);
        let state = snapshot.map(|held| held.batch.form(format).whole.clone());
        let missed = Batch::new(missed, from.clone(), here.clone());
        let missed = missed.form(format).whole.clone();
        // Who goes away while he enters is noticed by his own task.
        let _is_here = give(hello) && give(state.unwrap_or_default()) && give(missed);
        member.seat();
        let with = if snapshot.is_some() {
            "snapshot"
        } else {
            "resumed"
        };
        self.figures.entries.get_or_create(&Entry { with }).inc();
        rows.members.push(member.clone());
        let id = member.who.id.clone();
        rows.by_user.entry(id).or_default().push(member.clone());
        Admission::Seated
    }

    /// Gives all members `batch`, some in each turn.
    async fn give(&self, batch: &Batch) {
        self.rows.borrow_mut().position = Some(batch.after.clone());
        if batch.len() > 0 {
            let seated = self.rows.borrow().members.len();
            self.is_giving.set(true);
            self.give_all(batch).await;
            self.is_giving.set(false);
            self.figures.batches.inc();
            if batch.left_us > 0 && seated > 0 {
                let delay_us = (clock::unix_us() - batch.left_us).max(0);
                self.figures.delay.observe(delay_us as f64 / 1e6);
            }
            self.figures
                .deliveries
                .inc_by((seated * batch.len()) as u64);
        }
        let (now, rows) = (clock::now(), self.rows.borrow());
        for item in &batch.personal {
            let Some(user) = &item.label.to else { continue };
            for member in rows.of_user(user) {
                let bytes = member.format.one(&item.json, None);
                let _is_here = member.send(item.label.class, bytes, now, &self.figures);
                self.figures.deliveries.inc();
            }
        }
        for user in &batch.banned {
            for member in rows.of_user(user) {
                member.close(CloseCode::Banned, "you are banned from this room", now);
            }
        }
    }

    async fn give_all(&self, batch: &Batch) {
        let mut forms = [None; FORMATS];
        let mut next = self.give_some(batch, 0, &mut forms);
        while let Some(from) = next {
            tokio::task::yield_now().await;
            next = self.give_some(batch, from, &mut forms);
        }
    }

    /// Gives `batch` to members from the one at `from` on; who is next, if anybody.
    fn give_some<'a>(
        &self,
        batch: &'a Batch,
        from: usize,
        forms: &mut [Option<&'a Form>; FORMATS],
    ) -> Option<usize> {
        let now = clock::now();
        let mut rows = self.rows.borrow_mut();
        let next = rows.some(from, TURN_MEMBERS, |member| {
            let form = &mut forms[member.format as usize];
            let form = form.get_or_insert_with(|| batch.form(member.format));
            member.give(form, now, &self.figures)
        });
        (next < rows.members.len()).then_some(next)
    }

    /// Gives `member` something of his own. False when he takes part no longer.
    pub(super) fn send(&self, member: &Member, class: Class, bytes: Bytes) -> bool {
        member.send(class, bytes, clock::now(), &self.figures)
    }

    /// Lets all members enter again, each from where the hall stood.
    fn unseat_all(&self, position: Option<Position>) {
        let mut rows = self.rows.borrow_mut();
        for member in rows.members.drain(..) {
            member.unseat();
        }
        rows.by_user.clear();
        let left = std::mem::replace(&mut rows.position, position);
        rows.left = left.or_else(|| rows.left.take());
    }

    /// Closes all connections, after `notice`.
    fn close_all(&self, code: CloseCode, reason: &str, notice: Option<&[u8]>) {
        let now = clock::now();
        let mut rows = self.rows.borrow_mut();
        for member in rows.members.drain(..) {
            member.close_after(notice, code, reason, now);
        }
        rows.by_user.clear();
        rows.position = None;
    }

    /// Closes the connections of those who are denied access.
    fn let_go(&self) {
        let now = clock::now();
        let mut rows = self.rows.borrow_mut();
        rows.some(0, usize::MAX, |member| member.keep_if_allowed(now));
    }

    fn tend(&self) {
        let config = self.settings.config();
        let (heartbeat, offline) = (config.heartbeat(), config.offline());
        let now = clock::now();
        let mut rows = self.rows.borrow_mut();
        let tend = |member: &Member| member.tend(heartbeat, offline, now, &self.figures);
        rows.some(0, usize::MAX, tend);
    }
}

impl Rows {
    /// Runs `act` for at most `count` members from the one at `from` on, and lets go of those for
    /// whom it says false. Returns where the next one is.
    fn some(&mut self, from: usize, count: usize, mut act: impl FnMut(&Member) -> bool) -> usize {
        let mut index = from;
        while let Some(member) = self.members.get(index).filter(|_| index - from < count) {
            if act(member) {
                index += 1;
                continue;
            }
            let gone = self.members.swap_remove(index);
            if let Some(same) = self.by_user.get_mut(&gone.who.id) {
                same.retain(|other| !Rc::ptr_eq(other, &gone));
                if same.is_empty() {
                    self.by_user.remove(&gone.who.id);
                }
            }
        }
        index
    }

    fn of_user(&self, user: &str) -> &[Rc<Member>] {
        self.by_user.get(user).map_or(&[], |same| same)
    }
}

/// True when `position` knows something that the hall, at `here`, does not.
fn is_ahead(position: &Position, here: &Position) -> bool {
    let mut lanes = position.seq.iter().zip(here.seq);
    lanes.any(|(there, here)| *there > here)
}
