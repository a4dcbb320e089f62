//! What the demo host offers: one card after the other, with its stock.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ROOM;
use crate::live::{self, Exchange};
use crate::media::{Class, RoomName};
use crate::protocol::interact::command::Program;
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::{Answer, Member, Question, Role};
use crate::runtime::Shutdown;

/// How long each card is shown, and the pause before the next one.
const SHOWN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(5);

/// Until the room opens, and after a refusal.
const RETRY: Duration = Duration::from_secs(1);

/// What is for sale: sku, title, price, what is left.
const OFFERS: [(&str, &str, &str, u64); 3] = [
    ("tea-001", "Spring tea, 250 g", "39.90", 120),
    ("bowl-007", "Celadon bowl, hand-thrown", "128.00", 12),
    ("sold-out", "Last winter's scarf", "59.00", 0),
];

/// Shows card after card until `shutdown`.
pub(in crate::node) async fn run(exchange: Exchange, shutdown: Shutdown) {
    tokio::select! {
        () = show(&exchange) => {}
        () = shutdown.requested() => {}
    }
}

async fn show(exchange: &Exchange) {
    let pin = json!({ "text": "Welcome: this is a demo, nothing is really sold." });
    say(exchange, Kind::Pin, pin).await;
    loop {
        for (sku, title, price, left) in OFFERS {
            say(exchange, Kind::Stock, json!({ "sku": sku, "left": left })).await;
            let card = json!({
                "id": sku, "sku": sku, "title": title, "price": price, "currency": "CNY",
                "action": "show", "duration_ms": SHOWN.as_millis() as u64,
            });
            say(exchange, Kind::Card, card).await;
            tokio::time::sleep(SHOWN).await;
            say(exchange, Kind::Card, json!({ "id": sku, "action": "hide" })).await;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Says it, again and again until the room has taken it.
async fn say(exchange: &Exchange, kind: Kind, body: Value) {
    let body: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    let by = Member {
        id: "demo-host".into(),
        name: "Demo host".into(),
        role: Role::Host,
    };
    let program = Program {
        kind,
        media_ms: None,
        body,
    };
    let question = Question::Program { by, program };
    let question = live::Question {
        class: Class::Program,
        room: RoomName::parse(ROOM).expect("the room of the demo has a good name"),
        body: serde_json::to_vec(&question)
            .expect("a question has text keys only")
            .into(),
    };
    loop {
        let answer = exchange.ask(question.clone()).await;
        let answer = answer
            .ok()
            .and_then(|answer| serde_json::from_slice(&answer).ok());
        match answer {
            Some(Answer::Taken { .. }) => return,
            refused => tracing::debug!(?refused, "the demo's room is not open"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
