//! One room: what is asked and told goes in, events come out. Pure: time is an argument.
//!
//! Drain [`Room::take_events`] and [`Room::take_audit`] after every call.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::json;
use ulid::Ulid;

use crate::media::{Class, RoomName};
use crate::protocol::interact::command::{Moderation, Program};
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::{Audit, Likes as LikesReport, LikesTaken, Snapshot};
use crate::protocol::interact::question::{Presence as PresenceReport, Refusal};
use crate::protocol::interact::{Event, Member, Role};
use crate::rooms::Config;
use crate::rooms::authority::audience::{Audience, Score};
use crate::rooms::authority::clock::{MediaClock, Now};
use crate::rooms::authority::history::History;
use crate::rooms::authority::likes::{self, Likes};
use crate::rooms::authority::presence::Presence;
use crate::rooms::authority::{RoomStatus, program};
use crate::rooms::moderation::Sanctions;

/// How often presence is told at most, in milliseconds.
const PRESENCE_MS: i64 = 1000;

/// The most sanctions that a snapshot tells, those that end last: more of them learn edges from
/// events only, and the room itself always knows.
const SANCTIONS_TOLD_MAX: usize = 500;

/// The longest sanction, in seconds: a year.
const SANCTION_SECONDS_MAX: u32 = 31_536_000;

/// The slowest slow mode, in seconds (R5.6).
const SLOW_SECONDS_MAX: u32 = 120;

/// The longest name of a user or a comment, in bytes.
const ID_BYTES_MAX: usize = 64;

/// The longest text in an audit record, in characters.
const AUDIT_CHARACTERS_MAX: usize = 500;

/// The state of one room, and its rules.
#[derive(Debug)]
pub(super) struct Room {
    name: RoomName,
    node: Arc<str>,
    origin: Arc<str>,
    epoch: Arc<str>,
    like_tick_ms: i64,
    last_name: Ulid,
    seq: [u64; 2],
    history: History,
    audience: Audience,
    likes: Likes,
    presence: Presence,
    sanctions: Sanctions,
    likes_told: Told<u64>,
    presence_told: Told<(u64, u64)>,
    rate: Rate,
    events: Vec<Event>,
    audit: Vec<Audit>,
    /// Grows with everything that has to be saved.
    version: u64,
}

/// Who a room is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: RoomName,
    /// This node, for the audit trail.
    pub(super) node: Arc<str>,
    /// This process, for edges that have to tell all again.
    pub(super) origin: Arc<str>,
    pub(super) epoch: Arc<str>,
}

/// A room as it is saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    history: History,
    likes: likes::Saved,
    users: String,
    sanctions: Vec<(Arc<str>, i64, bool)>,
    slow_seconds: u32,
}

impl State {
    /// What outlives a room: who was sent away for longer.
    pub(super) fn sanctions_only(self) -> Self {
        Self {
            sanctions: self.sanctions,
            ..Self::default()
        }
    }
}

/// A total that is told now and then.
#[derive(Debug, Default)]
struct Told<T> {
    value: T,
    at_ms: Option<i64>,
}

/// Comments taken, second by second.
#[derive(Debug, Default)]
struct Rate {
    second: i64,
    count: u32,
    before: u32,
}

impl Room {
    /// A room that nobody has said anything in.
    pub(super) fn new(identity: Identity, config: &Config, now: Now) -> Self {
        let Identity {
            name,
            node,
            origin,
            epoch,
        } = identity;
        Self {
            name,
            node,
            origin,
            epoch,
            like_tick_ms: config.like_tick_ms.into(),
            last_name: Ulid::nil(),
            seq: [0; 2],
            history: History::default(),
            audience: Audience::new(config.batch_ms, config.visible_per_second, now.ms),
            likes: Likes::new(now.ms),
            presence: Presence::default(),
            sanctions: Sanctions::default(),
            likes_told: Told::default(),
            presence_told: Told::default(),
            rate: Rate::default(),
            events: Vec::new(),
            audit: Vec::new(),
            version: 0,
        }
    }

