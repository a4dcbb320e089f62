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
use crate::rooms::authority::audience::{Audience, Rate, Score};
use crate::rooms::authority::clock::{MediaClock, Now};
use crate::rooms::authority::history::History;
use crate::rooms::authority::likes::{self, Likes};
use crate::rooms::authority::refusal::{forbidden, malformed};
use crate::rooms::authority::totals::Totals;
use crate::rooms::authority::{RoomStatus, moderation, program};
use crate::rooms::moderation::Sanctions;
use crate::rooms::settings::Pace;

/// The most sanctions that a snapshot tells, those that end last: more of them learn edges from
/// events only, and the room itself always knows.
const SANCTIONS_TOLD_MAX: usize = 500;

/// The longest text in an audit record, in characters.
const AUDIT_CHARACTERS_MAX: usize = 500;

/// The state of one room, and its rules.
#[derive(Debug)]
pub(super) struct Room {
    name: RoomName,
    node: Arc<str>,
    origin: Arc<str>,
    epoch: Arc<str>,
    last_name: Ulid,
    seq: [u64; 2],
    history: History,
    audience: Audience,
    totals: Totals,
    sanctions: Sanctions,
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

impl Room {
    /// A room that nobody has said anything in.
    pub(super) fn new(identity: Identity, pace: Pace, now: Now) -> Self {
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
            last_name: Ulid::nil(),
            seq: [0; 2],
            history: History::default(),
            audience: Audience::new(pace.batch_ms, pace.visible_per_second, now.ms),
            totals: Totals::new(pace.like_tick_ms, now),
            sanctions: Sanctions::default(),
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
        let (action, subject) = moderation::check(moderation)?;
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
        let before = self.totals.likes.total();
        self.totals.likes.report(report, now.ms);
        // Runs of likes that were counted before are told again by edges.
        self.version += u64::from(self.totals.likes.total() != before);
        LikesTaken {
            total: self.totals.likes.total(),
            origin: self.origin.clone(),
        }
    }

    /// An edge's members.
    pub(super) fn presence(&mut self, report: &PresenceReport, now: Now) -> Result<(), Refusal> {
        let before = self.totals.presence.unique();
        self.totals
            .presence
            .report(report, now.ms)
            .map_err(|error| malformed(&error.to_string()))?;
        self.version += u64::from(self.totals.presence.unique() != before);
        Ok(())
    }

    /// An order has a new state: for its buyer only, so without a number.
    pub(super) fn order(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The state, for members who come anew.
    pub(super) fn snapshot(&self, now: Now) -> Snapshot {
        let mut body = self.history.snapshot();
        body.insert("likes".into(), self.totals.likes.total().into());
        body.insert("presence".into(), self.totals.presence_told());
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

    /// Goes on at another pace.
    pub(super) fn keep_pace(&mut self, pace: Pace) {
        self.audience
            .keep_pace(pace.batch_ms, pace.visible_per_second);
        self.totals.keep_pace(pace.like_tick_ms);
    }

    /// Does what is due. Returns when something will be.
    pub(super) fn poll(&mut self, now: Now) -> Option<i64> {
        let shown = self.audience.take(now.ms);
        self.version += u64::from(!shown.is_empty());
        shown.iter().for_each(|comment| self.history.apply(comment));
        self.events.extend(shown);
        let (news, due_ms) = self.totals.poll(now);
        for (kind, body) in news {
            let name = self.name(now).to_string();
            let event = Event::new(kind, Class::Total, name, now.unix_ms, body);
            self.events.push(event);
        }
        [self.audience.due_ms(), due_ms].into_iter().flatten().min()
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
        self.totals.likes.total()
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
            likes: self.totals.likes.save(),
            users: self.totals.presence.save(),
            sanctions: self.sanctions.list(now.unix_ms),
            slow_seconds: self.sanctions.slow_seconds(),
        }
    }

    /// Takes up what an earlier life of the room has saved. To be called before anything else.
    ///
    /// What is shown is said again: members get it in their snapshot, but nodes that list it in
    /// playlists read nothing but the events of this epoch.
    pub(super) fn restore(&mut self, state: State, now: Now) {
        self.history.restore(state.history);
        self.totals.likes = Likes::restore(state.likes, now.ms);
        self.sanctions = Sanctions::new(&state.sanctions, state.slow_seconds);
        if let Err(error) = self.totals.presence.restore(&state.users) {
            tracing::warn!(room = %self.name, %error, "unique users are counted anew");
        }
        for event in self.history.shown_in(Class::Program) {
            self.publish(event);
        }
    }

    /// The figures of the room.
    pub(super) fn status(&self, now: Now) -> RoomStatus {
        RoomStatus {
            room: self.name.clone(),
            epoch: self.epoch.clone(),
            online: self.totals.presence.online(),
            unique: self.totals.presence.unique(),
            likes: self.totals.likes.total(),
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

/// A number that nobody can choose, from the random part of a name.
fn chance(name: Ulid) -> u64 {
    // Names of one millisecond count upwards; the factor (2^64 by the golden ratio) scatters them.
    (name.random() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
#[path = "room_test.rs"]
mod tests;
