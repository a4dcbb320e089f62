//! One child: its handshake, and what its tasks share. On a connection on which this node pushes,
//! the child is the end that was dialled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use crate::relay::control::{self, OUTBOX_MAX, Outbox};
use crate::relay::error::{CLOSE_DONE, Error};
use crate::relay::metrics::ServeMetrics;
use crate::relay::question::{CLASSES, in_flight_max};
use crate::relay::serve::Source;
use crate::relay::serve::handshake::Handshake;
use crate::relay::serve::requests::Desk;
use crate::relay::serve::session::Session;
use crate::relay::wire::control::{Estimate, Hello, Message, Purpose};
use crate::relay::{Role, Status, priority};
use crate::runtime::TaskScope;

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
    pub(super) role: Role,
    pub(super) estimate: Mutex<Option<Estimate>>,
    pub(super) report: Mutex<Bytes>,
    pub(super) subscriptions: AtomicUsize,
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
    pub(super) fn is_current(&self) -> bool {
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
    Session::new(source, child, view, scope).run(reader).await
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
