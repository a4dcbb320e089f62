//! What this node tells the origin of a room by the clock: likes, presence, and what its rules
//! decided.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::media::Class;
use crate::protocol::interact::question::{Answer, Question};
use crate::rooms::Settings;
use crate::rooms::doors::likes;
use crate::rooms::doors::origin::Origin;
use crate::rooms::doors::room::Room;
use crate::runtime::clock;

/// How often presence is told; origins forget a node after five seconds.
const PRESENCE: Duration = Duration::from_secs(1);
/// Likes are told this often at most.
const TICK_MIN: Duration = Duration::from_millis(10);
/// How long the last words of a room may take.
const LAST: Duration = Duration::from_secs(2);

/// Reports until it is dropped.
pub(super) async fn run(room: &Arc<Room>, origin: &Origin, settings: &Settings) {
    let likes = async {
        loop {
            sleep(settings.like_tick().max(TICK_MIN)).await;
            while tell_likes(room, origin).await {}
        }
    };
    let presence = async {
        let mut ticks = interval(PRESENCE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            tell_presence(room, origin).await;
        }
    };
    tokio::join!(likes, presence);
}

/// What is left to say when the room is read no longer.
pub(super) async fn finish(room: &Arc<Room>, origin: &Origin) {
    let last = async {
        while tell_likes(room, origin).await {}
        tell_presence(room, origin).await;
    };
    if timeout(LAST, last).await.is_err() {
        tracing::debug!(room = %room.name, "the origin has not heard the last report");
    }
}

/// True when there is more to say at once.
async fn tell_likes(room: &Arc<Room>, origin: &Origin) -> bool {
    let Some(report) = room.likes.report(clock::now()) else {
        return false;
    };
    let question = Question::Likes(report.clone());
    match origin.ask(&room.name, Class::Total, &question).await {
        Ok(Answer::Likes(taken)) => {
            room.likes.taken(&report, &taken);
            likes::is_full(&report)
        }
        answer => {
            tracing::debug!(room = %room.name, ?answer, "likes are reported again");
            false
        }
    }
}

async fn tell_presence(room: &Arc<Room>, origin: &Origin) {
    let question = Question::Presence(room.presence.report());
    if let Err(refusal) = origin.ask(&room.name, Class::Total, &question).await {
        tracing::debug!(room = %room.name, refusal.code, "presence is not told");
    }
}
