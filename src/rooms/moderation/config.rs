//! What an operator can say about moderation.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whether comments may point elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// They may.
    Allow,
    /// Only to [`Config::allowed_hosts`]: most links in a sale's comments lead to another shop.
    #[default]
    Refuse,
}

/// What is decided when the reviewer does not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// The comment is shown.
    #[default]
    Allow,
    /// It is not.
    Deny,
}

/// The operator's own service that decides on comments which the other rules let pass.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Review {
    /// Where comments are posted to.
    pub url: String,
    /// Signs the posts, so that the service knows who asks.
    #[serde(skip_serializing)]
    pub secret: String,
    /// How long its answer may take, in milliseconds. 200: what a speaker does not notice.
    pub timeout_ms: u32,
    /// What is decided without an answer.
    pub fallback: Fallback,
    /// Comments under review at a time; more are decided by the fallback. 256: what a service that
    /// answers in 50 ms needs for 5,000 comments a second.
    pub in_flight_max: usize,
}

/// What may be said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Filtered words, one a line (docs/INTERACTION.md); read again within 2 s of a change.
    pub words_file: Option<PathBuf>,
    /// Whether comments may point elsewhere.
    pub links: Links,
    /// Hosts, with all below them, that comments may point to nevertheless.
    pub allowed_hosts: Vec<String>,
    /// Comments of one user per second, in the long run. 1: as fast as people type.
    pub comments_per_second: f64,
    /// Comments that a user may make at once. 3: a thought in three lines.
    pub comments_burst: u32,
    /// How long a user may not say the same again, in seconds. 30.
    pub repeat_seconds: u32,
    /// How many may say the same in a room within 5 seconds before further ones count as a chorus.
    /// 10: enough to show that many do.
    pub chorus_min: u32,
    /// The operator's own service.
    pub review: Option<Review>,
}

impl Default for Review {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: String::new(),
            timeout_ms: 200,
            fallback: Fallback::Allow,
            in_flight_max: 256,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            words_file: None,
            links: Links::Refuse,
            allowed_hosts: Vec::new(),
            comments_per_second: 1.0,
            comments_burst: 3,
            repeat_seconds: 30,
            chorus_min: 10,
            review: None,
        }
    }
}

impl fmt::Debug for Review {
    /// Neither the secret nor the address, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Review")
            .field("timeout_ms", &self.timeout_ms)
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}
