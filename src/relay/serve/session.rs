//! The control stream of one child: what it is told, and what it has subscribed to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::live;
use crate::relay::Role;
use crate::relay::control;
use crate::relay::error::Error;
use crate::relay::serve::Source;
use crate::relay::serve::announcer::{Announcer, View};
use crate::relay::serve::child::Child;
use crate::relay::serve::track::Track;
use crate::relay::wire::control::{Message, POLICY_BYTES_MAX, Position, Subscribe};
use crate::runtime::{TaskScope, clock};

/// The control loop of one child.
pub(super) struct Session<'a> {
    source: &'a Arc<Source>,
    child: Arc<Child>,
    announcer: Announcer,
    /// The scope of each subscription's tasks; dropping it ends them.
    subscriptions: HashMap<u64, TaskScope>,
    scope: &'a TaskScope,
}

impl<'a> Session<'a> {
    /// A child that has subscribed to nothing yet.
    pub(super) fn new(
        source: &'a Arc<Source>,
        child: Arc<Child>,
        view: View,
        scope: &'a TaskScope,
    ) -> Self {
        Self {
            source,
            child,
            announcer: Announcer::new(view),
            subscriptions: HashMap::new(),
            scope,
        }
    }

    /// Announces, and carries out what the child says, until the link ends.
    pub(super) async fn run(mut self, mut reader: control::Reader) -> Result<(), Error> {
        let mut changes = self.source.store.changes();
        let mut routes = self.source.rooms.changes();
        let mut policy = self.source.policy.clone();
        let mut drain = self.source.drain.subscribe();
        changes.mark_changed();
        policy.mark_changed();
        drain.mark_changed();
        loop {
            tokio::select! {
                message = reader.next() => self.handle(message?).await?,
                Ok(()) = changes.changed() => self.announce().await?,
                Ok(()) = routes.changed() => self.announce().await?,
                Ok(()) = policy.changed() => {
                    let policy = policy.borrow_and_update().clone();
                    self.say_policy(policy).await?;
                }
                Ok(()) = drain.changed() => {
                    let deadline = *drain.borrow_and_update();
                    self.say_goodbye(deadline).await?;
                }
            }
        }
    }

    async fn announce(&mut self) -> Result<(), Error> {
        // A node that goes down gives its rooms up; its children find them elsewhere.
        if self.scope.shutdown().is_requested() {
            return Ok(());
        }
        for message in self.announcer.update(self.source) {
            self.child.say(message).await?;
        }
        Ok(())
    }

    async fn say_policy(&self, policy: Bytes) -> Result<(), Error> {
        if policy.is_empty() || !self.child.is_current() || self.child.role != Role::Child {
            return Ok(());
        }
        if policy.len() > POLICY_BYTES_MAX {
            tracing::error!(
                bytes = policy.len(),
                "policy too long for the relay: not passed on"
            );
            return Ok(());
        }
        self.child.say(Message::Policy(policy)).await
    }

    async fn say_goodbye(&self, deadline: Option<clock::Instant>) -> Result<(), Error> {
        let Some(deadline) = deadline.filter(|_| self.child.is_current()) else {
            return Ok(());
        };
        let left = deadline.saturating_duration_since(clock::now());
        let goodbye = Message::Goaway {
            reason: "the node drains".into(),
            deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        };
        self.child.say(goodbye).await
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Subscribe(subscribe) => self.subscribe(subscribe).await?,
            Message::Unsubscribe { subscription } => {
                if let Some(scope) = self.subscriptions.remove(&subscription) {
                    scope.shutdown().request();
                }
                self.count();
            }
            Message::Ping(ping) => {
                let received_us = clock::unix_us();
                *self.child.estimate.lock() = ping.estimate;
                let pong = Message::Pong {
                    sent_us: ping.sent_us,
                    received_us,
                    answered_us: clock::unix_us(),
                };
                self.child.say(pong).await?;
            }
            Message::Report(report) => *self.child.report.lock() = report,
            Message::Probe { broadcast, track } => {
                let found = self.announcer.broadcast(broadcast);
                let newest = found.and_then(|found| found.track(&track)?.newest());
                let newest = newest.map(|(group, frames)| Position {
                    group,
                    frames: frames as u64,
                });
                let progress = Message::Progress { broadcast, newest };
                self.child.say(progress).await?;
            }
            _ => return Err(Error::Protocol("a message that only parents send")),
        }
        Ok(())
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Error> {
        let subscription = subscribe.subscription;
        if subscription == 0 || self.subscriptions.contains_key(&subscription) {
            return Err(Error::Protocol("a subscription number that is taken"));
        }
        let full = self.subscriptions.len() >= self.source.config.subscriptions_max;
        let track = self.find(&subscribe).filter(|_| !full);
        let Some(consumer) = track else {
            return self
                .child
                .say(Message::SubscribeError { subscription })
                .await;
        };
        let scope = TaskScope::under(self.scope.shutdown());
        let track = Arc::new(Track {
            subscription,
            consumer,
            child: self.child.clone(),
        });
        let tasks = scope.clone();
        self.scope.spawn("relay.serve.track", async move {
            tokio::select! {
                () = track.follow(subscribe.start, &tasks) => {}
                () = tasks.shutdown().requested() => {}
            }
        });
        self.subscriptions.insert(subscription, scope);
        self.count();
        Ok(())
    }

    fn find(&self, subscribe: &Subscribe) -> Option<live::track::Consumer> {
        self.announcer
            .broadcast(subscribe.broadcast)?
            .track(&subscribe.track)
    }

    fn count(&self) {
        let now = self.subscriptions.len();
        let before = self.child.subscriptions.swap(now, Ordering::Relaxed);
        let difference = now.cast_signed() - before.cast_signed();
        let difference = i64::try_from(difference).unwrap_or_default();
        self.source.metrics.subscriptions.inc_by(difference);
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.subscriptions.clear();
        self.count();
    }
}
