//! The rules of an edge: one comment in, one verdict out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::live::Exchange;
use crate::media::RoomName;
use crate::protocol::interact::command::{COMMENT_BYTES_MAX, COMMENT_CHARACTERS_MAX};
use crate::protocol::interact::question::{Audit, Refusal};
use crate::protocol::interact::{Member, Role};
use crate::rooms::moderation::buckets::Buckets;
use crate::rooms::moderation::journal::Journal;
use crate::rooms::moderation::list::{self, List};
use crate::rooms::moderation::metrics::Metrics;
use crate::rooms::moderation::repeats::Repeats;
use crate::rooms::moderation::review::Reviewer;
use crate::rooms::moderation::words::ListError;
use crate::rooms::moderation::{Config, Links, Verdict, links, normalise};
use crate::runtime::{TaskScope, clock};
use crate::telemetry;

/// What the rules live on.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Named in audit records.
    pub node_name: Arc<str>,
    /// The way to the origins, which keep the audit records.
    pub exchange: Exchange,
    /// Where decisions are counted.
    pub metrics: &'a telemetry::Metrics,
    /// Owns the tasks that read the list of words and that ask the reviewer.
    pub scope: &'a TaskScope,
    /// Runs them.
    pub runtime: &'a Handle,
}

/// The rules of an edge. Clones share them.
#[derive(Debug, Clone)]
pub struct Rules(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node_name: Arc<str>,
    config: ArcSwap<Config>,
    list: Arc<List>,
    buckets: Mutex<Buckets>,
    repeats: Mutex<Repeats>,
    reviewer: Option<Reviewer>,
    journal: Arc<Journal>,
    metrics: Metrics,
}

/// Why the rules cannot be set up, or a list not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list cannot be read.
    #[error("{path}: cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The list has a fault.
    #[error("{path}: {error}")]
    List {
        /// The file.
        path: PathBuf,
        /// Where and what.
        error: ListError,
    },
    /// Not where one could post to.
    #[error("review.url: an http or https URL is needed")]
    ReviewUrl,
    /// Nobody could ever speak.
    #[error("comments_per_second and comments_burst must be above 0")]
    Rate,
}

/// What a rule says against a comment: its name, what is recorded, what the author is told.
struct Objection {
    rule: &'static str,
    by: Arc<str>,
    refusal: Refusal,
}

impl Rules {
    /// Reads the list of words, watches it from now on, and reports decisions to the origins.
    ///
    /// Errors: the list cannot be read, or a setting makes no sense.
    pub fn start(config: &Config, parts: Parts<'_>) -> Result<Self, Error> {
        check_rate(config)?;
        let metrics = Metrics::register(parts.metrics);
        let list = Arc::new(List::open(config.words_file.as_deref(), metrics.clone())?);
        let review = config.review.as_ref();
        let reviewer = review.map(|review| Reviewer::new(review, metrics.clone(), &parts));
        let journal = Arc::new(Journal::new(parts.exchange.clone(), metrics.clone()));
        let rules = Self(Arc::new(Inner {
            node_name: parts.node_name.clone(),
            config: ArcSwap::from_pointee(folded(config)),
            list: list.clone(),
            buckets: Mutex::new(buckets(config)),
            repeats: Mutex::new(repeats(config)),
            reviewer: reviewer.transpose()?,
            journal: journal.clone(),
            metrics,
        }));
        let shutdown = parts.scope.shutdown();
        let _runtime = parts.runtime.enter();
        parts.scope.spawn("words", list.watch(shutdown.clone()));
        parts.scope.spawn("audit", journal.report(shutdown.clone()));
        Ok(rules)
    }

    /// Decides on a comment of `from` in `room`. Takes as long as the review may, and no time to
    /// speak of without one. May be called on any runtime. Cancel-safe.
    ///
    /// Moderators, hosts and operators are trusted: their comments are normalised and recorded.
    pub async fn check(&self, room: &RoomName, from: &Member, text: &str) -> Verdict {
        let shown = normalise::shown(text);
        let mut objection = self.0.rules(room, from, &shown);
        if let (Ok(_), Some(reviewer)) = (&objection, &self.0.reviewer)
            && from.role < Role::Moderator
            && !reviewer.allows(room, from, &shown).await
        {
            objection = Err(Objection::new("review", 403, "this cannot be said here"));
        }
        self.0.record(room, from, &shown, objection.as_ref().err());
        match objection {
            Ok(chorus) => Verdict::Allow {
                text: shown,
                chorus,
            },
            Err(Objection { rule, refusal, .. }) => Verdict::Refuse { refusal, rule },
        }
    }

