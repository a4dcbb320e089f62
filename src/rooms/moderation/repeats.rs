//! Who says the same again, and what many say at once.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::media::RoomName;
use crate::rooms::moderation::recent::Recent;
use crate::runtime::clock::Instant;

/// Users remembered at a time, twice; beyond it the first may repeat themselves.
const USERS_MAX: usize = 50_000;
/// Comments remembered of each user.
const COMMENTS_MAX: usize = 3;
/// Letters compared.
const LETTERS_MAX: usize = 64;
/// Shorter comments are the same only when they are equal: "size 38" is not "size 39".
const NEAR_LETTERS_MIN: usize = 12;
/// Pairs of letters that near-same comments share, of a hundred: one letter of 20 may differ.
const NEAR_PERCENT: usize = 88;
/// Within which many say the same (R5.6).
const CHORUS: Duration = Duration::from_secs(5);
/// Different comments remembered at a time, twice.
const TEXTS_MAX: usize = 50_000;

/// What was said of late on a node.
#[derive(Debug)]
pub(super) struct Repeats {
    repeat: Duration,
    chorus_min: u32,
    users: Recent<(RoomName, Arc<str>), VecDeque<Said>>,
    texts: Recent<(RoomName, u64), Chorus>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    gist: Box<[char]>,
}

#[derive(Debug, Default)]
struct Chorus {
    since: Option<Instant>,
    voices: u32,
}

impl Repeats {
    pub(super) fn new(repeat: Duration, chorus_min: u32) -> Self {
        Self {
            repeat,
            chorus_min,
            users: Recent::new(repeat, USERS_MAX),
            texts: Recent::new(CHORUS, TEXTS_MAX),
            hasher: RandomState::new(),
        }
    }

    /// Notes that `user` says `folded`. `Ok(true)`: so do many just now. `Err`: he has said so
    /// himself, and may again after this time.
    pub(super) fn note(
        &mut self,
        now: Instant,
        room: &RoomName,
        user: &Arc<str>,
        folded: &str,
    ) -> Result<bool, Duration> {
        let gist = gist(folded);
        let said = self.users.entry(now, &(room.clone(), user.clone()));
        said.retain(|said| now.duration_since(said.at) < self.repeat);
        if let Some(same) = said.iter().find(|said| is_near(&said.gist, &gist)) {
            return Err(self.repeat - now.duration_since(same.at));
        }
        if said.len() >= COMMENTS_MAX {
            said.pop_front();
        }
        let hash = self.hasher.hash_one(&gist);
        said.push_back(Said { at: now, gist });
        let chorus = self.texts.entry(now, &(room.clone(), hash));
        let since = *chorus.since.get_or_insert(now);
        if now.duration_since(since) >= CHORUS {
            *chorus = Chorus {
                since: Some(now),
                voices: 0,
            };
        }
        chorus.voices = chorus.voices.saturating_add(1);
        Ok(chorus.voices > self.chorus_min)
    }
}

/// What a comment says, without spaces, punctuation and repeated letters; of one without letters,
/// its signs. Digits count: 100 is not 1000.
fn gist(folded: &str) -> Box<[char]> {
    let letters = folded.chars().any(char::is_alphanumeric);
    let wanted = |c: &char| !c.is_whitespace() && (!letters || c.is_alphanumeric());
    let mut gist: Vec<char> = Vec::new();
    for character in folded.chars().filter(wanted) {
        if gist.last() != Some(&character) || character.is_numeric() {
            gist.push(character);
        }
        if gist.len() == LETTERS_MAX {
            break;
        }
    }
    gist.into_boxed_slice()
}

/// True when two comments are equal or share nearly all their pairs of neighbouring letters.
fn is_near(one: &[char], other: &[char]) -> bool {
    if one == other {
        return true;
    }
    if one.len().min(other.len()) < NEAR_LETTERS_MIN {
        return false;
    }
    let pairs = |gist: &[char]| -> Vec<[char; 2]> {
        let mut pairs: Vec<_> = gist.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        pairs.sort_unstable();
        pairs
    };
    let (one, other) = (pairs(one), pairs(other));
    let (mut left, mut right, mut shared) = (0, 0, 0);
    while left < one.len() && right < other.len() {
        match one[left].cmp(&other[right]) {
            std::cmp::Ordering::Less => left += 1,
            std::cmp::Ordering::Greater => right += 1,
            std::cmp::Ordering::Equal => {
                (left, right, shared) = (left + 1, right + 1, shared + 1);
            }
        }
    }
    2 * shared * 100 >= NEAR_PERCENT * (one.len() + other.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    struct Scene {
        repeats: Repeats,
        start: Instant,
        room: RoomName,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                repeats: Repeats::new(Duration::from_secs(30), 10),
                start: clock::now(),
                room: RoomName::parse("demo").unwrap(),
            }
        }

        fn note(&mut self, second: u64, user: &str, text: &str) -> Result<bool, Duration> {
            let now = self.start + Duration::from_secs(second);
            self.repeats.note(now, &self.room, &user.into(), text)
        }
    }

    #[test]
    fn same_again_is_told_from_something_else() {
        let check = |first: &str, second: &str, again: bool| {
            let mut scene = Scene::new();
            assert_eq!(scene.note(0, "u", first), Ok(false));
            assert_eq!(
                scene.note(1, "u", second).is_err(),
                again,
                "{first:?} {second:?}"
            );
        };
        check("hello", "hello", true);
        check("hello", "hello!!! ", true);
        check("哈哈", "哈哈哈哈哈", true);
        check("so nice", "soooo niceee", true);
        check(
            "buy my cheap watches now 1",
            "buy my cheap watches now 2",
            true,
        );
        check(
            "全场最低价加我领优惠券哦a",
            "全场最低价加我领优惠券哦b",
            true,
        );
        check("😂😂", "😂 😂😂", true);
        check("hello", "hallo", false);
        check("size 38", "size 39", false);
        check("有没有38码的", "有没有39码的", false);
        check("100", "1000", false);
        check("😂", "😍", false);
        check(
            "is the red one still there",
            "is the blue one for men",
            false,
        );
    }

    #[test]
    fn user_may_repeat_himself_later_and_others_at_once() {
        let mut scene = Scene::new();
        assert_eq!(scene.note(0, "li", "666"), Ok(false));
        assert_eq!(scene.note(10, "li", "666"), Err(Duration::from_secs(20)));
        assert_eq!(scene.note(10, "mei", "666"), Ok(false));
        assert_eq!(scene.note(30, "li", "666"), Ok(false));
    }

    #[test]
    fn many_voices_make_a_chorus() {
        let mut scene = Scene::new();
        let chorus = (0..30).filter(|n| scene.note(0, &n.to_string(), "666") == Ok(true));
        assert_eq!(chorus.count(), 20);
        assert_eq!(scene.note(1, "x", "777"), Ok(false));
        assert_eq!(scene.note(9, "y", "666"), Ok(false));
    }
}
