//! What is told: a bounded queue, some posts at once, and pauses that grow.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::sync::{Semaphore, mpsc};

use crate::hooks::Event;
use crate::hooks::line::Line;
use crate::hooks::post::Outcome;
use crate::runtime::{TaskScope, clock};

/// Posts at once. An event that is tried again keeps its place, so that a service that is down
/// holds the queue up rather than growing it.
const POSTS_MAX: usize = 32;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The first pause.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Tells all events of `queue` until the node stops.
pub(super) async fn run(line: Arc<Line>, mut queue: mpsc::Receiver<Event>, scope: TaskScope) {
    let places = Arc::new(Semaphore::new(POSTS_MAX));
    loop {
        let event = tokio::select! {
            event = queue.recv() => event,
            () = scope.shutdown().requested() => None,
        };
        let Some(event) = event else { return };
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (line, shutdown) = (line.clone(), scope.shutdown().clone());
        scope.spawn("hooks.tell", async move {
            tokio::select! {
                told = tell(&line, &event) => line.told(told),
                () = shutdown.requested() => line.told(false),
            }
            drop(place);
        });
    }
}

/// Tries until the service has taken `event`, or says that it never will. True when it was taken.
async fn tell(line: &Line, event: &Event) -> bool {
    let Some(url) = event.kind.url(&line.config) else {
        return false;
    };
    let mut pause = PAUSE;
    for attempt in 1..=line.config.attempts_max {
        let started = clock::now();
        let outcome = line.poster.post(url, event, ATTEMPT).await;
        let result = match &outcome {
            Outcome::Allowed | Outcome::Denied(_) => "told",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(why) => why,
        };
        line.metrics.posted(event.kind, result, started.elapsed());
        match outcome {
            Outcome::Allowed | Outcome::Denied(_) => return true,
            Outcome::Refused(status) => {
                let hook = event.kind.as_str();
                tracing::warn!(hook, id = event.id, status, "a callback is not taken");
                return false;
            }
            Outcome::Failed(_) if attempt < line.config.attempts_max => {
                tokio::time::sleep(jittered(pause)).await;
                pause = (2 * pause).min(PAUSE_MAX);
            }
            Outcome::Failed(why) => {
                let hook = event.kind.as_str();
                tracing::warn!(hook, id = event.id, why, attempt, "a callback is given up");
            }
        }
    }
    false
}

/// Half of `pause` to all of it, so that many do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    rand::fill(&mut byte).expect("the system gives random bytes");
    pause / 2 + pause / 2 * u32::from(byte[0]) / 255
}
