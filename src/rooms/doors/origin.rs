//! Questions to the origin of a room, wherever it is, and what its silence means to a member.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::live::{self, AskError, Exchange};
use crate::media::{Class, RoomName};
use crate::protocol::interact::question::{Answer, Question, Refusal};

/// How long an order may wait for its answer. Its key makes it safe to ask again.
const ORDER_WAIT: Duration = Duration::from_secs(10);
/// How long anything else may wait.
const WAIT: Duration = Duration::from_secs(5);

/// The way to the origins of all rooms.
#[derive(Debug, Clone)]
pub(super) struct Origin(Exchange);

impl Origin {
    pub(super) fn new(exchange: Exchange) -> Self {
        Self(exchange)
    }

    /// Asks; the origin's refusal is an error, and so is its silence.
    pub(super) async fn ask(
        &self,
        room: &RoomName,
        class: Class,
        question: &Question,
    ) -> Result<Answer, Refusal> {
        let body = serde_json::to_vec(question).expect("a question has text keys only");
        let asked = self.0.ask(live::Question {
            class,
            room: room.clone(),
            body: Bytes::from(body),
        });
        let wait = if class == Class::Order {
            ORDER_WAIT
        } else {
            WAIT
        };
        let bytes = match timeout(wait, asked).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(unanswered(&error)),
            Err(_) => {
                let seconds = wait.as_secs();
                let detail = format!("the room's origin has not answered for {seconds} s");
                return Err(refusal(503, "no_origin", detail, Some(2)));
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(Answer::Refused(refusal)) => Err(refusal),
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::warn!(%room, %error, "an answer of the origin cannot be read");
                Err(Self::misunderstood())
            }
        }
    }

    /// For an answer to another question.
    pub(super) fn misunderstood() -> Refusal {
        let detail = "the room's origin gave no answer to this question";
        refusal(503, "no_answer", detail.into(), Some(2))
    }
}

fn unanswered(error: &AskError) -> Refusal {
    let (status, code, wait_s) = match error {
        AskError::Unreachable(_) => (503, "no_origin", Some(2)),
        AskError::Busy(_) => (503, "busy", Some(1)),
        AskError::TooLong(_) => (413, "too_long", None),
    };
    refusal(status, code, error.to_string(), wait_s)
}

/// A refusal of this node's own.
pub(super) fn refusal(
    status: u16,
    code: &str,
    detail: String,
    retry_after_s: Option<u32>,
) -> Refusal {
    Refusal {
        status,
        code: code.to_owned(),
        detail,
        retry_after_s,
    }
}
