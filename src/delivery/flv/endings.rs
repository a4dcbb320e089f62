//! When viewers have to go before the show is over: they were denied access, or their tokens end
//! their sessions.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Interval, interval};

use crate::auth::Pass;

/// How often viewers are looked for whose tokens end their sessions, where they do.
const EXPIRY_CHECK: Duration = Duration::from_secs(1);

/// When somebody may have to go; never while nobody is there.
#[derive(Default)]
pub(super) struct Endings {
    denials: Option<watch::Receiver<Bytes>>,
    /// Runs once somebody is there whose token ends his session.
    clock: Option<Interval>,
}

impl Endings {
    pub(super) fn watch(&mut self, pass: &Pass) {
        self.denials.get_or_insert_with(|| pass.changes());
        if pass.expires() {
            self.clock.get_or_insert_with(|| interval(EXPIRY_CHECK));
        }
    }

    /// Waits for the next time to look who has to go. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        let denied = async {
            let Some(denials) = &mut self.denials else {
                return std::future::pending().await;
            };
            if denials.changed().await.is_err() {
                std::future::pending().await
            }
        };
        let expired = async {
            match &mut self.clock {
                Some(clock) => drop(clock.tick().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = denied => {}
            () = expired => {}
        }
    }
}
