//! Another configuration under a running node: by SIGHUP, and when the file changes.
//!
//! A file is read and checked whole, then put in force whole or not at all; no session notices.
//! What only a start can change is named, so that nobody believes it is in force. A file that is
//! half written, wrong or gone changes nothing: its faults are logged and shown.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::signal::unix::{SignalKind, signal};
use toml::{Table, Value};

use crate::admin::{Configuration, Loaded};
use crate::node::config::{Config, Error, Override};
use crate::node::services::Services;
use crate::node::{self, Role};
use crate::runtime::{Shutdown, TaskScope, clock};
use crate::telemetry::{Conditions, Metrics};

/// How often the file is looked at. It is read when two looks in a row find the same new version: a
/// change is in force within three seconds.
const LOOK: Duration = Duration::from_secs(1);

/// What is shown as wrong while a file is refused.
const CONDITION: &str = "configuration";

/// Keys and sections that [`Services::apply`] puts in force; everything else waits for a restart.
const LIVE: &[&str] = &[
    "node.log",
    "auth",
    "publish",
    "rooms",
    "moderation.words_file",
    "moderation.links",
    "moderation.allowed_hosts",
    "moderation.comments_per_second",
    "moderation.comments_burst",
    "moderation.repeat_seconds",
    "moderation.chorus_min",
    "shed",
];

/// Keys of sections in [`LIVE`] that size something at the start.
const AT_START: &[&str] = &[
    "rooms.limits.comments_in_flight_max",
    "rooms.limits.orders_in_flight_max",
    "auth.deny_file",
];

/// Where a node's configuration comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// What stands above it.
    pub overrides: Vec<Override>,
}

/// Puts new versions of one file in force.
pub(super) struct Reload {
    origin: Origin,
    role: Role,
    /// The file as the node was started with it.
    started: Table,
    services: Services,
    shown: Configuration,
    conditions: Conditions,
    figures: Figures,
    /// One at a time.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Figures {
    applied: Counter,
    refused: Counter,
    loaded: Gauge,
}

/// What tells one version of a file from another; `None`: it cannot be read.
type Version = Option<(SystemTime, u64)>;

impl Reload {
    /// Follows `origin` for a node of `role` that was started with it as it is now.
    pub(super) fn new(
        origin: Origin,
        role: Role,
        services: Services,
        shown: Configuration,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let figures = Figures::default();
        let room = "node";
        let help = "Versions of the configuration file put in force after the start";
        metrics.register(room, "config_applied", help, figures.applied.clone());
        let help = "Versions of the configuration file that were refused";
        metrics.register(room, "config_refused", help, figures.refused.clone());
        let help = "When the configuration in force was loaded, in seconds since 1970";
        metrics.register(
            room,
            "config_loaded_timestamp_seconds",
            help,
            figures.loaded.clone(),
        );
        let text = fs::read_to_string(&origin.path).unwrap_or_default();
        let this = Self {
            role,
            started: text.parse().unwrap_or_default(),
            services,
            shown,
            conditions: metrics.conditions().clone(),
            figures,
            turn: Mutex::default(),
            origin,
        };
        this.show(&text, Vec::new());
        Arc::new(this)
    }

    /// Reloads on SIGHUP and when the file has changed, by a task of `scope`.
    ///
    /// Errors: the process cannot listen to signals.
    pub(super) fn run(self: Arc<Self>, scope: &TaskScope) -> Result<(), node::Error> {
        let hangup = signal(SignalKind::hangup());
        let mut hangup = hangup.map_err(|error| node::Error::System("signals", error))?;
        let shutdown = scope.shutdown().clone();
        scope.spawn("reload", async move {
            let by_signal = async {
                while hangup.recv().await.is_some() {
                    tracing::info!("SIGHUP: the configuration is read again");
                    self.clone().load().await;
                }
            };
            tokio::select! {
                () = by_signal => {}
                () = self.clone().watch(&shutdown) => {}
                () = shutdown.requested() => {}
            }
        });
        Ok(())
    }

    async fn watch(self: Arc<Self>, shutdown: &Shutdown) {
        let mut known = version(&self.origin.path);
        let mut before = known;
        while !shutdown.is_requested() {
            tokio::time::sleep(LOOK).await;
            let found = version(&self.origin.path);
            // Who writes in place is given the time to finish.
            if found != known && found == before {
                known = found;
                self.clone().load().await;
            }
            before = found;
        }
    }

    /// Reads, checks and applies; what is wrong is told.
    async fn load(self: Arc<Self>) {
        let done = tokio::task::spawn_blocking(move || self.load_now()).await;
        if let Err(error) = done {
            tracing::error!(%error, "the configuration could not be read again");
        }
    }

