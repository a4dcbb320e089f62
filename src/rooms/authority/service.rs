//! The rooms of an origin: which are open, and who asks them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::ledger::{self, Ledger};
use crate::live::{self, AskError, QUESTION_BYTES_MAX, Store};
use crate::media::RoomName;
use crate::protocol::interact::command::{self, Moderation, Program};
use crate::protocol::interact::question::{Audit, OrderAnswer, Refusal};
use crate::protocol::interact::{Answer, Event, Member, Question, Role};
use crate::rooms::authority::audit::Trail;
use crate::rooms::authority::clock::{Clock, MediaClock};
use crate::rooms::authority::metrics::Metrics;
use crate::rooms::authority::open::{Open, Saved, Tools};
use crate::rooms::authority::room::{Comment, Identity, Room};
use crate::rooms::authority::tracks::Tracks;
use crate::rooms::authority::{Parts, RoomStatus};
use crate::rooms::{Config, orders};
use crate::runtime::TaskScope;

/// How often it is looked which rooms are quiet for too long.
const LOOK: Duration = Duration::from_secs(1);

/// How long the ledger is asked for earlier states before rooms open without.
const LOAD_ATTEMPTS_MAX: u32 = 20;

/// The pause between attempts.
const LOAD_RETRY: Duration = Duration::from_millis(500);

/// How long the last state of a room that closes may take to be saved.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// Records in one report of an edge; longer ones are refused.
const AUDIT_RECORDS_MAX: usize = 1024;

/// Changes of orders put out in one go.
const CHANGES_MAX: usize = 256;

/// Answers for the rooms of this origin. Clones share it.
#[derive(Debug, Clone)]
pub struct Authority(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    store: Store,
    desk: orders::Desk,
    ledger: Ledger,
    tools: Tools,
    /// This process.
    origin: Arc<str>,
    scope: TaskScope,
    runtime: Handle,
    /// Earlier states have been looked for; no room opens before.
    is_ready: AtomicBool,
    open: Mutex<HashMap<RoomName, Arc<Open>>>,
    /// What is left of rooms that are not open here, at most one for each room ever saved.
    former: Mutex<HashMap<RoomName, Saved>>,
}

impl Authority {
    /// Restores what was open, and answers from now on; to be called in the runtime that is to do
    /// the work. A ledger that cannot be read just now is tried again for some seconds, then rooms
    /// open without what it holds.
    pub async fn start(config: &Config, parts: Parts) -> Self {
        let metrics = Metrics::register(&parts.metrics);
        let (desk, changes) = parts.orders;
        let clock = Clock::start();
        let shared = Shared {
            origin: format!("{}-{}", parts.node_name, clock.now().unix_ms).into(),
            config: config.clone(),
            store: parts.store,
            desk,
            tools: Tools {
                node: parts.node_name,
                clock,
                ledger: parts.ledger.clone(),
                trail: Trail::start(parts.ledger.clone(), metrics.clone(), &parts.scope),
                metrics,
            },
            ledger: parts.ledger,
            scope: parts.scope.clone(),
            runtime: Handle::current(),
            is_ready: AtomicBool::new(false),
            open: Mutex::default(),
            former: Mutex::default(),
        };
        let this = Self(Arc::new(shared));
        let is_loaded = this.0.load().await;
        let (keeper, shutdown) = (this.0.clone(), parts.scope.shutdown().clone());
        parts.scope.spawn("rooms.keeper", async move {
            tokio::select! {
                () = keeper.keep(is_loaded) => {}
                () = shutdown.requested() => {}
            }
        });
        let (teller, shutdown) = (this.0.clone(), parts.scope.shutdown().clone());
        parts.scope.spawn("rooms.orders", async move {
            tokio::select! {
                () = teller.tell_orders(changes) => {}
                () = shutdown.requested() => {}
            }
        });
        parts.exchange.set_authority(Arc::new(this.clone()));
        this
    }

    /// Publishes the operator's word, and opens the room for it when need be.
    pub async fn program(
        &self,
        room: &RoomName,
        by: Member,
        program: Program,
    ) -> Result<Event, Refusal> {
        let open = self.0.find_or_open(room)?;
        self.0.program(room, &open, by, program).await
    }

