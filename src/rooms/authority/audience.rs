//! Which comments all get to see: at most so many a second, the best of each batch. Pure.

use crate::protocol::interact::{Event, Role};
use crate::rooms::authority::clock::Now;

/// What a comment is worth; the greater is shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score {
    rank: u8,
    chance: u64,
}

impl Score {
    /// Hosts and moderators before buyers before all others before a chorus; by chance among
    /// equals (R5.7).
    pub(super) fn new(role: Role, chorus: bool, chance: u64) -> Self {
        let rank = match role {
            Role::Admin | Role::Host | Role::Moderator => 3,
            _ if chorus => 0,
            Role::Buyer => 2,
            Role::Viewer => 1,
        };
        Self { rank, chance }
    }
}

/// Comments that wait for the next batch, and the allowance of what may be shown.
#[derive(Debug)]
pub(super) struct Audience {
    batch_ms: i64,
    per_second: u32,
    /// Thousandths of a comment that may be shown now; at most a second's worth.
    allowance: i64,
    counted_ms: i64,
    /// In the order of their coming; at most [`Self::per_second`] of them.
    waiting: Vec<(Score, Event)>,
    due_ms: Option<i64>,
    /// Comments that nobody got to see since [`Self::take_unseen`].
    unseen: u64,
}

impl Audience {
    /// Nobody has said anything. Times are milliseconds of a clock that never goes back.
    pub(super) fn new(batch_ms: u32, per_second: u32, now_ms: i64) -> Self {
        Self {
            batch_ms: batch_ms.into(),
            per_second,
            allowance: i64::from(per_second) * 1000,
            counted_ms: now_ms,
            waiting: Vec::new(),
            due_ms: None,
            unseen: 0,
        }
    }

    /// Goes on at another pace.
    pub(super) fn keep_pace(&mut self, batch_ms: u32, per_second: u32) {
        (self.batch_ms, self.per_second) = (batch_ms.into(), per_second);
    }

    /// Puts a comment up for the next batch.
    pub(super) fn offer(&mut self, now_ms: i64, score: Score, event: Event) {
        self.due_ms.get_or_insert(now_ms + self.batch_ms);
        let least = self.waiting.iter().enumerate();
        let least = least.min_by_key(|(_, (score, _))| *score);
        let least = least.map(|(index, (score, _))| (index, *score));
        if self.waiting.len() < self.per_second as usize {
            self.waiting.push((score, event));
            return;
        }
        self.unseen += 1;
        if let Some((index, least)) = least
            && least < score
        {
            self.waiting.remove(index);
            self.waiting.push((score, event));
        }
    }

    /// When the next batch is due.
    pub(super) fn due_ms(&self) -> Option<i64> {
        self.due_ms
    }

    /// The comments to show now, in the order of their coming; the others are let go.
    pub(super) fn take(&mut self, now_ms: i64) -> Vec<Event> {
        if self.due_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return Vec::new();
        }
        self.due_ms = None;
        let full = i64::from(self.per_second) * 1000;
        let earned = (now_ms - self.counted_ms).min(1000) * i64::from(self.per_second);
        self.allowance = (self.allowance + earned).min(full);
        self.counted_ms = now_ms;
        let allowed = usize::try_from(self.allowance / 1000).unwrap_or(0);
        let mut waiting = std::mem::take(&mut self.waiting);
        if waiting.len() > allowed {
            let mut scores: Vec<_> = waiting.iter().map(|(score, _)| *score).collect();
            scores.sort_unstable_by(|a, b| b.cmp(a));
            let bar = allowed.checked_sub(1).and_then(|last| scores.get(last));
            let before = waiting.len();
            match bar {
                Some(bar) => waiting.retain(|(score, _)| score >= bar),
                None => waiting.clear(),
            }
            waiting.truncate(allowed);
            self.unseen += (before - waiting.len()) as u64;
        }
        self.allowance -= i64::try_from(waiting.len()).unwrap_or(0) * 1000;
        waiting.into_iter().map(|(_, event)| event).collect()
    }

    /// Takes a comment back that has not been shown yet.
    pub(super) fn retract(&mut self, id: &str) {
        self.waiting.retain(|(_, event)| &*event.id != id);
    }

    /// How many comments were let go since the last call.
    pub(super) fn take_unseen(&mut self) -> u64 {
        std::mem::take(&mut self.unseen)
    }
}

