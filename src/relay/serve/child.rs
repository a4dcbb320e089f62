//! One child: its handshake, its control stream and what it has subscribed to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use crate::live;
use crate::relay::control::{self, OUTBOX_MAX, Outbox};
use crate::relay::error::{CLOSE_DONE, Error};
use crate::relay::metrics::ServeMetrics;
use crate::relay::question::{CLASSES, in_flight_max};
use crate::relay::serve::Shared;
use crate::relay::serve::announcer::Announcer;
use crate::relay::serve::handshake::Handshake;
use crate::relay::serve::requests::Desk;
use crate::relay::serve::track::Track;
use crate::relay::wire::VERSION;
use crate::relay::wire::control::{Estimate, Hello, Message, Subscribe};
use crate::relay::{Role, Status, priority};
use crate::runtime::{TaskScope, clock};

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
    node: Arc<str>,
    estimate: Mutex<Option<Estimate>>,
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
            Role::Child,
            self.node.clone(),
            &self.connection,
            *self.estimate.lock(),
            self.subscriptions.load(Ordering::Relaxed),
        )
    }
}

/// Serves a child from its first packet to its last.
pub(super) async fn serve(handshake: Handshake, incoming: quinn::Incoming, scope: &TaskScope) {
    let shared = handshake.0.clone();
    let address = incoming.remote_address();
    let connection = match shake_hands(incoming).await {
        Ok(connection) => connection,
        Err(error) => {
            shared.metrics.refused.inc();
            tracing::warn!(%address, %error, "no handshake with a child");
            return;
        }
    };
    let scope = TaskScope::under(scope.shutdown());
    let result = tokio::select! {
        result = session(&shared, &connection, handshake, &scope) => result,
        () = scope.shutdown().requested() => Ok(()),
    };
    let code = result.as_ref().err().map_or(CLOSE_DONE, Error::close_code);
    let reason = result.as_ref().err().map(ToString::to_string);
    connection.close(code, reason.as_deref().unwrap_or("done").as_bytes());
    scope.finish(GRACE).await;
    match result {
        Err(error) if error.is_peer_gone() => tracing::debug!(%address, %error, "child gone"),
        Err(error) => tracing::warn!(%address, %error, "child dropped"),
        Ok(()) => {}
    }
}

async fn shake_hands(incoming: quinn::Incoming) -> Result<quinn::Connection, Error> {
    let wait = Duration::from_secs(HANDSHAKE_SECONDS);
    Ok(tokio::time::timeout(wait, incoming.accept()?)
        .await
        .map_err(|_| Error::Timeout("handshake", HANDSHAKE_SECONDS))??)
}

async fn session(
    shared: &Arc<Shared>,
    connection: &quinn::Connection,
    handshake: Handshake,
    scope: &TaskScope,
) -> Result<(), Error> {
    let wait = Duration::from_secs(HANDSHAKE_SECONDS);
    let (send, receive) = tokio::time::timeout(wait, connection.accept_bi())
        .await
        .map_err(|_| Error::Timeout("control stream", HANDSHAKE_SECONDS))??;
    let mut reader = control::Reader::new(receive);
    let hello = reader.hello().await?;
    drop(handshake);

    let _unlikely_closed = send.set_priority(priority::CONTROL).is_err();
    let (outbox, inbox) = mpsc::channel(OUTBOX_MAX);
    scope.spawn(
        "relay.serve.control",
        control::write(send, inbox, connection.clone()),
    );
    let child = Arc::new(Child {
        connection: connection.clone(),
        outbox,
        bulk: Bulk::new(),
        questions: CLASSES.map(|class| Arc::new(Semaphore::new(in_flight_max(class)))),
        metrics: shared.metrics.clone(),
        node: hello.node,
        estimate: Mutex::default(),
        subscriptions: AtomicUsize::new(0),
    });
    let _listed = Listed::new(shared.clone(), child.clone());
    let desk = Desk {
        child: child.clone(),
        store: shared.store.clone(),
        exchange: shared.exchange.clone(),
        scope: scope.clone(),
    };
    scope.spawn("relay.serve.requests", desk.serve_all());
    let own = Hello {
        version: VERSION,
        node: shared.node.clone(),
    };
    child.say(Message::Hello(own)).await?;
    tracing::info!(child = %child.node, address = %connection.remote_address(), "child connected");
    Session {
        shared,
        child,
        announcer: Announcer::default(),
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
    shared: &'a Arc<Shared>,
    child: Arc<Child>,
    announcer: Announcer,
    /// The scope of each subscription's tasks; dropping it ends them.
    subscriptions: HashMap<u64, TaskScope>,
    scope: &'a TaskScope,
}

impl Session<'_> {
    async fn run(mut self, mut reader: control::Reader) -> Result<(), Error> {
        let mut changes = self.shared.store.changes();
        changes.mark_changed();
        loop {
            tokio::select! {
                message = reader.next() => self.handle(message?).await?,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    changes.mark_unchanged();
                    for message in self.announcer.update(&self.shared.store) {
                        self.child.say(message).await?;
                    }
                }
            }
        }
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
            _ => return Err(Error::Protocol("a message that only parents send")),
        }
        Ok(())
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Error> {
        let subscription = subscribe.subscription;
        if subscription == 0 || self.subscriptions.contains_key(&subscription) {
            return Err(Error::Protocol("a subscription number that is taken"));
        }
        let full = self.subscriptions.len() >= self.shared.config.subscriptions_max;
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
        self.shared.metrics.subscriptions.inc_by(difference);
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.subscriptions.clear();
        self.count();
    }
}

/// A child's place in the list of children.
struct Listed(Arc<Shared>, usize);

impl Listed {
    fn new(shared: Arc<Shared>, child: Arc<Child>) -> Self {
        let key = child.connection.stable_id();
        shared.children.lock().insert(key, child);
        shared.metrics.children.inc();
        Self(shared, key)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.children.lock().remove(&self.1);
        self.0.metrics.children.dec();
    }
}