    /// Carries out what the operator decided about a member or a comment.
    pub async fn moderate(
        &self,
        room: &RoomName,
        by: Member,
        moderation: Moderation,
    ) -> Result<Event, Refusal> {
        let open = self.0.find(room).ok_or_else(closed)?;
        let said = open.with_saved(|room, now| room.moderate(by, &moderation, now));
        said.await.ok_or_else(closed)?
    }

    /// A room that is open.
    #[must_use]
    pub fn status(&self, room: &str) -> Option<RoomStatus> {
        let open = self.0.open.lock().get(room).cloned()?;
        open.with(|room, now| room.status(now))
    }

    /// At most `max` records of a room's audit trail from before `before_ms`, the newest first.
    pub async fn audit(
        &self,
        room: &RoomName,
        before_ms: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, ledger::Error> {
        self.0.ledger.audit(room, before_ms, max).await
    }
}

impl live::Authority for Authority {
    fn ask(&self, question: live::Question) -> live::Answer {
        let shared = self.0.clone();
        Box::pin(async move {
            let answer = match serde_json::from_slice(&question.body) {
                Ok(asked) => shared.answer(&question.room, asked).await,
                Err(error) => Answer::Refused(refusal(400, "malformed", &error.to_string())),
            };
            let json = serde_json::to_vec(&answer).expect("an answer has text keys only");
            match json.len() {
                0..=QUESTION_BYTES_MAX => Ok(Bytes::from(json)),
                bytes => Err(AskError::TooLong(bytes)),
            }
        })
    }
}

impl Shared {
    async fn answer(&self, room: &RoomName, question: Question) -> Answer {
        self.tools.metrics.count(&question);
        match question {
            // Orders wait for nothing of the room's.
            Question::Order { buyer, order, load } => {
                Answer::Order(self.order(room, &buyer, &order, load).await)
            }
            Question::OrderState { buyer, key } => {
                Answer::Order(self.desk.state(room, &buyer, &key).await)
            }
            Question::Orders { buyer } => Answer::Events {
                events: self.desk.recent(room, &buyer.id).await,
            },
            // The operator's word opens a room before its show.
            Question::Program { by, program } if by.role == Role::Admin => {
                let said = match self.find_or_open(room) {
                    Ok(open) => self.program(room, &open, by, program).await,
                    Err(refusal) => Err(refusal),
                };
                said.map_or_else(Answer::Refused, |event| Answer::Taken { event })
            }
            question => {
                let answer = match self.find(room) {
                    Some(open) => self.of_room(room, &open, question).await,
                    None => Err(closed()),
                };
                answer.unwrap_or_else(Answer::Refused)
            }
        }
    }

    /// What only an open room answers.
    async fn of_room(
        &self,
        name: &RoomName,
        open: &Open,
        question: Question,
    ) -> Result<Answer, Refusal> {
        match question {
            Question::Comment {
                from,
                text,
                media_ms,
                chorus,
            } => {
                let comment = Comment {
                    from,
                    text,
                    media_ms,
                    chorus,
                };
                let taken = open.with(|room, now| room.comment(comment, now));
                let taken = taken.ok_or_else(closed)?;
                let metrics = &self.tools.metrics;
                match &taken {
                    Ok(_) => metrics.comments_taken.inc(),
                    Err(_) => metrics.comments_refused.inc(),
                };
                taken.map(|event| Answer::Taken { event })
            }
            Question::Program { by, program } => {
                let event = self.program(name, open, by, program).await?;
                Ok(Answer::Taken { event })
            }
            Question::Moderate { by, moderation } => {
                let said = open.with_saved(|room, now| room.moderate(by, &moderation, now));
                let event = said.await.ok_or_else(closed)??;
                Ok(Answer::Taken { event })
            }
            Question::Likes(report) => {
                let taken = open.with(|room, now| room.likes(&report, now));
                taken.map(Answer::Likes).ok_or_else(closed)
            }
            Question::Presence(report) => {
                let taken = open.with(|room, now| room.presence(&report, now));
                taken.ok_or_else(closed)?.map(|()| Answer::Done)
            }
            Question::Snapshot => {
                let snapshot = open.with(|room, now| room.snapshot(now));
                let snapshot = snapshot.ok_or_else(closed)?;
                Ok(Answer::Snapshot(Box::new(snapshot)))
            }
            Question::Audit { records } if records.len() <= AUDIT_RECORDS_MAX => {
                self.tools.trail.append(name, records);
                Ok(Answer::Done)
            }
            Question::Audit { records } => {
                let detail = format!("{} records, at most {AUDIT_RECORDS_MAX}", records.len());
                Err(refusal(413, "too_many", &detail))
            }
            Question::Order { .. } | Question::OrderState { .. } | Question::Orders { .. } => {
                Err(refusal(400, "malformed", "orders do not go to the room"))
            }
        }
    }