/// Comments taken, second by second.
#[derive(Debug, Default)]
pub(super) struct Rate {
    second: i64,
    count: u32,
    before: u32,
}

impl Rate {
    /// Counts one.
    pub(super) fn count(&mut self, now: Now) {
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
    pub(super) fn last_second(&self, now: Now) -> u32 {
        match now.ms / 1000 - self.second {
            0 => self.before,
            1 => self.count,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::media::Class;
    use crate::protocol::interact::event::Kind;

    fn offer(audience: &mut Audience, now_ms: i64, role: Role, id: &str, chance: u64) {
        let event = Event::new(Kind::Comment, Class::Comment, id, now_ms, Value::Null);
        audience.offer(now_ms, Score::new(role, false, chance), event);
    }

    fn taken(audience: &mut Audience, now_ms: i64) -> Vec<String> {
        let events = audience.take(now_ms);
        events.iter().map(|event| event.id.to_string()).collect()
    }

    #[test]
    fn comments_leave_together_in_the_order_of_their_coming() {
        let mut audience = Audience::new(200, 30, 0);
        offer(&mut audience, 10, Role::Viewer, "a", 9);
        offer(&mut audience, 150, Role::Host, "b", 1);
        assert_eq!(audience.due_ms(), Some(210));
        assert!(taken(&mut audience, 209).is_empty());
        assert_eq!(taken(&mut audience, 210), ["a", "b"]);
        assert_eq!(audience.due_ms(), None);
    }

    #[test]
    fn hosts_are_seen_before_buyers_before_others() {
        let mut audience = Audience::new(200, 2, 0);
        offer(&mut audience, 0, Role::Viewer, "viewer", 900);
        offer(&mut audience, 1, Role::Buyer, "buyer", 5);
        offer(&mut audience, 2, Role::Viewer, "other", 901);
        offer(&mut audience, 3, Role::Host, "host", 0);
        assert_eq!(taken(&mut audience, 200), ["buyer", "host"]);
        assert_eq!(audience.take_unseen(), 2);
        let chorus = Score::new(Role::Buyer, true, 9);
        assert!(chorus < Score::new(Role::Viewer, false, 0));
        assert!(Score::new(Role::Host, true, 0) > Score::new(Role::Buyer, false, 9));
    }

    #[test]
    fn no_more_are_shown_than_allowed_however_many_come() {
        let mut audience = Audience::new(200, 30, 0);
        let mut shown = 0;
        for now_ms in 0..10_000 {
            for n in 0..5 {
                offer(&mut audience, now_ms, Role::Viewer, "x", n);
            }
            shown += taken(&mut audience, now_ms).len();
        }
        // A second's worth at once, then 30 a second.
        assert!((310..=330).contains(&shown), "{shown}");
        assert_eq!(audience.waiting.len().max(30), 30);
    }

    #[test]
    fn without_batches_a_comment_is_due_at_once() {
        let mut audience = Audience::new(0, 30, 0);
        offer(&mut audience, 5, Role::Viewer, "a", 0);
        assert_eq!(taken(&mut audience, 5), ["a"]);
        let mut closed = Audience::new(0, 0, 0);
        offer(&mut closed, 5, Role::Host, "a", 0);
        assert!(taken(&mut closed, 5).is_empty());
    }

    #[test]
    fn retracted_comment_is_never_shown() {
        let mut audience = Audience::new(200, 30, 0);
        offer(&mut audience, 0, Role::Viewer, "a", 0);
        audience.retract("a");
        assert!(taken(&mut audience, 200).is_empty());
    }
}
