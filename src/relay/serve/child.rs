//! One child: its handshake, its control stream and what it has subscribed to. On a connection on
//! which this node pushes, the child is the end that was dialled.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use crate::live;
use crate::relay::control::{self, OUTBOX_MAX, Outbox};
use crate::relay::error::{CLOSE_DONE, Error};
use crate::relay::metrics::ServeMetrics;
use crate::relay::question::{CLASSES, in_flight_max};
use crate::relay::serve::Source;
use crate::relay::serve::announcer::Announcer;
use crate::relay::serve::handshake::Handshake;
use crate::relay::serve::requests::Desk;
use crate::relay::serve::track::Track;
use crate::relay::wire::control::{
    Estimate, Hello, Message, POLICY_BYTES_MAX, Position, Purpose, Subscribe,
};
use crate::relay::{Role, Status, priority};
use crate::runtime::{TaskScope, clock};

pub(in crate::relay) use crate::relay::serve::announcer::View;

/// How long a handshake and the opening of the control stream may take, in seconds.
const HANDSHAKE_SECONDS: u64 = 5;

/// Groups in flight to a child that are not at the live edge, of each kind: enough to fill a long
/// link, few enough that they do not take the send window from live frames.
const BULK_STREAMS: usize = 4;

/// How long a child's tasks get to end.
const GRACE: Duration = Duration::from_secs(1);

/// What the tasks of one child share.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) connection: quinn::Connection,
    pub(super) outbox: Outbox,
    pub(super) bulk: Bulk,
    /// Permits for questions, by class.
    pub(super) questions: [Arc<Semaphore>; CLASSES.len()],
    pub(super) metrics: Arc<ServeMetrics>,
    hello: Hello,
    /// What the other node is to this one.
    role: Role,
    estimate: Mutex<Option<Estimate>>,
    report: Mutex<Bytes>,
    subscriptions: AtomicUsize,
}

/// Permits for groups that are not at the live edge. Sound does not queue behind pictures, nor
/// does a viewer who seeks behind the backfill.
#[derive(Debug)]
pub(super) struct Bulk {
    /// Pictures of the window.
    pub(super) video: Semaphore,
    /// Everything else of the window.
    pub(super) other: Semaphore,
    /// Answers to fetches.
    pub(super) fetches: Semaphore,
}

impl Bulk {
    fn new() -> Self {
        Self {
            video: Semaphore::new(BULK_STREAMS),
            other: Semaphore::new(BULK_STREAMS),
            fetches: Semaphore::new(BULK_STREAMS),
        }
    }
}

impl Child {
    pub(super) fn status(&self) -> Status {
        Status::of(
            self.role,
            self.hello.node.clone(),
            &self.connection,
            *self.estimate.lock(),
            self.subscriptions.load(Ordering::Relaxed),
        )
    }

    /// What the child last reported, by its name; `None` before it did.
    pub(super) fn report(&self) -> Option<(Arc<str>, Bytes)> {
        let report = self.report.lock().clone();
        (!report.is_empty()).then(|| (self.hello.node.clone(), report))
    }

    /// True when the child knows messages of version 2.
    fn is_current(&self) -> bool {
        self.hello.version >= 2
    }
}

/// A connection whose ends have said who they are.
pub(in crate::relay) struct Greeted {
    pub(in crate::relay) connection: quinn::Connection,
    /// The control stream.
    pub(in crate::relay) send: quinn::SendStream,
    /// The same, the other way.
    pub(in crate::relay) reader: control::Reader,
    /// What the other end said.
    pub(in crate::relay) hello: Hello,
}

/// Serves a child from its first packet to its last; a connection for pushes goes to the puller.
pub(super) async fn serve(handshake: Handshake, incoming: quinn::Incoming, scope: &TaskScope) {
    let shared = handshake.0.clone();
    let address = incoming.remote_address();
    let connection = match shake_hands(incoming).await {
        Ok(connection) => connection,
        Err(error) => {
            shared.source.metrics.refused.inc();
            tracing::warn!(%address, %error, "no handshake with a child");
            return;
        }
    };
    let greeted = greet(&connection, &shared.source.node).await;
    drop(handshake);
    let greeted = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            connection.close(error.close_code(), error.to_string().as_bytes());
            shared.source.metrics.refused.inc();
            tracing::warn!(%address, %error, "child refused");
            return;
        }
    };
    match greeted.hello.purpose {
        Purpose::Push => shared.puller.take(greeted, scope).await,
        Purpose::Pull => serve_link(&shared.source, greeted, View::Everything, scope).await,
        Purpose::Peer => serve_link(&shared.source, greeted, View::OwnShows, scope).await,
    }
}

