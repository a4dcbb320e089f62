//! A member: a WebSocket to the room, on which he hears what is said, comments and likes.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use rushlane::runtime::clock;
use serde_json::json;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::actors::Ground;
use crate::pace::spread;
use crate::scenario::{LIKES_PER_BATCH, Members};
use crate::tally::{Count, Measure};

/// What marks the planned time in a comment: microseconds since 1970.
const STAMP: &str = "at=";
/// The wait before a new connection, at most: a herd must not come back at once.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Sends this machine's members of a group.
pub fn take_part(ground: &Ground, group: &Members) {
    for index in ground.share.indices(group.count.into()) {
        let (ground, group) = (ground.of(index), group.clone());
        let scope = ground.scope.clone();
        scope.spawn("member", async move {
            live(&ground, &group, index).await;
        });
    }
}

async fn live(ground: &Ground, group: &Members, index: u64) {
    let mut at = group.arrival.of(index, group.count);
    for visit in 0_u64.. {
        if !ground.pace.until(at).await {
            return;
        }
        let end = group
            .arrival
            .end(at, index + visit * u64::from(group.count));
        let end = end.min(ground.pace.length());
        ground.tally.one(Count::Present);
        let stay = async {
            for attempt in 0.. {
                if ground.pace.allows_one() {
                    let edge = ground.edge(index + visit, attempt);
                    if let Err(error) = talk(ground, group, edge, index).await {
                        let error = format!("{error:#}");
                        tracing::debug!(error, index, %edge, "a member comes back");
                        ground.tally.one(Count::Errors);
                    }
                    ground.tally.one(Count::Reconnects);
                }
                tokio::time::sleep(PAUSE_MAX.mul_f64(spread(index + attempt))).await;
            }
        };
        let _over = tokio::time::timeout(end.saturating_sub(ground.pace.now()), stay).await;
        ground.tally.add(Count::Present, -1);
        at = end;
    }
}

/// When something of a group's rate is this member's turn: the first time after `from`.
struct Turns {
    period_seconds: f64,
    first_seconds: f64,
}

impl Turns {
    fn new(index: u64, count: u32, per_second: f64) -> Option<Self> {
        (per_second > 0.0).then(|| Self {
            period_seconds: f64::from(count) / per_second,
            first_seconds: (index as f64 + 0.5) / per_second,
        })
    }

    fn after(&self, from: Duration) -> Duration {
        let passed = (from.as_secs_f64() - self.first_seconds) / self.period_seconds;
        // A time of a turn is rounded to nanoseconds: it must not come again.
        let turn = ((passed + 1e-6).floor() + 1.0).max(0.0);
        Duration::from_secs_f64(self.first_seconds + turn * self.period_seconds)
    }
}

async fn talk(ground: &Ground, group: &Members, edge: &Url, index: u64) -> anyhow::Result<()> {
    let user = format!("load-{}-{index}", ground.name);
    let query = ground.signer.member(&group.room, &user);
    let mut url = edge.join(&format!("/rooms/{}/ws{query}", group.room))?;
    let stream = ground.web.stream(edge, b"http/1.1").await?;
    let scheme = if edge.scheme() == "https" {
        "wss"
    } else {
        "ws"
    };
    ground.tally.one(Count::Requests);
    // `Url` refuses to make a web address another kind of address.
    url = url.as_str().replacen(edge.scheme(), scheme, 1).parse()?;
    let (socket, _) = client_async(url.as_str(), stream).await?;
    let (mut up, mut down) = socket.split();
    let comments = Turns::new(index, group.count, group.comments_per_second);
    let likes = Turns::new(index, group.count, group.like_batches_per_second);
    let (mut said, mut liked, mut batch) = (ground.pace.now(), ground.pace.now(), 0_u64);
    let session = format!("{index}-{}", clock::unix_us());
    loop {
        let never = ground.pace.length();
        let comment = comments.as_ref().map_or(never, |turns| turns.after(said));
        let like = likes.as_ref().map_or(never, |turns| turns.after(liked));
        let due = comment.min(like);
        tokio::select! {
            heard = down.next() => {
                let heard = heard.context("the edge closed the connection")??;
                hear(ground, &heard);
            }
            is_due = ground.pace.until(due) => {
                if !is_due {
                    // Nothing more to say; the end comes from outside.
                    while let Some(heard) = down.next().await {
                        hear(ground, &heard?);
                    }
                    return Ok(());
                }
                if !ground.pace.allows_one() {
                    (said, liked) = (due, due);
                    continue;
                }
                let text = if comment <= like {
                    said = comment;
                    ground.tally.one(Count::CommentsSaid);
                    let words = words(index, ground.pace.unix_us(comment));
                    json!({ "type": "comment", "ref": "c", "body": { "text": words } })
                } else {
                    liked = like;
                    batch += 1;
                    ground.tally.one(Count::Likes);
                    let body = json!({ "count": LIKES_PER_BATCH, "session": session, "n": batch });
                    json!({ "type": "like", "ref": "l", "body": body })
                };
                up.send(Message::text(text.to_string())).await?;
            }
        }
    }
}

fn hear(ground: &Ground, heard: &Message) {
    let now_us = ground.tally.now_us();
    ground
        .tally
        .add(Count::Bytes, i64::try_from(heard.len()).unwrap_or(0));
    let Message::Text(text) = heard else {
        return;
    };
    // Class 3: what others said; the echo to the author is class 2. A snapshot, for those who come,
    // holds comments of before.
    if !text.contains("\"class\":3") || text.contains("\"type\":\"snapshot\"") {
        return;
    }
    let Some((_, rest)) = text.split_once(STAMP) else {
        return;
    };
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    if let Some(planned_us) = digits.and_then(|digits| digits.parse::<i64>().ok()) {
        ground.tally.one(Count::CommentsHeard);
        ground.tally.time(Measure::Comment, now_us - planned_us);
    }
}

/// Words that nobody said before, so that no rule against repetition holds them back.
fn words(index: u64, planned_us: i64) -> String {
    let mut number = planned_us.unsigned_abs() ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut words = String::new();
    for letter in 0..18 {
        if letter % 6 == 5 {
            words.push(' ');
        }
        words.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
        number = number.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    format!("{words} {STAMP}{planned_us}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_all_members_make_the_rate() {
        let all: Vec<Turns> = (0..4).filter_map(|i| Turns::new(i, 4, 2.0)).collect();
        let mut at: Vec<f64> = all
            .iter()
            .map(|t| t.after(Duration::ZERO).as_secs_f64())
            .collect();
        at.extend(
            all.iter()
                .map(|t| t.after(Duration::from_secs(2)).as_secs_f64()),
        );
        assert_eq!(at, [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]);
        let uneven = Turns::new(2, 30, 7.0).unwrap();
        let mut last = Duration::ZERO;
        for _ in 0..1000 {
            let next = uneven.after(last);
            assert!(next > last + Duration::from_millis(1) || last.is_zero());
            last = next;
        }
        assert!(Turns::new(0, 4, 0.0).is_none());
    }
}
