//! The room's state for members who come anew: asked of the origin once for all of them.
//!
//! An older snapshot is as good as a new one as long as all events since are kept, so a second's
//! age costs nobody anything.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::media::Class;
use crate::protocol::interact::event::{Event, Kind, Label};
use crate::protocol::interact::question::{Answer, Question, Refusal};
use crate::rooms::doors::batch::{Batch, Item, Position};
use crate::rooms::doors::origin::Origin;
use crate::rooms::doors::room::Room;
use crate::runtime::clock::{self, Instant};

/// How long a snapshot is handed out, and a failure too.
const FRESH: Duration = Duration::from_secs(1);

/// The newest snapshot of one room.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    newest: Mutex<Option<Newest>>,
    /// Who holds it asks; the others find the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Newest {
    at: Instant,
    answer: Result<Arc<Held>, Refusal>,
}

/// A snapshot as members get it.
#[derive(Debug)]
pub(super) struct Held {
    /// What it holds.
    pub(super) position: Position,
    /// As an event, in all formats.
    pub(super) batch: Batch,
    /// The same, for posts.
    pub(super) json: bytes::Bytes,
}

impl Snapshots {
    /// What was asked before is of no use any more.
    pub(super) fn forget(&self) {
        *self.newest.lock() = None;
    }

    /// The state of `room`, not older than a second, and another one than `useless`.
    pub(super) async fn get(
        &self,
        room: &Room,
        origin: &Origin,
        useless: Option<&Arc<Held>>,
    ) -> Result<Arc<Held>, Refusal> {
        let _asking = self.asking.lock().await;
        let newest = self.newest.lock().clone();
        if let Some(newest) = newest.filter(|newest| newest.is_fresh(useless)) {
            return newest.answer;
        }
        let answer = ask(room, origin).await;
        *self.newest.lock() = Some(Newest {
            at: clock::now(),
            answer: answer.clone(),
        });
        answer
    }
}

impl Newest {
    fn is_fresh(&self, useless: Option<&Arc<Held>>) -> bool {
        let is_useless = match (&self.answer, useless) {
            (Ok(held), Some(useless)) => Arc::ptr_eq(held, useless),
            _ => false,
        };
        !is_useless && clock::now().duration_since(self.at) < FRESH
    }
}

async fn ask(room: &Room, origin: &Origin) -> Result<Arc<Held>, Refusal> {
    let question = Question::Snapshot;
    let answer = origin.ask(&room.name, Class::Program, &question).await?;
    let Answer::Snapshot(snapshot) = answer else {
        return Err(Origin::misunderstood());
    };
    let slow = snapshot.body.get("slow_seconds").and_then(|s| s.as_u64());
    room.settle(&snapshot, slow.and_then(|s| s.try_into().ok()).unwrap_or(0));
    let position = Position {
        epoch: snapshot.epoch.clone(),
        seq: snapshot.seq,
    };
    let id: Arc<str> = format!("{}.{}.{}", snapshot.epoch, position.seq[0], position.seq[1]).into();
    let at_ms = clock::unix_us() / 1000;
    let event = Event::new(
        Kind::Snapshot,
        Class::Program,
        id.clone(),
        at_ms,
        snapshot.body,
    );
    let json = bytes::Bytes::from(event.to_json());
    let item = Item {
        label: Label {
            kind: Kind::Snapshot,
            class: Class::Program,
            seq: None,
            id,
            to: None,
        },
        json: json.clone(),
        left_us: 0,
    };
    Ok(Arc::new(Held {
        batch: Batch::new(vec![item], position.clone(), position.clone()),
        position,
        json,
    }))
}
