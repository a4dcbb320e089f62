//! How a node comes to its end: who wants it, and in which order what ends.
//!
//! First those who can go at once are sent elsewhere, while everything they still need goes on:
//! links to parents carry orders that are under way. Then, at the deadline or when nobody is left,
//! the services end together.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout_at};

use crate::admin::{self, Asked};
use crate::delivery::Delivery;
use crate::net::heritage::{self, Successor};
use crate::net::{Alternate, Drain, Onward, Terms};
use crate::node::config::Config;
use crate::node::running::Node;
use crate::node::{Error, notify, signals, succession};
use crate::relay;
use crate::rooms::doors::Doors;
use crate::runtime::clock::{self, Instant};

/// How long before the deadline the services begin to end, so that they are not aborted.
pub(super) const LAST_CALL: Duration = Duration::from_secs(1);

/// How long children may take to go to another parent. Those that have none stay for as long.
const CHILDREN_WAIT: Duration = Duration::from_secs(1);

/// How often is looked whether they have gone.
const CHILDREN_LOOK: Duration = Duration::from_millis(20);

/// How much of the time that a drain has is taken to end live bodies, at most.
const SPREAD_SHARE: u32 = 3;

/// What a node was told about its end.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where viewers go when nobody says otherwise.
    pub(super) alternates: Vec<Alternate>,
    /// How long a drain takes, at most.
    pub(super) grace: Duration,
    /// How long a process drains whose place another one has taken, at most.
    pub(super) upgrade: Duration,
    /// What operators ask for.
    pub(super) asked: mpsc::Receiver<Asked>,
}

/// Those who are sent away.
pub(super) struct Peers {
    pub(super) drain: Drain,
    pub(super) delivery: Option<Delivery>,
    pub(super) doors: Option<Doors>,
    pub(super) children: Option<relay::Server>,
    /// Rooms are this node's own.
    pub(super) is_origin: bool,
    /// Ends when the last viewer has gone.
    pub(super) http: Option<JoinHandle<()>>,
}

/// Waits until somebody wants the end of `node`, then drains it.
///
/// Errors: the process cannot listen to signals.
pub(super) async fn run(mut node: Node) -> Result<(), Error> {
    let (wish, successor) = loop {
        let asked = tokio::select! {
            signal = signals::wait() => signal.map(|()| Asked::Drain(admin::Wish::default()))?,
            signal = signals::upgrade() => signal.map(|()| Asked::Upgrade)?,
            asked = node.asked() => asked,
        };
        let wish = match asked {
            Asked::Drain(wish) => break (wish, None),
            Asked::Upgrade => admin::Wish::default(),
        };
        tokio::select! {
            summoned = succession::summon(&node) => match summoned {
                Ok(successor) => break (wish, Some(successor)),
                Err(error) => node.fails_to_upgrade(&error),
            },
            signal = signals::wait() => break (signal.map(|()| wish)?, None),
        }
    };
    if successor.is_none() {
        notify::stopping();
    }
    tokio::select! {
        () = node.stop(wish, successor) => Ok(()),
        // Whoever says it twice does not want to wait.
        again = signals::wait() => again,
    }
}

impl Plan {
    /// By `config`, for what comes in by `asked`.
    pub(super) fn new(config: &Config, asked: mpsc::Receiver<Asked>) -> Self {
        let alternates = config.drain.alternates.iter();
        Self {
            alternates: alternates
                .filter_map(|url| Alternate::parse(url).ok())
                .collect(),
            grace: Duration::from_secs(config.node.grace_seconds.into()),
            upgrade: Duration::from_secs(config.drain.upgrade_seconds.into()),
            asked,
        }
    }

    /// Waits until an operator asks for something.
    pub(super) async fn asked(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            // There is no admin port to ask at.
            None => std::future::pending().await,
        }
    }

    /// The terms of a drain in favour of another process.
    pub(super) fn succession(&self) -> Terms {
        Terms {
            onward: Onward::Successor,
            deadline: clock::now() + self.upgrade,
        }
    }

    /// The terms of a drain that begins now.
    pub(super) fn terms(&self, wish: admin::Wish) -> Terms {
        let seconds = wish
            .deadline_seconds
            .map(|seconds| Duration::from_secs(seconds.into()));
        let alternates = wish.alternates.unwrap_or_else(|| self.alternates.clone());
        Terms {
            onward: Onward::to(alternates),
            deadline: clock::now() + seconds.unwrap_or(self.grace),
        }
    }
}

impl Peers {
    /// Sends everybody away by `terms`; returns when they have gone, or shortly before the
    /// deadline.
    pub(super) async fn send_away(&mut self, terms: Terms, successor: Option<Successor>) {
        let now = clock::now();
        let time = terms.deadline.saturating_duration_since(now);
        let last_call = terms.deadline - LAST_CALL.min(time / 2);
        // An origin's successor waits for the end of this process.
        let stays = terms.onward == Onward::Successor && !self.is_origin;
        let spread = time / SPREAD_SHARE;
        tracing::info!(
            onward = terms.onward.as_str(),
            seconds = time.as_secs(),
            "draining"
        );
        if let Some(children) = &self.children {
            children.drain(terms.deadline);
        }
        self.drain.begin(terms);
        match successor {
            Some(successor) => {
                if let Err(error) = successor.go().await {
                    tracing::error!(%error, "the successor has gone");
                }
            }
            None => heritage::forget(),
        }
        let children = children_gone(self.children.as_ref(), now + CHILDREN_WAIT);
        let (delivery, doors) = (self.delivery.as_ref(), self.doors.as_ref());
        let drain = &self.drain;
        let bodies = async {
            // The same address leads to a successor: nobody gains by coming back early.
            if stays {
                sleep_until(last_call - spread).await;
            }
            delivery.inspect(|delivery| delivery.drain(spread));
            doors.inspect(|doors| doors.drain(drain.alternates()));
            std::future::pending::<()>().await;
        };
        let http = &mut self.http;
        let viewers = async {
            if let Some(http) = http {
                http.await.ok();
            }
        };
        let gone = async {
            tokio::select! {
                () = viewers => {}
                () = bodies => {}
            }
            children.await;
        };
        if timeout_at(last_call, gone).await.is_err() {
            tracing::info!("somebody is still here at the end of the drain");
        }
    }
}

/// Waits until no child follows anything here, or `until`.
async fn children_gone(children: Option<&relay::Server>, until: Instant) {
    let Some(children) = children else { return };
    while clock::now() < until
        && children
            .status()
            .iter()
            .any(|child| child.subscriptions > 0)
    {
        sleep(CHILDREN_LOOK).await;
    }
}