/// Takes what was dialled: the control stream, and who is there.
async fn greet(connection: &quinn::Connection, node: &Arc<str>) -> Result<Greeted, Error> {
    let greeted = async {
        let (mut send, receive) = connection.accept_bi().await?;
        let _unlikely_closed = send.set_priority(priority::CONTROL).is_err();
        let mut reader = control::Reader::new(receive);
        let hello = reader.hello().await?;
        let own = control::hello(node, Purpose::Pull).encode();
        send.write_chunk(own).await?;
        Ok(Greeted {
            connection: connection.clone(),
            send,
            reader,
            hello,
        })
    };
    let wait = Duration::from_secs(HANDSHAKE_SECONDS);
    tokio::time::timeout(wait, greeted)
        .await
        .map_err(|_| Error::Timeout("hello", HANDSHAKE_SECONDS))?
}

async fn shake_hands(incoming: quinn::Incoming) -> Result<quinn::Connection, Error> {
    let wait = Duration::from_secs(HANDSHAKE_SECONDS);
    Ok(tokio::time::timeout(wait, incoming.accept()?)
        .await
        .map_err(|_| Error::Timeout("handshake", HANDSHAKE_SECONDS))??)
}

/// Announces what is in `view`, and sends what is asked for, until the link ends.
pub(in crate::relay) async fn serve_link(
    source: &Arc<Source>,
    greeted: Greeted,
    view: View,
    scope: &TaskScope,
) {
    let scope = TaskScope::under(scope.shutdown());
    let connection = greeted.connection.clone();
    let (child, address) = (greeted.hello.node.clone(), connection.remote_address());
    let result = tokio::select! {
        result = session(source, greeted, view, &scope) => result,
        () = scope.shutdown().requested() => Ok(()),
    };
    let code = result.as_ref().err().map_or(CLOSE_DONE, Error::close_code);
    let reason = result.as_ref().err().map(ToString::to_string);
    connection.close(code, reason.as_deref().unwrap_or("done").as_bytes());
    scope.finish(GRACE).await;
    match result {
        Err(error) if error.is_peer_gone() => {
            tracing::debug!(%child, %address, %error, "child gone");
        }
        Err(error) => tracing::warn!(%child, %address, %error, "child dropped"),
        Ok(()) => {}
    }
}

async fn session(
    source: &Arc<Source>,
    greeted: Greeted,
    view: View,
    scope: &TaskScope,
) -> Result<(), Error> {
    let Greeted {
        connection,
        send,
        reader,
        hello,
    } = greeted;
    let (outbox, inbox) = mpsc::channel(OUTBOX_MAX);
    scope.spawn(
        "relay.serve.control",
        control::write(send, inbox, connection.clone()),
    );
    let role = match view {
        View::Everything => Role::Child,
        View::OwnShows if hello.purpose == Purpose::Peer => Role::Peer,
        View::OwnShows => Role::Push,
    };
    let child = Arc::new(Child {
        connection,
        outbox,
        bulk: Bulk::new(),
        questions: CLASSES.map(|class| Arc::new(Semaphore::new(in_flight_max(class)))),
        metrics: source.metrics.clone(),
        hello,
        role,
        estimate: Mutex::default(),
        report: Mutex::default(),
        subscriptions: AtomicUsize::new(0),
    });
    let _listed = Listed::new(source.clone(), child.clone());
    let desk = Desk {
        child: child.clone(),
        store: source.store.clone(),
        exchange: source.exchange.clone(),
        scope: scope.clone(),
    };
    scope.spawn("relay.serve.requests", desk.serve_all());
    let (node, address) = (&child.hello.node, child.connection.remote_address());
    tracing::info!(child = %node, %address, version = child.hello.version, "child connected");
    Session {
        source,
        child,
        announcer: Announcer::new(view),
        subscriptions: HashMap::new(),
        scope,
    }
    .run(reader)
    .await
}

impl Child {
    /// Puts a message into the outbox. Waits while the child does not read.
    pub(super) async fn say(&self, message: Message) -> Result<(), Error> {
        self.outbox
            .send(message)
            .await
            .map_err(|_| Error::PeerGone("the control stream ended".into()))
    }
}

/// The control loop of one child.
struct Session<'a> {
    source: &'a Arc<Source>,
    child: Arc<Child>,
    announcer: Announcer,
    /// The scope of each subscription's tasks; dropping it ends them.
    subscriptions: HashMap<u64, TaskScope>,
    scope: &'a TaskScope,
}

impl Session<'_> {
    async fn run(mut self, mut reader: control::Reader) -> Result<(), Error> {
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

/// A child's place in the list of children.
struct Listed(Arc<Source>, usize);

impl Listed {
    fn new(source: Arc<Source>, child: Arc<Child>) -> Self {
        let key = child.connection.stable_id();
        source.children.lock().insert(key, child);
        source.metrics.children.inc();
        Self(source, key)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.children.lock().remove(&self.1);
        self.0.metrics.children.dec();
    }
}
