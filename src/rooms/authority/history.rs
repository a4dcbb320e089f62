//! What a room remembers for those who come anew: the newest state of all that hosts show, and the
//! last comments. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::media::Class;
use crate::protocol::interact::Event;
use crate::protocol::interact::event::Kind;

/// Comments remembered (R5.9).
const COMMENTS_MAX: usize = 50;

/// Cards remembered; hidden ones go first, then the oldest. 24 of 4 KB leave room for all else in
/// a snapshot.
const CARDS_MAX: usize = 24;

/// Things whose stock is remembered, the oldest out first.
const STOCK_MAX: usize = 128;

/// The longest body of a snapshot, in bytes of JSON: with the sanctions it has to fit into an
/// answer (`live::QUESTION_BYTES_MAX`). Comments give way, the oldest first.
const BODY_BYTES_MAX: usize = 192 << 10;

/// The state of what is shown, as the events that made it so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct History {
    /// The newest event of each card, stock, pin, sale and contest, the oldest first.
    program: Vec<Event>,
    comments: VecDeque<Event>,
}

impl History {
    /// Takes in an event that all have got, or will get with the next batch.
    pub(super) fn apply(&mut self, event: &Event) {
        match event.kind {
            Kind::Comment => {
                if self.comments.len() == COMMENTS_MAX {
                    self.comments.pop_front();
                }
                self.comments.push_back(event.clone());
            }
            Kind::Card | Kind::Stock | Kind::Pin | Kind::Sale | Kind::Pk => {
                let subject = subject(event);
                self.program
                    .retain(|known| (known.kind, self::subject(known)) != (event.kind, subject));
                self.program.push(event.clone());
                self.make_room(Kind::Card, CARDS_MAX);
                self.make_room(Kind::Stock, STOCK_MAX);
            }
            _ => {}
        }
    }

    /// Takes a comment back.
    pub(super) fn retract(&mut self, id: &str) {
        self.comments.retain(|comment| &*comment.id != id);
    }

    /// Takes in what an earlier life of the room remembers; what this one has said since stands.
    pub(super) fn restore(&mut self, before: Self) {
        let since = std::mem::replace(self, before);
        let events = since.program.iter().chain(&since.comments);
        events.for_each(|event| self.apply(event));
    }

    /// What is shown in `class`, the oldest first.
    pub(super) fn shown_in(&self, class: Class) -> Vec<Event> {
        let shown = self.program.iter().filter(|event| event.class == class);
        shown.cloned().collect()
    }

    /// How many cards are shown.
    pub(super) fn cards(&self) -> usize {
        let shown = |event: &&Event| event.kind == Kind::Card && !is_hidden(event);
        self.program.iter().filter(shown).count()
    }

    /// The fields of a snapshot's body that are remembered here.
    pub(super) fn snapshot(&self) -> Map<String, Value> {
        let newest = |kind: Kind| {
            let event = self.program.iter().rfind(|event| event.kind == kind);
            event.map_or(Value::Null, shown)
        };
        let of = |kind: Kind| self.program.iter().filter(move |event| event.kind == kind);
        let stock = |event: &Event| {
            let left = event.body.get("left").cloned().unwrap_or_default();
            (subject(event).to_owned(), left)
        };
        let pin = newest(Kind::Pin);
        let pin = match pin.get("text") {
            Some(Value::Null) => Value::Null,
            _ => pin,
        };
        let mut body = Map::new();
        body.insert("cards".into(), of(Kind::Card).map(shown).collect());
        body.insert("pin".into(), pin);
        body.insert("sale".into(), newest(Kind::Sale));
        body.insert("pk".into(), newest(Kind::Pk));
        body.insert(
            "stock".into(),
            Value::Object(of(Kind::Stock).map(stock).collect()),
        );
        let used = serde_json::to_vec(&body).map_or(0, |json| json.len());
        body.insert(
            "comments".into(),
            self.comments(BODY_BYTES_MAX.saturating_sub(used)),
        );
        body
    }

    /// The newest comments that fit into `bytes`, the oldest first.
    fn comments(&self, bytes: usize) -> Value {
        let mut left = bytes;
        let fits = |event: &&Event| {
            let bytes = event.to_json().len() + 1;
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        };
        let newest: Vec<_> = self.comments.iter().rev().take_while(fits).collect();
        newest.into_iter().rev().map(|event| json!(event)).collect()
    }

