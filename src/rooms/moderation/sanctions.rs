//! Who is muted, who is banned, and how slowly all speak: the same on every node, because each
//! applies the same `mod` events to the same snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize as _;

use crate::protocol::interact::command::Moderation;
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::Refusal;
use crate::protocol::interact::{Event, Member, Role};

/// Mutes of a room, and bans of a room. When there are more, the one that ends first goes: it is
/// the one that is needed least.
pub const SANCTIONS_MAX: usize = 10_000;

/// Speakers remembered in slow mode. When there are more, all are forgotten at once: each may then
/// speak once too early.
const SPEAKERS_MAX: usize = 100_000;

/// The sanctions of one room. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct Sanctions {
    mutes: HashMap<Arc<str>, i64>,
    bans: HashMap<Arc<str>, i64>,
    slow_seconds: u32,
    /// When each spoke last, while slow mode is on.
    spoke: HashMap<Arc<str>, i64>,
}

impl Sanctions {
    /// As a snapshot has them: user, until, true for a ban.
    #[must_use]
    pub fn new(list: &[(Arc<str>, i64, bool)], slow_seconds: u32) -> Self {
        let mut sanctions = Self {
            slow_seconds,
            ..Self::default()
        };
        for (user, until_ms, is_ban) in list {
            sanctions.sentence(*is_ban, user, *until_ms);
        }
        sanctions
    }

    /// For a snapshot: those still in force.
    #[must_use]
    pub fn list(&self, now_ms: i64) -> Vec<(Arc<str>, i64, bool)> {
        let one = |ban| move |(user, until): (&Arc<str>, &i64)| (user.clone(), *until, ban);
        let all = self.mutes.iter().map(one(false));
        let mut list: Vec<_> = all.chain(self.bans.iter().map(one(true))).collect();
        list.retain(|(_, until_ms, _)| *until_ms > now_ms);
        list.sort();
        list
    }

    /// Applies what a moderator decided at `at_ms`.
    pub fn decide(&mut self, moderation: &Moderation, at_ms: i64) {
        let until = |seconds: &u32| at_ms.saturating_add(i64::from(*seconds) * 1000);
        match moderation {
            Moderation::Mute { user, seconds } => self.sentence(false, user, until(seconds)),
            Moderation::Ban { user, seconds } => self.sentence(true, user, until(seconds)),
            Moderation::Unmute { user } => {
                self.mutes.remove(user);
            }
            Moderation::Unban { user } => {
                self.bans.remove(user);
            }
            Moderation::Slow { seconds } => {
                self.slow_seconds = *seconds;
                self.spoke.clear();
            }
            Moderation::Retract { .. } => {}
        }
    }

    /// Applies a `mod` event, whose body is the decision. Returns it; `None` for any other event.
    pub fn apply(&mut self, event: &Event) -> Option<Moderation> {
        if event.kind != Kind::Mod {
            return None;
        }
        let moderation = Moderation::deserialize(&event.body).ok()?;
        self.decide(&moderation, event.at);
        Some(moderation)
    }

    /// Whether `member` may be here.
    pub fn may_enter(&self, member: &Member, now_ms: i64) -> Result<(), Refusal> {
        match left_seconds(&self.bans, &member.id, now_ms) {
            Some(left) => Err(refusal(
                403,
                "banned",
                "you are banned from this room",
                left,
            )),
            None => Ok(()),
        }
    }

    /// Whether `member` may say something now.
    pub fn may_speak(&self, member: &Member, now_ms: i64) -> Result<(), Refusal> {
        self.may_enter(member, now_ms)?;
        if let Some(left) = left_seconds(&self.mutes, &member.id, now_ms) {
            return Err(refusal(403, "muted", "you are muted in this room", left));
        }
        if member.role >= Role::Moderator {
            return Ok(());
        }
        let waits_ms = i64::from(self.slow_seconds) * 1000;
        let until_ms = self.spoke.get(&member.id).map(|at_ms| at_ms + waits_ms);
        match until_ms.filter(|until_ms| *until_ms > now_ms) {
            None => Ok(()),
            Some(until_ms) => {
                let detail = format!("slow mode: one comment in {} seconds", self.slow_seconds);
                Err(refusal(
                    429,
                    "slow_mode",
                    &detail,
                    seconds(until_ms - now_ms),
                ))
            }
        }
    }

    /// `member` has said something that was taken.
    pub fn has_spoken(&mut self, member: &Member, now_ms: i64) {
        if self.slow_seconds == 0 {
            return;
        }
        if self.spoke.len() >= SPEAKERS_MAX {
            self.spoke.clear();
        }
        self.spoke.insert(member.id.clone(), now_ms);
    }

    /// One comment of each user in this many seconds; 0: no slow mode.
    #[must_use]
    pub fn slow_seconds(&self) -> u32 {
        self.slow_seconds
    }

    /// Forgets what is over. To be called now and then.
    pub fn sweep(&mut self, now_ms: i64) {
        self.mutes.retain(|_, until_ms| *until_ms > now_ms);
        self.bans.retain(|_, until_ms| *until_ms > now_ms);
        let waits_ms = i64::from(self.slow_seconds) * 1000;
        self.spoke.retain(|_, at_ms| *at_ms + waits_ms > now_ms);
    }

