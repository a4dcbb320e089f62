//! Whether the merchant can be reached, said before buyers find out: the condition `merchant`.
//! Knows how attempts went and where he is, nothing of the orders themselves.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::life::Outcome;
use super::sink::Sink;
use crate::telemetry::Conditions;

/// The name under which it is shown.
const MERCHANT: &str = "merchant";
/// How often he is looked for while no order tells how he is.
const LOOK: Duration = Duration::from_secs(10);
/// Attempts in a row that must fail before that is said: one may come to grief by itself.
const FAILURES: u32 = 5;

/// What is known of the merchant.
#[derive(Debug)]
pub(super) struct Contact {
    conditions: Conditions,
    failures: AtomicU32,
}

impl Contact {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            failures: AtomicU32::new(0),
        }
    }

    /// Notes how an attempt went.
    pub(super) fn attempted(&self, outcome: &Outcome) {
        let Outcome::Later { why, .. } = outcome else {
            self.failures.store(0, Ordering::Relaxed);
            self.conditions.clear(MERCHANT);
            return;
        };
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.conditions.raise(
                MERCHANT,
                format!("orders wait, he does not take them: {why}"),
            );
        }
    }

    /// Looks for him now and then; for ever.
    pub(super) async fn watch(&self, sink: &Sink) {
        loop {
            if self.failures.load(Ordering::Relaxed) == 0 {
                match sink.reach().await {
                    Ok(()) => self.conditions.clear(MERCHANT),
                    Err(why) => self.conditions.raise(
                        MERCHANT,
                        format!("orders would wait, he is not there: {why}"),
                    ),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