    /// A comment that an edge has let pass. The event is as all will see it, if they do.
    pub(super) fn comment(&mut self, comment: Comment, now: Now) -> Result<Event, Refusal> {
        let Comment {
            from,
            text,
            media_ms,
            chorus,
        } = comment;
        if let Err(refusal) = self.sanctions.may_speak(&from, now.unix_ms) {
            self.note(now, &refusal.code, "refuse", &from.id, &text);
            return Err(refusal);
        }
        self.sanctions.has_spoken(&from, now.unix_ms);
        let name = self.name(now);
        let body = json!({ "text": text });
        let mut event = Event::new(
            Kind::Comment,
            Class::Comment,
            name.to_string(),
            now.unix_ms,
            body,
        );
        event.media_ms = media_ms.filter(|media_ms| *media_ms >= 0);
        let score = Score::new(from.role, chorus, chance(name));
        event.from = Some(from);
        self.rate.count(now);
        self.audience.offer(now.ms, score, event.clone());
        Ok(event)
    }

    /// A host's word.
    pub(super) fn program(
        &mut self,
        by: Member,
        mut program: Program,
        clock: Option<MediaClock>,
        now: Now,
    ) -> Result<Event, Refusal> {
        if by.role < Role::Host {
            return Err(forbidden("only hosts show cards, pins, sales and stock"));
        }
        let class = program::check(&program)?;
        let media_ms = program
            .media_ms
            .or_else(|| clock.map(|clock| clock.newest_ms));
        let wall_ms = media_ms.zip(clock).map(|(at, clock)| clock.wall_ms(at));
        program.body.insert("wall_ms".into(), json!(wall_ms));
        let name = self.name(now).to_string();
        let mut event = Event::new(program.kind, class, name, now.unix_ms, json!(program.body));
        event.media_ms = media_ms;
        event.from = Some(by);
        Ok(self.publish(event))
    }

    /// A moderator's word.
    pub(super) fn moderate(
        &mut self,
        by: Member,
        moderation: &Moderation,
        now: Now,
    ) -> Result<Event, Refusal> {
        if by.role < Role::Moderator {
            return Err(forbidden("only moderators mute, ban and retract"));
        }
        let (action, subject) = check_moderation(moderation)?;
        self.note(now, &by.id, action, subject, "");
        if let Moderation::Retract { id } = moderation {
            self.history.retract(id);
            self.audience.retract(id);
        }
        self.sanctions.decide(moderation, now.unix_ms);
        let name = self.name(now).to_string();
        let body = json!(moderation);
        let mut event = Event::new(Kind::Mod, Class::Order, name, now.unix_ms, body);
        event.from = Some(by);
        Ok(self.publish(event))
    }

    /// An edge's likes.
    pub(super) fn likes(&mut self, report: &LikesReport, now: Now) -> LikesTaken {
        let before = self.likes.total();
        self.likes.report(report, now.ms);
        // Runs of likes that were counted before are told again by edges.
        self.version += u64::from(self.likes.total() != before);
        LikesTaken {
            total: self.likes.total(),
            origin: self.origin.clone(),
        }
    }

    /// An edge's members.
    pub(super) fn presence(&mut self, report: &PresenceReport, now: Now) -> Result<(), Refusal> {
        let before = self.presence.unique();
        self.presence
            .report(report, now.ms)
            .map_err(|error| malformed(&error.to_string()))?;
        self.version += u64::from(self.presence.unique() != before);
        Ok(())
    }