    fn load_now(&self) {
        let _turn = self.turn.lock();
        let (text, config) = match self.read() {
            Ok(read) => read,
            Err(faults) => return self.refuse(faults),
        };
        if let Err(fault) = self.services.apply(&config) {
            return self.refuse(vec![fault]);
        }
        let restart = self.waiting(&text);
        for key in &restart {
            tracing::warn!(key, "this key has another value after a restart only");
        }
        self.conditions.clear(CONDITION);
        self.figures.applied.inc();
        self.show(&text, restart);
        tracing::info!(path = %self.origin.path.display(), "the configuration is in force");
    }

    fn read(&self) -> Result<(String, Config), Vec<String>> {
        let Origin { path, overrides } = &self.origin;
        let unreadable = |error| vec![format!("{}: cannot be read: {error}", path.display())];
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let name = path.display().to_string();
        match Config::read(&name, &text, self.role, overrides) {
            Ok(config) => Ok((text, config)),
            Err(Error::Faults(faults)) => Err(faults.iter().map(ToString::to_string).collect()),
            Err(error) => Err(vec![error.to_string()]),
        }
    }

    fn refuse(&self, faults: Vec<String>) {
        for fault in &faults {
            tracing::error!(
                fault,
                "the configuration is refused; the old one stays in force"
            );
        }
        let first = faults.first().map_or("", String::as_str);
        let detail = match faults.len() {
            0 | 1 => format!("refused, the one before is in force: {first}"),
            more => format!("refused for {more} faults, the one before is in force: {first}"),
        };
        self.conditions.raise(CONDITION, detail);
        self.figures.refused.inc();
        self.shown.refuse(faults);
    }

    fn show(&self, text: &str, restart: Vec<String>) {
        let hash = digest(&SHA256, text.as_bytes());
        let loaded_ms = clock::unix_us() / 1000;
        self.figures.loaded.set(loaded_ms / 1000);
        self.shown.set(Loaded {
            file: self.origin.path.display().to_string(),
            sha256: hash
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            loaded_ms,
            restart,
            faults: Vec::new(),
        });
    }

    /// Keys of `text` that differ from those that the node was started with and are not live.
    fn waiting(&self, text: &str) -> Vec<String> {
        let now: Table = text.parse().unwrap_or_default();
        let mut keys = Vec::new();
        differences("", &self.started, &now, &mut keys);
        keys.retain(|key| !is_live(key));
        keys
    }
}

fn version(path: &PathBuf) -> Version {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

fn is_live(key: &str) -> bool {
    let within = |section: &&str| {
        let rest = key.strip_prefix(*section);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    LIVE.iter().any(within) && !AT_START.iter().any(within)
}

/// The dotted names of all keys with different values, in order.
fn differences(above: &str, a: &Table, b: &Table, keys: &mut Vec<String>) {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let empty = Table::new();
    for name in names {
        let key = format!("{above}{name}");
        match (a.get(name), b.get(name)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(Value::Table(a)), Some(Value::Table(b))) => {
                differences(&format!("{key}."), a, b, keys);
            }
            (Some(Value::Table(one)), None) | (None, Some(Value::Table(one))) => {
                differences(&format!("{key}."), one, &empty, keys);
            }
            _ => keys.push(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(a: &str, b: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
        differences("", &a, &b, &mut keys);
        keys
    }

    #[test]
    fn keys_that_differ_are_named_wherever_they_stand() {
        let a = "[http]\nlisten = \"a\"\n[rooms]\nbatch_ms = 1\n[rooms.limits]\nx = 1\n";
        let b = "[http]\nlisten = \"b\"\n[rooms]\nbatch_ms = 1\n[live]\nwindow_seconds = 9\n";
        assert_eq!(
            keys(a, b),
            ["http.listen", "live.window_seconds", "rooms.limits.x"]
        );
        assert!(keys(a, a).is_empty());
        let secret = |word: &str| format!("[orders.webhook]\nsecret = \"{word}\"");
        assert_eq!(keys(&secret("a"), &secret("b")), ["orders.webhook.secret"]);
    }

    #[test]
    fn what_is_live_is_told_from_what_waits() {
        for key in [
            "rooms.batch_ms",
            "shed.peers",
            "node.log",
            "rooms.limits.commands_burst",
        ] {
            assert!(is_live(key), "{key}");
        }
        for key in [
            "http.listen",
            "node.name",
            "roomsy",
            "moderation.review",
            "rooms.limits.orders_in_flight_max",
        ] {
            assert!(!is_live(key), "{key}");
        }
    }
}
