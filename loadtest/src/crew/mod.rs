//! Several load machines: workers that carry a share each, and the coordinator that leads them.
//!
//! Knows nothing of gates and reports: what workers measure goes into the tallies that one machine
//! would write itself. Invariants: nobody is given a task, or heard, who does not know the shared
//! secret; a worker whose coordinator is gone ends its load at once; every wait has a limit.

mod clock;
mod coordinator;
mod link;
mod message;
mod wire;
mod worker;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_lc_rs::hmac;

pub use clock::Clock;
pub use coordinator::{Crew, Work};
pub use worker::{Options, blocking};

/// Between two signs of life of a coordinator, which its workers answer.
const PING: Duration = Duration::from_secs(1);
/// Whoever is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// The least bytes of a secret.
const SECRET_BYTES_MIN: usize = 16;
/// The longest reason of another machine that is passed on, in characters.
const WHY_CHARACTERS_MAX: usize = 500;

/// What coordinator and workers know and nobody else does.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl Secret {
    /// The first line of the file at `path`. Errors: it cannot be read, or is too short.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
        let line = text.lines().next().unwrap_or_default().trim();
        Self::new(line).with_context(|| format!("{shown}"))
    }

    /// Errors: `text` is too easy to guess.
    pub fn new(text: &str) -> anyhow::Result<Self> {
        let bytes = text.len();
        ensure!(
            bytes >= SECRET_BYTES_MIN,
            "the secret has {bytes} bytes: use at least {SECRET_BYTES_MIN} (openssl rand -hex 32)"
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        Ok(Self(key))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Who leads whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the workers listen, `HOST:PORT` each.
    pub workers: Vec<String>,
    /// What proves that they are ours.
    pub secret: Secret,
}

/// What another machine says of itself, short enough to be passed on.
fn short(why: &str) -> String {
    why.chars().take(WHY_CHARACTERS_MAX).collect()
}
