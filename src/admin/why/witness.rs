//! What the nodes above say of themselves, asked over the line of questions about rooms.
//!
//! The question is one word; each node on the way adds its own testimony to those of the nodes
//! above it. So a node in the middle is heard though it carries everything else unread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::admin::why::Monitor;
use crate::live::{Answer, AskError, Authority, Exchange, Question};
use crate::media::{Class, RoomName};

/// The whole question.
const WHY: &[u8] = b"why";

/// How long the nodes above a node may take together; below, a little longer.
const PATIENCE: Duration = Duration::from_millis(700);

/// The most testimonies that are believed in: a tree is not deeper.
const TESTIMONIES_MAX: usize = 8;

/// What a node says of itself and of a room, over the last five seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Testimony {
    /// Its name.
    pub node: String,
    /// `origin` or `edge`.
    pub role: String,
    /// How late its tasks run (95 of 100), in milliseconds.
    pub lag_ms: f64,
    /// The same over the last minutes.
    pub usual_lag_ms: f64,
    /// What its encoders do, where they push to it.
    pub ingest: Option<Ingest>,
    /// Its links to children.
    pub children: Vec<Child>,
}

/// How a room's encoder is heard, as shares of the time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingest {
    /// In the middle of a message: the network brings it in pieces.
    pub cut_short: f64,
    /// Between messages, for longer than any frame rate explains: the encoder says nothing.
    pub silent: f64,
    /// Video frames per second.
    pub frames_per_second: f64,
    /// The room goes on without media.
    pub stalled: bool,
}

/// A link as its sending end sees it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Child {
    /// The child's name.
    pub node: String,
    /// Round trip time, in milliseconds.
    pub rtt_ms: f64,
    /// Packets lost a second.
    pub lost_per_second: f64,
}

/// Answers for this node, and passes everything else on.
#[derive(Debug)]
pub struct Witness {
    above: Exchange,
    monitor: Monitor,
}

impl Witness {
    /// The authority of a node whose questions `above` answers. Give it to the exchange that
    /// everybody else asks.
    #[must_use]
    pub fn new(above: Exchange, monitor: Monitor) -> Arc<Self> {
        Arc::new(Self { above, monitor })
    }
}

impl Authority for Witness {
    fn ask(&self, question: Question) -> Answer {
        let (above, monitor) = (self.above.clone(), self.monitor.clone());
        Box::pin(async move {
            if *question.body != *WHY {
                return above.ask(question).await;
            }
            let mut told = if monitor.has_parents() {
                ask(&above, &question.room).await.unwrap_or_default()
            } else {
                Vec::new()
            };
            told.truncate(TESTIMONIES_MAX - 1);
            told.push(monitor.testify(&question.room));
            let body = serde_json::to_vec(&told);
            body.map(Bytes::from)
                .map_err(|error| AskError::Unreachable(error.to_string()))
        })
    }
}

/// What the nodes above say, the origin first; `None` when they do not answer in time.
pub(super) async fn ask(above: &Exchange, room: &RoomName) -> Option<Vec<Testimony>> {
    let question = Question {
        class: Class::Total,
        room: room.clone(),
        body: Bytes::from_static(WHY),
    };
    let answer = timeout(PATIENCE, above.ask(question)).await.ok()?.ok()?;
    let told: Vec<Testimony> = serde_json::from_slice(&answer).ok()?;
    (told.len() <= TESTIMONIES_MAX).then_some(told)
}