    /// An order has a new state: for its buyer only, so without a number.
    pub(super) fn order(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The state, for members who come anew.
    pub(super) fn snapshot(&self, now: Now) -> Snapshot {
        let mut body = self.history.snapshot();
        body.insert("likes".into(), self.likes.total().into());
        let (online, unique) = self.presence_told.value;
        let presence = json!({ "online": online, "unique": unique });
        body.insert("presence".into(), presence);
        body.insert("slow_seconds".into(), self.sanctions.slow_seconds().into());
        let mut sanctions = self.sanctions.list(now.unix_ms);
        sanctions.sort_by_key(|(_, until_ms, _)| std::cmp::Reverse(*until_ms));
        sanctions.truncate(SANCTIONS_TOLD_MAX);
        Snapshot {
            epoch: self.epoch.clone(),
            seq: self.seq,
            body: body.into(),
            sanctions,
        }
    }

    /// Does what is due. Returns when something will be.
    pub(super) fn poll(&mut self, now: Now) -> Option<i64> {
        let shown = self.audience.take(now.ms);
        self.version += u64::from(!shown.is_empty());
        shown.iter().for_each(|comment| self.history.apply(comment));
        self.events.extend(shown);
        let likes = self.poll_likes(now);
        let presence = self.poll_presence(now);
        let due = [self.audience.due_ms(), likes, presence];
        due.into_iter().flatten().min()
    }

    fn poll_likes(&mut self, now: Now) -> Option<i64> {
        let total = self.likes.total();
        let due_ms = self.likes_told.due_ms(&total, self.like_tick_ms, now)?;
        if due_ms > now.ms || !self.likes.is_settled(now.ms) {
            return Some(due_ms.max(now.ms + self.like_tick_ms));
        }
        self.likes_told.tell(total, now);
        self.total(Kind::Like, json!({ "total": total }), now);
        None
    }

    fn poll_presence(&mut self, now: Now) -> Option<i64> {
        self.presence.expire(now.ms);
        let counts = (self.presence.online(), self.presence.unique());
        let due_ms = self.presence_told.due_ms(&counts, PRESENCE_MS, now);
        if due_ms.is_some_and(|due_ms| due_ms <= now.ms) {
            let (online, unique) = counts;
            self.presence_told.tell(counts, now);
            let body = json!({ "online": online, "unique": unique });
            self.total(Kind::Presence, body, now);
        }
        let is_known = self.presence.is_known();
        due_ms
            .filter(|due_ms| *due_ms > now.ms)
            .or_else(|| is_known.then_some(now.ms + PRESENCE_MS))
    }

    /// Events for all, in the order of their tracks, since the last call.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Own decisions since the last call.
    pub(super) fn take_audit(&mut self) -> Vec<Audit> {
        std::mem::take(&mut self.audit)
    }

    /// Comments that nobody got to see, since the last call.
    pub(super) fn take_unseen(&mut self) -> u64 {
        self.audience.take_unseen()
    }

    /// Grows with everything that has to be saved.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// All likes.
    pub(super) fn total_likes(&self) -> u64 {
        self.likes.total()
    }

    /// Something around the room has changed that is saved with it.
    pub(super) fn touch(&mut self) {
        self.version += 1;
    }

    /// What has to survive the process.
    pub(super) fn save(&mut self, now: Now) -> State {
        self.sanctions.sweep(now.unix_ms);
        State {
            history: self.history.clone(),
            likes: self.likes.save(),
            users: self.presence.save(),
            sanctions: self.sanctions.list(now.unix_ms),
            slow_seconds: self.sanctions.slow_seconds(),
        }
    }

    /// Takes up what an earlier life of the room has saved. To be called before anything else.
    pub(super) fn restore(&mut self, state: State, now: Now) {
        self.history.restore(state.history);
        self.likes = Likes::restore(state.likes, now.ms);
        self.sanctions = Sanctions::new(&state.sanctions, state.slow_seconds);
        if let Err(error) = self.presence.restore(&state.users) {
            tracing::warn!(room = %self.name, %error, "unique users are counted anew");
        }
    }

    /// The figures of the room.
    pub(super) fn status(&self, now: Now) -> RoomStatus {
        RoomStatus {
            room: self.name.clone(),
            epoch: self.epoch.clone(),
            online: self.presence.online(),
            unique: self.presence.unique(),
            likes: self.likes.total(),
            comments_per_second: self.rate.last_second(now),
            seq: self.seq,
            cards: self.history.cards(),
            slow_seconds: self.sanctions.slow_seconds(),
        }
    }

    /// Numbers an event, remembers it and puts it out.
    fn publish(&mut self, mut event: Event) -> Event {
        if let Some(seq) = self.seq.get_mut(usize::from(u8::from(event.class))) {
            *seq += 1;
            event.seq = Some(*seq);
        }
        self.history.apply(&event);
        self.version += 1;
        self.events.push(event.clone());
        event
    }

    fn total(&mut self, kind: Kind, body: serde_json::Value, now: Now) {
        let name = self.name(now).to_string();
        self.events
            .push(Event::new(kind, Class::Total, name, now.unix_ms, body));
    }

    /// A name that sorts after all before it.
    fn name(&mut self, now: Now) -> Ulid {
        let since = Duration::from_millis(u64::try_from(now.unix_ms).unwrap_or(0));
        let new = Ulid::from_datetime(UNIX_EPOCH + since);
        self.last_name = match self.last_name.increment() {
            Some(next) if new.timestamp_ms() <= next.timestamp_ms() => next,
            _ => new,
        };
        self.last_name
    }

    fn note(&mut self, now: Now, by: &str, action: &str, user: &str, text: &str) {
        self.audit.push(Audit {
            at: now.unix_ms,
            node: self.node.clone(),
            by: by.into(),
            action: action.into(),
            user: user.into(),
            text: text.chars().take(AUDIT_CHARACTERS_MAX).collect(),
        });
    }
}

/// What `Question::Comment` says.
#[derive(Debug)]
pub(super) struct Comment {
    pub(super) from: Member,
    pub(super) text: String,
    pub(super) media_ms: Option<i64>,
    pub(super) chorus: bool,
}

impl<T: PartialEq> Told<T> {
    /// When `value` may be told, if it is news.
    fn due_ms(&self, value: &T, tick_ms: i64, now: Now) -> Option<i64> {
        let due_ms = self.at_ms.map_or(now.ms, |at_ms| at_ms + tick_ms);
        (self.value != *value).then_some(due_ms)
    }

