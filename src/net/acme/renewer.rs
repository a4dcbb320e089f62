//! When a certificate is ordered, and when again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::{sleep, timeout};

use crate::net::acme::{Challenges, Config, Error, order};
use crate::net::tls::{Facts, Identity};
use crate::runtime::{TaskScope, clock};
use crate::telemetry::Metrics;

/// The first wait after a failure; it doubles up to [`WAIT_MAX`]. Authorities count failures by the
/// hour.
const WAIT_MIN: Duration = Duration::from_secs(60);
const WAIT_MAX: Duration = Duration::from_secs(6 * 3600);

/// How long an order may take, in seconds: the DNS hook and the authority's patience, for all
/// names.
const ORDER_SECONDS: u64 = 1800;

/// How long is slept at most: clocks are set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// The name of the condition while there is a fault.
const CONDITION: &str = "acme";

const DAY_S: i64 = 86_400;

/// Keeps the certificate of a node in force.
#[derive(Debug)]
pub struct Renewer {
    config: Config,
    challenges: Challenges,
    metrics: Metrics,
    issued: Counter,
    failed: Counter,
}

impl Renewer {
    /// Will order what `config` wants, proved by `challenges`.
    #[must_use]
    pub fn new(config: &Config, challenges: Challenges, metrics: &Metrics) -> Self {
        let (issued, failed) = (Counter::default(), Counter::default());
        let help = "Certificates that the authority has issued";
        metrics.register("net", "acme_certificates", help, issued.clone());
        let help = "Orders of certificates that have failed";
        metrics.register("net", "acme_failures", help, failed.clone());
        Self {
            config: config.clone(),
            challenges,
            metrics: metrics.clone(),
            issued,
            failed,
        }
    }

    /// Orders and renews in a task of `scope`.
    pub fn run(self, scope: &TaskScope) {
        let shutdown = scope.shutdown().clone();
        scope.spawn("net.acme", async move {
            tokio::select! {
                () = self.renew_for_ever() => {}
                () = shutdown.requested() => {}
            }
        });
    }

    async fn renew_for_ever(&self) {
        let mut wait = WAIT_MIN;
        loop {
            while let Some(left) = self.left() {
                sleep(left.min(SLEEP_MAX)).await;
            }
            match self.order().await {
                Ok(()) => {
                    wait = WAIT_MIN;
                    self.issued.inc();
                    self.metrics.conditions().clear(CONDITION);
                    tracing::info!(names = ?self.config.domains, "certificate issued");
                }
                Err(error) => {
                    self.failed.inc();
                    self.metrics
                        .conditions()
                        .raise(CONDITION, error.to_string());
                    tracing::warn!(%error, wait_s = wait.as_secs(), "no certificate");
                    sleep(wait.mul_f64(0.75 + 0.5 * random())).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
            }
        }
    }

    async fn order(&self) -> Result<(), Error> {
        let order = order::place(&self.config, &self.challenges);
        timeout(Duration::from_secs(ORDER_SECONDS), order)
            .await
            .map_err(|_| Error::Timeout(ORDER_SECONDS))?
    }

    /// How long the certificate need not be renewed; `None`: it should be now.
    fn left(&self) -> Option<Duration> {
        let file = self.config.file();
        let identity = Identity::load(&file, &file).ok()?;
        let facts = Facts::of(&identity).ok()?;
        let has_all = |name: &String| facts.names.contains(&name.to_ascii_lowercase());
        let now_s = clock::unix_us() / 1_000_000;
        let left_s = due_s(&facts, self.config.renew_days) - now_s;
        let left = u64::try_from(left_s).ok().filter(|left_s| *left_s > 0);
        let left = left.filter(|_| self.config.domains.iter().all(has_all))?;
        Some(Duration::from_secs(left))
    }
}

/// When a certificate is due for renewal, in seconds since 1970. A fleet that was set up in one
/// hour does not renew in one: each certificate has a moment of its own.
fn due_s(facts: &Facts, renew_days: u32) -> i64 {
    let life_s = (facts.until_s - facts.from_s).max(0);
    let ahead_s = (i64::from(renew_days) * DAY_S).min(life_s / 3);
    let spread_s = (ahead_s / 10).max(1);
    // The same after a restart: by the certificate, not by chance.
    let own = facts.from_s.wrapping_mul(0x9E37_79B9).rem_euclid(spread_s);
    facts.until_s - ahead_s - own
}

/// From 0 to 1.
fn random() -> f64 {
    let random = RandomState::new().hash_one(clock::unix_us());
    random as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(life_days: i64, renew_days: u32) -> i64 {
        let facts = Facts {
            names: Vec::new(),
            from_s: 1_760_000_000,
            until_s: 1_760_000_000 + life_days * DAY_S,
        };
        (facts.until_s - due_s(&facts, renew_days)) / DAY_S
    }

    #[test]
    fn certificates_are_renewed_in_time() {
        let days = due(90, 30);
        assert!((30..=33).contains(&days), "{days} days");
        // One of six days is renewed two days ahead.
        assert_eq!(due(6, 30), 2);
    }
}