    /// Takes other settings. The reviewer stays the one of the start.
    ///
    /// Errors: as [`Self::start`]; everything stays as it was.
    pub fn apply(&self, config: &Config) -> Result<(), Error> {
        check_rate(config)?;
        let inner = &*self.0;
        inner.list.follow(config.words_file.as_deref())?;
        let before = inner.config.swap(Arc::new(folded(config)));
        let rate = |config: &Config| (config.comments_per_second, config.comments_burst);
        if rate(&before) != rate(config) {
            *inner.buckets.lock() = buckets(config);
        }
        let repeat = |config: &Config| (config.repeat_seconds, config.chorus_min);
        if repeat(&before) != repeat(config) {
            *inner.repeats.lock() = repeats(config);
        }
        Ok(())
    }

    /// Reads the list of words again, now. On an error the old one stays.
    pub fn reload(&self) -> Result<(), Error> {
        self.0.list.reload()
    }
}

impl Inner {
    /// All rules but the review, cheapest first. `Ok(true)`: many say the same just now.
    fn rules(&self, room: &RoomName, from: &Member, shown: &str) -> Result<bool, Objection> {
        if shown.is_empty() {
            return Err(Objection::new("empty", 400, "nothing of it can be seen"));
        }
        let characters = shown.chars().count();
        if characters > COMMENT_CHARACTERS_MAX || shown.len() > COMMENT_BYTES_MAX {
            return Err(Objection::new("length", 400, "the comment is too long"));
        }
        if from.role >= Role::Moderator {
            return Ok(false);
        }
        let now = clock::now();
        let taken = self.buckets.lock().take(now, &from.id);
        taken.map_err(|wait| Objection::new("rate", 429, "too many comments").until(wait))?;
        let config = self.config.load();
        let refused = config.links == Links::Refuse;
        if refused && links::find(shown, &config.allowed_hosts).is_some() {
            return Err(Objection::new("links", 403, "links are not allowed here"));
        }
        let folded = normalise::folded(shown);
        if let Some(line) = self.list.find(&folded) {
            let objection = Objection::new("words", 403, "this cannot be said here");
            return Err(Objection {
                by: format!("words:{line}").into(),
                ..objection
            });
        }
        let noted = self.repeats.lock().note(now, room, &from.id, &folded);
        noted.map_err(|wait| Objection::new("repeats", 429, "you have just said that").until(wait))
    }

    fn record(&self, room: &RoomName, from: &Member, shown: &str, objection: Option<&Objection>) {
        self.metrics
            .decided(objection.map_or("allow", |objection| objection.rule));
        let record = Audit {
            at: clock::unix_us() / 1000,
            node: self.node_name.clone(),
            by: objection.map_or_else(|| "rules".into(), |objection| objection.by.clone()),
            action: if objection.is_some() {
                "refuse"
            } else {
                "allow"
            }
            .into(),
            user: from.id.clone(),
            text: shown.to_owned(),
        };
        self.journal.keep(room, record);
    }
}

/// What is wrong with `config`, its list of words included; for who is about to use it.
pub fn check(config: &Config) -> Result<(), Error> {
    check_rate(config)?;
    config.words_file.as_deref().map_or(Ok(()), list::check)
}

fn check_rate(config: &Config) -> Result<(), Error> {
    let per_second = config.comments_per_second;
    if !per_second.is_finite() || per_second < 0.001 || config.comments_burst == 0 {
        return Err(Error::Rate);
    }
    Ok(())
}

/// `config` with names of hosts as they are compared.
fn folded(config: &Config) -> Config {
    let hosts = config.allowed_hosts.iter();
    Config {
        allowed_hosts: hosts.map(|host| host.to_lowercase()).collect(),
        ..config.clone()
    }
}

fn buckets(config: &Config) -> Buckets {
    Buckets::new(config.comments_per_second, config.comments_burst)
}

fn repeats(config: &Config) -> Repeats {
    let repeat = Duration::from_secs(config.repeat_seconds.into());
    Repeats::new(repeat, config.chorus_min)
}

impl Objection {
    fn new(rule: &'static str, status: u16, detail: &str) -> Self {
        Self {
            rule,
            by: rule.into(),
            refusal: Refusal {
                status,
                code: rule.to_owned(),
                detail: detail.to_owned(),
                retry_after_s: None,
            },
        }
    }

    /// It may be said after `wait`; rounded up.
    fn until(mut self, wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        self.refusal.retry_after_s = Some(seconds);
        self
    }
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