    fn tell(&mut self, value: T, now: Now) {
        self.value = value;
        self.at_ms = Some(now.ms);
    }
}

impl Rate {
    fn count(&mut self, now: Now) {
        let second = now.ms / 1000;
        if second != self.second {
            self.before = if second == self.second + 1 {
                self.count
            } else {
                0
            };
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
    }

    /// Of the last whole second.
    fn last_second(&self, now: Now) -> u32 {
        match now.ms / 1000 - self.second {
            0 => self.before,
            1 => self.count,
            _ => 0,
        }
    }
}

/// The action's word and whom or what it concerns.
fn check_moderation(moderation: &Moderation) -> Result<(&'static str, &str), Refusal> {
    let (action, subject, seconds, seconds_max) = match moderation {
        Moderation::Mute { user, seconds } => ("mute", user, *seconds, SANCTION_SECONDS_MAX),
        Moderation::Ban { user, seconds } => ("ban", user, *seconds, SANCTION_SECONDS_MAX),
        Moderation::Unmute { user } => ("unmute", user, 0, 0),
        Moderation::Unban { user } => ("unban", user, 0, 0),
        Moderation::Retract { id } => ("retract", id, 0, 0),
        Moderation::Slow { seconds } if *seconds <= SLOW_SECONDS_MAX => return Ok(("slow", "")),
        Moderation::Slow { .. } => {
            let detail = format!("`seconds` has to be at most {SLOW_SECONDS_MAX}");
            return Err(malformed(&detail));
        }
    };
    if seconds > seconds_max {
        let detail = format!("`seconds` has to be at most {seconds_max}");
        return Err(malformed(&detail));
    }
    if !(1..=ID_BYTES_MAX).contains(&subject.len()) || subject.chars().any(char::is_control) {
        let detail = format!("the name has to be 1 to {ID_BYTES_MAX} bytes");
        return Err(malformed(&detail));
    }
    Ok((action, subject))
}

/// A number that nobody can choose, from the random part of a name.
fn chance(name: Ulid) -> u64 {
    // Names of one millisecond count upwards; the factor (2^64 by the golden ratio) scatters them.
    (name.random() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn forbidden(detail: &str) -> Refusal {
    Refusal {
        status: 403,
        code: "not_allowed".into(),
        detail: detail.into(),
        retry_after_s: None,
    }
}

fn malformed(detail: &str) -> Refusal {
    Refusal {
        status: 400,
        code: "malformed".into(),
        detail: detail.into(),
        retry_after_s: None,
    }
}

#[cfg(test)]
#[path = "room_test.rs"]
mod tests;
