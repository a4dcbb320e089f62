//! Likes and presence: counted at once, told now and then. Pure.

use serde_json::{Value, json};

use crate::protocol::interact::event::Kind;
use crate::rooms::authority::clock::Now;
use crate::rooms::authority::likes::Likes;
use crate::rooms::authority::presence::Presence;

/// How often presence is told at most, in milliseconds.
const PRESENCE_MS: i64 = 1000;

/// How long every tick goes on to tell the total of likes after it has grown, in milliseconds.
/// 2000: a room that is liked once a second has every tick filled, so a storm of likes sends
/// members not one message more than a trickle, and no burst finds the edges unprepared. Nobody
/// likes: silence.
const FLOWING_MS: i64 = 2000;

/// The totals of one room.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) likes: Likes,
    pub(super) presence: Presence,
    like_tick_ms: i64,
    likes_told: Told<u64>,
    /// Until when ticks are filled, whether the total grows or not.
    likes_flow_until_ms: i64,
    presence_told: Told<(u64, u64)>,
}

/// A total that is told now and then.
#[derive(Debug, Default)]
struct Told<T> {
    value: T,
    at_ms: Option<i64>,
}

impl Totals {
    /// Nothing counted.
    pub(super) fn new(like_tick_ms: u32, now: Now) -> Self {
        Self {
            likes: Likes::new(now.ms),
            presence: Presence::default(),
            like_tick_ms: like_tick_ms.into(),
            likes_told: Told::default(),
            likes_flow_until_ms: now.ms,
            presence_told: Told::default(),
        }
    }

    /// Goes on at another pace.
    pub(super) fn keep_pace(&mut self, like_tick_ms: u32) {
        self.like_tick_ms = like_tick_ms.into();
    }

    /// What is to be told now, and when to look again.
    pub(super) fn poll(&mut self, now: Now) -> (Vec<(Kind, Value)>, Option<i64>) {
        let mut news = Vec::new();
        let likes = self.poll_likes(now, &mut news);
        let presence = self.poll_presence(now, &mut news);
        (news, [likes, presence].into_iter().flatten().min())
    }

    /// Who is here, as it was told last.
    pub(super) fn presence_told(&self) -> Value {
        presence(self.presence_told.value)
    }

    fn poll_likes(&mut self, now: Now, news: &mut Vec<(Kind, Value)>) -> Option<i64> {
        let total = self.likes.total();
        let has_grown = total != self.likes_told.value;
        if !has_grown && now.ms >= self.likes_flow_until_ms {
            return None;
        }
        let due_ms = self.likes_told.due_ms(self.like_tick_ms, now);
        if due_ms > now.ms {
            return Some(due_ms);
        }
        let next_ms = now.ms + self.like_tick_ms.max(1);
        if !self.likes.is_settled(now.ms) {
            return Some(next_ms);
        }
        if has_grown {
            self.likes_flow_until_ms = now.ms + FLOWING_MS;
        }
        self.likes_told.tell(total, now);
        news.push((Kind::Like, json!({ "total": total })));
        (next_ms < self.likes_flow_until_ms).then_some(next_ms)
    }

    fn poll_presence(&mut self, now: Now, news: &mut Vec<(Kind, Value)>) -> Option<i64> {
        self.presence.expire(now.ms);
        let counts = (self.presence.online(), self.presence.unique());
        if counts != self.presence_told.value {
            let due_ms = self.presence_told.due_ms(PRESENCE_MS, now);
            if due_ms > now.ms {
                return Some(due_ms);
            }
            self.presence_told.tell(counts, now);
            news.push((Kind::Presence, presence(counts)));
        }
        self.presence.is_known().then_some(now.ms + PRESENCE_MS)
    }
}

fn presence((online, unique): (u64, u64)) -> Value {
    json!({ "online": online, "unique": unique })
}

impl<T> Told<T> {
    /// When the next value may be told.
    fn due_ms(&self, tick_ms: i64, now: Now) -> i64 {
        self.at_ms.map_or(now.ms, |at_ms| at_ms + tick_ms)
    }

    fn tell(&mut self, value: T, now: Now) {
        self.value = value;
        self.at_ms = Some(now.ms);
    }
}
