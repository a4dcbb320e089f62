//! An open room: its rules, its tracks, and the task that keeps its rhythm and saves its state.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::ledger::Ledger;
use crate::media::RoomName;
use crate::protocol::interact::Event;
use crate::protocol::interact::event::Kind;
use crate::rooms::Settings;
use crate::rooms::authority::audit::Trail;
use crate::rooms::authority::clock::{Clock, Now};
use crate::rooms::authority::metrics::Metrics;
use crate::rooms::authority::room::{Room, State};
use crate::rooms::authority::tracks::Tracks;
use crate::runtime::Shutdown;

/// How often a state that changes all the time is saved.
const SAVE: Duration = Duration::from_secs(1);

/// How long who waits for a save lets others join it.
const SAVE_SOON: Duration = Duration::from_millis(5);

/// How long a host or moderator waits for his word to be saved before he is told that it is out.
const SAVED_WAIT: Duration = Duration::from_secs(2);

/// A room as it is saved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    /// The origin that had it.
    pub(super) node: Arc<str>,
    /// Names the epoch; later ones are greater.
    pub(super) epoch_ms: i64,
    /// Since when there is no show, in milliseconds since 1970; `None`: it was live when saved.
    pub(super) quiet_since_ms: Option<i64>,
    /// When it was saved, in milliseconds since 1970.
    pub(super) saved_ms: i64,
    pub(super) state: State,
}

/// What all open rooms share.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub(super) node: Arc<str>,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) ledger: Ledger,
    pub(super) trail: Trail,
    pub(super) metrics: Metrics,
}

/// An open room.
#[derive(Debug)]
pub(super) struct Open {
    name: RoomName,
    tools: Tools,
    /// `None` once it is closed.
    inner: Mutex<Option<Inner>>,
    /// Something is due earlier than the task believes.
    sooner: Notify,
    /// There is something to save; and somebody waits for it.
    changed: Notify,
    awaited: Notify,
    saved: watch::Sender<Versions>,
    closed: Shutdown,
}

/// Versions of the state: the last that the ledger was asked to keep, and the last that it keeps.
#[derive(Debug, Clone, Copy, Default)]
struct Versions {
    tried: u64,
    kept: u64,
}

#[derive(Debug)]
struct Inner {
    room: Room,
    tracks: Tracks,
    epoch_ms: i64,
    quiet_since_ms: Option<i64>,
    likes: u64,
    version: u64,
    sleeps_until_ms: i64,
}

impl Open {
    /// A room whose task has yet to be run.
    pub(super) fn new(
        name: RoomName,
        tools: Tools,
        room: Room,
        tracks: Tracks,
        quiet_since_ms: Option<i64>,
    ) -> Self {
        let epoch_ms = tracks.info().started_us / 1000;
        let inner = Inner {
            likes: room.total_likes(),
            version: room.version(),
            room,
            tracks,
            epoch_ms,
            quiet_since_ms,
            sleeps_until_ms: i64::MAX,
        };
        Self {
            name,
            tools,
            inner: Mutex::new(Some(inner)),
            sooner: Notify::new(),
            changed: Notify::new(),
            awaited: Notify::new(),
            saved: watch::Sender::default(),
            closed: Shutdown::new(),
        }
    }