    /// Forgets events of one kind until there are at most `max`.
    fn make_room(&mut self, kind: Kind, max: usize) {
        let of_kind = |event: &Event| event.kind == kind;
        if self.program.iter().filter(|event| of_kind(event)).count() <= max {
            return;
        }
        // The newest is what has just been said, so it stays whatever it says.
        let newest = self.program.len() - 1;
        let hidden = |event: &Event| of_kind(event) && is_hidden(event);
        let earlier = self.program.get(..newest).unwrap_or_default();
        let first = earlier.iter().position(hidden);
        if let Some(index) = first.or_else(|| earlier.iter().position(of_kind)) {
            self.program.remove(index);
        }
    }
}

/// What an event is about, among others of its kind.
fn subject(event: &Event) -> &str {
    let field = match event.kind {
        Kind::Card => "id",
        Kind::Stock => "sku",
        _ => return "",
    };
    event
        .body
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn is_hidden(event: &Event) -> bool {
    event
        .body
        .get("action")
        .is_some_and(|action| action == "hide")
}

/// An event's body with the times of its envelope.
fn shown(event: &Event) -> Value {
    let mut body = event.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.insert("at".into(), event.at.into());
        if let Some(media_ms) = event.media_ms {
            fields.insert("media_ms".into(), media_ms.into());
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, at: i64, body: Value) -> Event {
        Event::new(kind, Class::Program, format!("e{at}"), at, body)
    }

    fn told(events: impl IntoIterator<Item = Event>) -> History {
        let mut history = History::default();
        events.into_iter().for_each(|event| history.apply(&event));
        history
    }

    #[test]
    fn newest_state_of_each_subject_is_remembered() {
        let mut card = event(Kind::Card, 3, json!({ "id": "b", "action": "show" }));
        card.media_ms = Some(700);
        let history = told([
            event(Kind::Card, 1, json!({ "id": "a", "action": "show" })),
            event(
                Kind::Card,
                2,
                json!({ "id": "b", "action": "show", "price": 1 }),
            ),
            card,
            event(Kind::Stock, 4, json!({ "sku": "s", "left": 5 })),
            event(Kind::Stock, 5, json!({ "sku": "s", "left": 4 })),
            event(Kind::Pin, 6, json!({ "text": "now" })),
            event(Kind::Sale, 7, json!({ "id": "x", "action": "open" })),
            event(Kind::Notice, 8, json!({ "text": "gone" })),
        ]);
        let expect = json!({
            "cards": [
                { "id": "a", "action": "show", "at": 1 },
                { "id": "b", "action": "show", "at": 3, "media_ms": 700 },
            ],
            "pin": { "text": "now", "at": 6 },
            "sale": { "id": "x", "action": "open", "at": 7 },
            "pk": null,
            "stock": { "s": 4 },
            "comments": [],
        });
        assert_eq!(Value::Object(history.snapshot()), expect);
        let unpinned = event(Kind::Pin, 9, json!({ "text": null }));
        let mut history = history;
        history.apply(&unpinned);
        assert_eq!(history.snapshot()["pin"], Value::Null);
    }

    #[test]
    fn hidden_cards_give_way_first() {
        let card = |at: i64, action| {
            event(
                Kind::Card,
                at,
                json!({ "id": format!("k{at}"), "action": action }),
            )
        };
        let mut history = told((0..23).map(|at| card(at, "show")));
        history.apply(&card(23, "hide"));
        history.apply(&card(24, "show"));
        assert_eq!(history.cards(), CARDS_MAX);
        history.apply(&card(25, "show"));
        let cards = history.snapshot()["cards"].clone();
        assert_eq!(cards[0]["id"], "k1");
        assert_eq!(cards[CARDS_MAX - 1]["id"], "k25");
    }

    #[test]
    fn last_comments_fit_whatever_they_say() {
        let said = |at: i64| event(Kind::Comment, at, json!({ "text": "\"".repeat(2048) }));
        let mut history = told((0..60).map(said));
        history.retract("e58");
        let body = history.snapshot();
        let comments = body["comments"].as_array().expect("a list");
        assert!(comments.len() > 40, "{}", comments.len());
        assert_eq!(comments.last().expect("some")["id"], "e59");
        assert!(!comments.iter().any(|comment| comment["id"] == "e58"));
        let bytes = serde_json::to_vec(&body).expect("JSON").len();
        assert!(bytes <= BODY_BYTES_MAX + 16, "{bytes}");
    }

    #[test]
    fn what_was_said_since_stands_over_what_is_restored() {
        let mut now = told([event(Kind::Pin, 9, json!({ "text": "new" }))]);
        now.restore(told([
            event(Kind::Pin, 1, json!({ "text": "old" })),
            event(Kind::Comment, 2, json!({ "text": "hi" })),
        ]));
        assert_eq!(now.snapshot()["pin"]["text"], "new");
        assert_eq!(now.snapshot()["comments"][0]["body"]["text"], "hi");
    }
}