    /// An order for a room that is open; of one that is not, what became of it before.
    async fn order(
        &self,
        room: &RoomName,
        buyer: &Member,
        order: &command::Order,
        load: bool,
    ) -> OrderAnswer {
        match self.find(room) {
            Some(_) => self.desk.submit(room, buyer, order, load).await,
            None => self.desk.state(room, buyer, &order.key).await,
        }
    }

    async fn program(
        &self,
        name: &RoomName,
        open: &Open,
        by: Member,
        program: Program,
    ) -> Result<Event, Refusal> {
        let clock = MediaClock::read(&self.store, name);
        let said = open.with_saved(|room, now| room.program(by, program, clock, now));
        let event = said.await.ok_or_else(closed)??;
        open.touch();
        Ok(event)
    }

    /// The room if it is open, or should be.
    fn find(&self, name: &RoomName) -> Option<Arc<Open>> {
        let found = self.open.lock().get(name).cloned();
        found.or_else(|| {
            let show = self.store.room(name.as_str())?;
            let is_live = !show.is_ended();
            is_live.then(|| self.find_or_open(name).ok()).flatten()
        })
    }

    fn find_or_open(&self, name: &RoomName) -> Result<Arc<Open>, Refusal> {
        let mut rooms = self.open.lock();
        if let Some(open) = rooms.get(name) {
            return Ok(open.clone());
        }
        if !self.is_ready.load(Ordering::Acquire) || self.scope.shutdown().is_requested() {
            return Err(refusal(
                503,
                "not_ready",
                "this server is starting or stopping",
            ));
        }
        if rooms.len() >= self.config.rooms_max {
            self.tools.metrics.refused_rooms.inc();
            let detail = format!("this server has its limit of {} rooms", rooms.len());
            return Err(refusal(503, "too_many_rooms", &detail));
        }
        let open = self.open(name)?;
        rooms.insert(name.clone(), open.clone());
        self.tools.metrics.open.set(rooms.len() as i64);
        Ok(open)
    }

    /// Opens a room with what is left of it.
    fn open(&self, name: &RoomName) -> Result<Arc<Open>, Refusal> {
        let now = self.tools.clock.now();
        let former = self.former.lock().get(name).cloned();
        let earliest_ms = former.as_ref().map_or(0, |former| former.epoch_ms + 1);
        let epoch_ms = now.unix_ms.max(earliest_ms);
        let tracks = Tracks::publish(&self.store, name, epoch_ms, now)
            .map_err(|error| refusal(503, "no_room", &error.to_string()))?;
        let identity = Identity {
            name: name.clone(),
            node: self.tools.node.clone(),
            origin: self.origin.clone(),
            epoch: tracks.info().epoch.clone(),
        };
        let mut room = Room::new(identity, &self.config, now);
        let mut quiet_since_ms = now.unix_ms;
        if let Some(former) = former {
            if self.is_young(&former) {
                quiet_since_ms = former.quiet_since_ms();
                room.restore(former.state, now);
            } else {
                room.restore(former.state.sanctions_only(), now);
            }
        }
        tracing::info!(room = %name, epoch = %tracks.info().epoch, "the room is open");
        let tools = self.tools.clone();
        let open = Open::new(name.clone(), tools, room, tracks, Some(quiet_since_ms));
        let open = Arc::new(open);
        let _guard = self.runtime.enter();
        let shutdown = self.scope.shutdown().clone();
        self.scope.spawn("rooms.room", open.clone().run(shutdown));
        Ok(open)
    }

    /// True while a room in that state would be open still.
    fn is_young(&self, saved: &Saved) -> bool {
        let linger_ms = i64::from(self.config.linger_seconds) * 1000;
        saved.quiet_since_ms() + linger_ms > self.tools.clock.now().unix_ms
    }