    /// Lets the room do something, and puts out what comes of it; `None` once it is closed.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Room, Now) -> R) -> Option<R> {
        let mut inner = self.inner.lock();
        let inner = inner.as_mut()?;
        let now = self.tools.clock.now();
        let result = act(&mut inner.room, now);
        let due_ms = self.put_out(inner, now);
        if due_ms.is_some_and(|due_ms| due_ms < inner.sleeps_until_ms) {
            self.sooner.notify_one();
        }
        Some(result)
    }

    /// As [`Self::with`], for what a host or moderator says: returns when it is saved too, or when
    /// that takes too long. What he said is out in any case.
    pub(super) async fn with_saved<R>(&self, act: impl FnOnce(&mut Room, Now) -> R) -> Option<R> {
        let mut saved = self.saved.subscribe();
        let (result, version) = self.with(|room, now| {
            let result = act(room, now);
            (result, room.version())
        })?;
        if saved.borrow_and_update().tried < version {
            self.awaited.notify_one();
            let wait = saved.wait_for(|saved| saved.tried >= version);
            if tokio::time::timeout(SAVED_WAIT, wait).await.is_err() {
                tracing::warn!(room = %self.name, "the room's state is not saved yet");
            }
        }
        Some(result)
    }

    /// Says whether there is a show; how long there has been none, in milliseconds.
    pub(super) fn set_live(&self, is_live: bool) -> i64 {
        let now = self.tools.clock.now();
        let mut inner = self.inner.lock();
        let Some(inner) = inner.as_mut() else {
            return 0;
        };
        let since_ms = match is_live {
            true => None,
            false => inner.quiet_since_ms.or(Some(now.unix_ms)),
        };
        if std::mem::replace(&mut inner.quiet_since_ms, since_ms) != since_ms {
            inner.room.touch();
            self.changed.notify_one();
        }
        since_ms.map_or(0, |since_ms| now.unix_ms - since_ms)
    }

    /// Counts the time without a show anew, as when a host says something.
    pub(super) fn touch(&self) {
        if let Some(inner) = self.inner.lock().as_mut() {
            let now_ms = self.tools.clock.now().unix_ms;
            inner.quiet_since_ms = inner.quiet_since_ms.map(|_| now_ms);
        }
    }

    /// Ends the room's broadcast and its task. Returns what is left of it; `None` when it was
    /// closed before.
    pub(super) fn close(&self) -> Option<Saved> {
        let mut inner = self.inner.lock().take()?;
        self.closed.request();
        Some(self.state_of(&mut inner))
    }

    /// Keeps the room's rhythm and saves its state until it is closed or `shutdown` is requested.
    pub(super) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        tokio::select! {
            () = self.keep_time() => {}
            () = self.keep_saved() => {}
            () = self.closed.requested() => {}
            () = shutdown.requested() => self.save().await,
        }
    }

    async fn keep_time(&self) {
        while let Some(due_ms) = self.tick() {
            let sleep = tokio::time::sleep_until(self.tools.clock.instant(due_ms));
            tokio::select! {
                () = self.sooner.notified() => continue,
                () = sleep => {}
            }
            let late_ms = self.tools.clock.now().ms - due_ms;
            let late = Duration::from_millis(u64::try_from(late_ms).unwrap_or(0));
            self.tools.metrics.tick_lateness.observe(late.as_secs_f64());
        }
    }

    /// Does what is due. Returns when something will be; `None` once the room is closed.
    fn tick(&self) -> Option<i64> {
        let mut inner = self.inner.lock();
        let inner = inner.as_mut()?;
        let now = self.tools.clock.now();
        // Nothing is due for ever: an hour is as good, and fits every clock.
        let due_ms = self.put_out(inner, now).unwrap_or(now.ms + 3_600_000);
        inner.sleeps_until_ms = due_ms;
        Some(due_ms)
    }

    /// Writes what the room has to tell into its tracks. Returns when something is due.
    fn put_out(&self, inner: &mut Inner, now: Now) -> Option<i64> {
        let Inner { room, tracks, .. } = inner;
        room.keep_pace(self.tools.settings.pace());
        let room_due = room.poll(now);
        let events = room.take_events();
        for event in &events {
            tracks.append(event, now);
        }
        let due = [room_due, tracks.poll(now)].into_iter().flatten().min();
        self.tools.trail.append(&self.name, room.take_audit());
        self.count(&events, room);
        let total = room.total_likes();
        let news = total.saturating_sub(inner.likes);
        self.tools.metrics.likes.inc_by(news);
        inner.likes = total;
        if std::mem::replace(&mut inner.version, room.version()) != room.version() {
            self.changed.notify_one();
        }
        due
    }

    fn count(&self, events: &[Event], room: &mut Room) {
        let metrics = &self.tools.metrics;
        let is_comment = |event: &&Event| event.kind == Kind::Comment;
        let comments = events.iter().filter(is_comment).count() as u64;
        metrics.events.inc_by(events.len() as u64);
        metrics.comments_shown.inc_by(comments);
        metrics.comments_unseen.inc_by(room.take_unseen());
    }

    async fn keep_saved(&self) {
        loop {
            tokio::select! {
                () = self.awaited.notified() => tokio::time::sleep(SAVE_SOON).await,
                () = self.changed.notified() => tokio::select! {
                    () = self.awaited.notified() => tokio::time::sleep(SAVE_SOON).await,
                    () = tokio::time::sleep(SAVE) => {}
                }
            }
            self.save().await;
        }
    }

    /// Saves the state if it has changed. One that the ledger refuses is tried again in a while.
    async fn save(&self) {
        let Some((version, saved)) = self.state() else {
            return;
        };
        if self.saved.borrow().kept == version {
            return;
        }
        let began = crate::runtime::clock::now();
        let result = self.tools.ledger.save_room(&self.name, saved.to_bytes());
        let result = result.await;
        let took = began.elapsed().as_secs_f64();
        self.tools.metrics.save_seconds.observe(took);
        if let Err(error) = &result {
            tracing::warn!(room = %self.name, %error, "the room's state is not saved");
            self.tools.metrics.saves_failed.inc();
            self.changed.notify_one();
        }
        self.saved.send_modify(|versions| {
            versions.tried = version;
            versions.kept = if result.is_ok() {
                version
            } else {
                versions.kept
            };
        });
    }

    fn state(&self) -> Option<(u64, Saved)> {
        let mut inner = self.inner.lock();
        let inner = inner.as_mut()?;
        Some((inner.room.version(), self.state_of(inner)))
    }

    fn state_of(&self, inner: &mut Inner) -> Saved {
        let now = self.tools.clock.now();
        Saved {
            node: self.tools.node.clone(),
            epoch_ms: inner.epoch_ms,
            quiet_since_ms: inner.quiet_since_ms,
            saved_ms: now.unix_ms,
            state: inner.room.save(now),
        }
    }
}

impl Saved {
    pub(super) fn to_bytes(&self) -> Bytes {
        let json = serde_json::to_vec(self);
        json.expect("a state has text keys only").into()
    }

    /// Since when it has been without a show, in milliseconds since 1970.
    pub(super) fn quiet_since_ms(&self) -> i64 {
        self.quiet_since_ms.unwrap_or(self.saved_ms)
    }
}
