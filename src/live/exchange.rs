//! Questions to the node that owns a room, and its answers, wherever on the tree that node is.
//!
//! Frames travel down; what members do travels up. On the origin the rooms answer; on an edge
//! relay-pull does, by asking the parent. So a node in the middle passes questions on without
//! knowing what they say.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::media::{Class, RoomName};

/// The longest question or answer, in bytes.
pub const QUESTION_BYTES_MAX: usize = 256 << 10;

/// A question about a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is promised: class 0 is asked again through the next link when one is lost, so who
    /// answers it must know repetitions.
    pub class: Class,
    /// The room.
    pub room: RoomName,
    /// What is asked; opaque here and to the relay. At most [`QUESTION_BYTES_MAX`].
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The owner of the room cannot be reached just now. Whether it has heard the question is not
    /// known.
    #[error("the room's origin cannot be reached: {0}")]
    Unreachable(String),
    /// Too many questions are under way; this one was not asked.
    #[error("too many questions of class {} are under way", u8::from(*.0))]
    Busy(Class),
    /// The question or its answer is too long.
    #[error("{0} bytes are above the limit of {QUESTION_BYTES_MAX}")]
    TooLong(usize),
}

/// The answer to come.
pub type Answer = Pin<Box<dyn Future<Output = Result<Bytes, AskError>> + Send>>;

/// Who answers: the rooms of an origin, or the way to the parent.
pub trait Authority: std::fmt::Debug + Send + Sync {
    /// Answers one question, or gives up after a time of its own choosing. Dropping the future
    /// gives the answer up, not what was asked for.
    fn ask(&self, question: Question) -> Answer;
}

/// Where a node's questions go. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Exchange(Arc<OnceLock<Arc<dyn Authority>>>);

impl Exchange {
    /// Names who answers; the first call wins.
    pub fn set_authority(&self, authority: Arc<dyn Authority>) {
        let _first_wins = self.0.set(authority).is_err();
    }

    /// Asks.
    pub async fn ask(&self, question: Question) -> Result<Bytes, AskError> {
        let bytes = question.body.len();
        if bytes > QUESTION_BYTES_MAX {
            return Err(AskError::TooLong(bytes));
        }
        match self.0.get() {
            Some(authority) => authority.ask(question).await,
            None => Err(AskError::Unreachable("this node has no origin".into())),
        }
    }
}