    /// Reads what is left of all rooms, and opens those that this node had open. False when the
    /// ledger cannot be read.
    async fn load(&self) -> bool {
        let states = match self.ledger.load_rooms().await {
            Ok(states) => states,
            Err(error) => {
                tracing::warn!(%error, "the states of rooms cannot be read");
                return false;
            }
        };
        let mut own = Vec::new();
        for (name, bytes) in states {
            let saved: Saved = match serde_json::from_slice(&bytes) {
                Ok(saved) => saved,
                Err(error) => {
                    tracing::error!(room = %name, %error, "the room's state is of no use");
                    continue;
                }
            };
            if saved.node == self.tools.node && self.is_young(&saved) {
                own.push(name.clone());
            }
            self.former.lock().insert(name, saved);
        }
        self.is_ready.store(true, Ordering::Release);
        for name in own {
            if let Err(error) = self.find_or_open(&name) {
                tracing::warn!(room = %name, error = error.detail, "the room stays closed");
            }
        }
        true
    }

    /// Opens rooms as their shows go live, and closes them when they are quiet for long enough.
    async fn keep(&self, is_loaded: bool) {
        if !is_loaded {
            self.load_at_last().await;
        }
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            self.open_shows();
            for (name, saved) in self.close_quiet() {
                let save = self.ledger.save_room(&name, saved.to_bytes());
                match tokio::time::timeout(LAST_SAVE, save).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(room = %name, %error, "not saved"),
                    Err(_) => tracing::warn!(room = %name, "not saved in time"),
                }
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn load_at_last(&self) {
        for _ in 0..LOAD_ATTEMPTS_MAX {
            tokio::time::sleep(LOAD_RETRY).await;
            if self.load().await {
                return;
            }
        }
        tracing::error!("rooms open without their earlier states");
        self.is_ready.store(true, Ordering::Release);
    }

    fn open_shows(&self) {
        for show in self.store.shows() {
            let name = &show.info().room;
            if show.is_ended() || self.open.lock().contains_key(name) {
                continue;
            }
            if let Err(error) = self.find_or_open(name) {
                tracing::warn!(room = %name, error = error.detail, "the room stays closed");
            }
        }
    }

    /// Closes rooms whose show has been over for long enough. Returns what is left of them.
    fn close_quiet(&self) -> Vec<(RoomName, Saved)> {
        let linger_ms = i64::from(self.config.linger_seconds) * 1000;
        let mut rooms = self.open.lock();
        let is_over = |(name, open): &(&RoomName, &Arc<Open>)| {
            let show = self.store.room(name.as_str());
            let is_live = show.is_some_and(|show| !show.is_ended());
            open.set_live(is_live) >= linger_ms && !is_live
        };
        let over: Vec<RoomName> = rooms
            .iter()
            .filter(is_over)
            .map(|(name, _)| name.clone())
            .collect();
        let mut left = Vec::new();
        for name in over {
            let saved = rooms.remove(&name).and_then(|open| open.close());
            let Some(mut saved) = saved else { continue };
            tracing::info!(room = %name, "the room is closed");
            saved.state = saved.state.sanctions_only();
            self.former.lock().insert(name.clone(), saved.clone());
            left.push((name, saved));
        }
        self.tools.metrics.open.set(rooms.len() as i64);
        left
    }

    async fn tell_orders(&self, mut changes: mpsc::Receiver<orders::Change>) {
        let mut some = Vec::with_capacity(CHANGES_MAX);
        while changes.recv_many(&mut some, CHANGES_MAX).await > 0 {
            for change in some.drain(..) {
                // Whoever is not told now finds the order when he asks.
                let open = self.open.lock().get(&change.room).cloned();
                if let Some(open) = open {
                    open.with(|room, _| room.order(change.event));
                }
            }
        }
    }
}

fn closed() -> Refusal {
    refusal(404, "no_room", "the room is not open")
}

fn refusal(status: u16, code: &str, detail: &str) -> Refusal {
    Refusal {
        status,
        code: code.into(),
        detail: detail.into(),
        retry_after_s: (status == 503).then_some(1),
    }
}

#[cfg(test)]
#[path = "service_test.rs"]
mod tests;