    fn sentence(&mut self, is_ban: bool, user: &Arc<str>, until_ms: i64) {
        let list = if is_ban {
            &mut self.bans
        } else {
            &mut self.mutes
        };
        if list.len() >= SANCTIONS_MAX && !list.contains_key(user) {
            let first = list.iter().min_by_key(|(_, until_ms)| **until_ms);
            if let Some(first) = first.map(|(user, _)| user.clone()) {
                list.remove(&first);
            }
        }
        list.insert(user.clone(), until_ms);
    }
}

fn left_seconds(list: &HashMap<Arc<str>, i64>, user: &str, now_ms: i64) -> Option<u32> {
    let left_ms = *list.get(user)? - now_ms;
    (left_ms > 0).then(|| seconds(left_ms))
}

/// Rounded up: who waits so long is never too early.
fn seconds(milliseconds: i64) -> u32 {
    u32::try_from(milliseconds.saturating_add(999) / 1000).unwrap_or(u32::MAX)
}

fn refusal(status: u16, code: &str, detail: &str, retry_after_s: u32) -> Refusal {
    Refusal {
        status,
        code: code.to_owned(),
        detail: detail.to_owned(),
        retry_after_s: Some(retry_after_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Class;

    fn member(id: &str, role: Role) -> Member {
        Member::new(id, "", role).unwrap()
    }

    fn event(at_ms: i64, moderation: &Moderation) -> Event {
        let body = serde_json::to_value(moderation).unwrap();
        Event::new(Kind::Mod, Class::Order, "01J", at_ms, body)
    }

    fn code(result: Result<(), Refusal>) -> Option<(String, Option<u32>)> {
        result
            .err()
            .map(|refusal| (refusal.code, refusal.retry_after_s))
    }

    #[test]
    fn mute_and_ban_end_by_themselves_or_by_a_word() {
        let (li, mei) = (member("li", Role::Viewer), member("mei", Role::Viewer));
        let mut sanctions = Sanctions::default();
        let (user, seconds) = (li.id.clone(), 60);
        let mute = Moderation::Mute { user, seconds };
        assert_eq!(sanctions.apply(&event(1000, &mute)), Some(mute));
        assert_eq!(
            code(sanctions.may_speak(&li, 2000)),
            Some(("muted".into(), Some(59)))
        );
        assert_eq!(code(sanctions.may_enter(&li, 2000)), None);
        assert_eq!(code(sanctions.may_speak(&mei, 2000)), None);
        assert_eq!(code(sanctions.may_speak(&li, 61_000)), None);

        let user = mei.id.clone();
        sanctions.apply(&event(1000, &Moderation::Ban { user, seconds }));
        assert_eq!(
            code(sanctions.may_enter(&mei, 60_999)),
            Some(("banned".into(), Some(1)))
        );
        assert_eq!(code(sanctions.may_speak(&mei, 2000)).unwrap().0, "banned");
        let user = mei.id.clone();
        sanctions.apply(&event(3000, &Moderation::Unban { user }));
        assert_eq!(code(sanctions.may_enter(&mei, 3000)), None);
    }

    #[test]
    fn slow_mode_holds_viewers_back() {
        let (li, host) = (member("li", Role::Viewer), member("host", Role::Host));
        let mut sanctions = Sanctions::default();
        sanctions.decide(&Moderation::Slow { seconds: 10 }, 0);
        for member in [&li, &host] {
            assert_eq!(code(sanctions.may_speak(member, 1000)), None);
            sanctions.has_spoken(member, 1000);
        }
        assert_eq!(
            code(sanctions.may_speak(&li, 1500)),
            Some(("slow_mode".into(), Some(10)))
        );
        assert_eq!(code(sanctions.may_speak(&host, 1500)), None);
        assert_eq!(code(sanctions.may_speak(&li, 11_000)), None);
        sanctions.decide(&Moderation::Slow { seconds: 0 }, 2000);
        assert_eq!(code(sanctions.may_speak(&li, 2000)), None);
    }

    #[test]
    fn list_makes_the_same_sanctions() {
        let list = vec![
            ("a".into(), 5000, true),
            ("a".into(), 9000, false),
            ("b".into(), 7, true),
        ];
        let mut sanctions = Sanctions::new(&list, 3);
        assert_eq!(sanctions.list(10), list[..2]);
        sanctions.sweep(6000);
        assert_eq!(sanctions.list(10), list[1..2]);
        assert_eq!(sanctions.slow_seconds(), 3);
    }

    #[test]
    fn sanctions_are_bounded_and_the_shortest_goes_first() {
        let mut sanctions = Sanctions::default();
        for n in 0..=SANCTIONS_MAX {
            let (user, seconds) = (n.to_string().into(), 100 + u32::try_from(n).unwrap());
            sanctions.decide(&Moderation::Mute { user, seconds }, 0);
        }
        assert_eq!(sanctions.list(0).len(), SANCTIONS_MAX);
        assert_eq!(
            code(sanctions.may_speak(&member("0", Role::Viewer), 0)),
            None
        );
        assert!(sanctions.may_speak(&member("1", Role::Viewer), 0).is_err());
    }

    #[test]
    fn other_events_change_nothing() {
        let mut sanctions = Sanctions::default();
        let mut other = event(0, &Moderation::Slow { seconds: 9 });
        other.kind = Kind::Notice;
        assert_eq!(sanctions.apply(&other), None);
        let odd = Event::new(Kind::Mod, Class::Order, "01J", 0, "odd".into());
        assert_eq!(sanctions.apply(&odd), None);
        assert_eq!(sanctions.slow_seconds(), 0);
    }
}
