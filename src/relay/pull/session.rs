//! One link to a parent: the control stream, and the group streams as they come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::relay::clock::Sample;
use crate::relay::control::{self, OUTBOX_MAX};
use crate::relay::error::{CLOSE_DONE, Error};
use crate::relay::priority;
use crate::relay::pull::ask::Line;
use crate::relay::pull::link::{Answer, Link};
use crate::relay::pull::{Shared, streams};
use crate::relay::question::CLASSES;
use crate::relay::wire::VERSION;
use crate::relay::wire::control::{Announce, Hello, Message, Ping};
use crate::runtime::clock::Instant;
use crate::runtime::{TaskScope, clock};

/// How often the clocks are compared, and the parent is shown the result.
const PING: Duration = Duration::from_secs(1);

/// A parent that answers no ping for so long is lost: sooner than QUIC's idle timeout says so, for
/// viewers have a second or two in their buffers.
const SILENCE: Duration = Duration::from_secs(3);

/// How long the tasks of a lost link get to put away what they have.
const GRACE: Duration = Duration::from_secs(1);

/// Uses a connection until it ends.
pub(super) async fn run(
    shared: &Arc<Shared>,
    parent: &str,
    connection: &quinn::Connection,
    scope: &TaskScope,
) {
    let tasks = TaskScope::under(scope.shutdown());
    let session = begin(shared, connection, &tasks).await;
    let (result, link) = match session {
        Ok((reader, link)) => {
            tracing::info!(parent, peer = %link.peer, "connected to the parent");
            shared.link.send_replace(Some(link.clone()));
            shared.metrics.connected.set(1);
            let session = Session {
                shared,
                link: link.clone(),
                refused: HashMap::new(),
                answered: clock::now(),
                tracks: scope,
            };
            let result = tokio::select! {
                result = session.control(reader) => result,
                result = accept(&link, &tasks) => result,
                () = scope.shutdown().requested() => Ok(()),
            };
            (result, Some(link))
        }
        Err(error) => (Err(error), None),
    };
    shared.link.send_replace(None);
    shared.metrics.connected.set(0);
    let code = result.as_ref().err().map_or(CLOSE_DONE, Error::close_code);
    let reason = result.as_ref().err().map(ToString::to_string);
    connection.close(code, reason.as_deref().unwrap_or("done").as_bytes());
    // All streams have put away their groups before the next link takes them up again.
    tasks.finish(GRACE).await;
    if let Some(link) = &link {
        shared.rooms.orphan(link, clock::now());
    }
    if let Err(error) = result {
        tracing::warn!(parent, %error, "parent lost");
    }
}

/// Opens the control stream, exchanges hellos, and opens the streams of questions.
async fn begin(
    shared: &Shared,
    connection: &quinn::Connection,
    tasks: &TaskScope,
) -> Result<(control::Reader, Arc<Link>), Error> {
    let (send, receive) = connection.open_bi().await?;
    let _fresh_streams_are_open = send.set_priority(priority::CONTROL).is_err();
    let (outbox, inbox) = mpsc::channel(OUTBOX_MAX);
    tasks.spawn(
        "relay.pull.control",
        control::write(send, inbox, connection.clone()),
    );
    let mut reader = control::Reader::new(receive);
    let hello = Message::Hello(Hello {
        version: VERSION,
        node: shared.node.clone(),
    });
    let unsent = outbox.send(hello).await.is_err();
    let hello = match unsent {
        true => return Err(Error::PeerGone("the control stream ended".into())),
        false => reader.hello().await?,
    };
    if hello.node == shared.node {
        return Err(Error::OwnParent(hello.node));
    }
    let lines = CLASSES.map(|class| Line::open(connection, class, tasks));
    let lines = futures_util::future::try_join_all(lines).await?;
    let lines = lines.try_into().expect("a line for each class");
    let metrics = shared.metrics.clone();
    let link = Link::new(connection.clone(), hello.node, outbox, lines, metrics);
    Ok((reader, link))
}

/// Gives each group stream a task; ends with the first that is no `rushlane/1`.
async fn accept(link: &Arc<Link>, tasks: &TaskScope) -> Result<(), Error> {
    let (fault, mut faults) = mpsc::channel(1);
    loop {
        let stream = tokio::select! {
            stream = link.connection.accept_uni() => stream?,
            Some(error) = faults.recv() => return Err(error),
        };
        let (link, fault) = (link.clone(), fault.clone());
        tasks.spawn("relay.pull.group", async move {
            match streams::receive(link, stream).await {
                Err(error @ (Error::Wire(_) | Error::Protocol(_))) => {
                    let _another_came_first = fault.try_send(error).is_err();
                }
                Err(error) => tracing::trace!(%error, "group stream cut short"),
                Ok(()) => {}
            }
        });
    }
}

/// The control loop of one link.
struct Session<'a> {
    shared: &'a Arc<Shared>,
    link: Arc<Link>,
    /// Announcements that the store refused; tried again when it changes.
    refused: HashMap<u64, Announce>,
    /// When the parent last answered a ping.
    answered: Instant,
    /// Where track tasks live: they outlast the link.
    tracks: &'a TaskScope,
}

impl Session<'_> {
    async fn control(mut self, mut reader: control::Reader) -> Result<(), Error> {
        let mut changes = self.shared.store.changes();
        let mut pings = tokio::time::interval(PING);
        loop {
            tokio::select! {
                message = reader.next() => self.handle(message?)?,
                _ = pings.tick() => {
                    if self.answered.elapsed() >= SILENCE {
                        return Err(Error::Timeout("answer to a ping", SILENCE.as_secs()));
                    }
                    let ping = Ping {
                        sent_us: clock::unix_us(),
                        estimate: self.link.estimate(),
                    };
                    self.link.say(Message::Ping(ping)).await;
                }
                _ = changes.changed(), if !self.refused.is_empty() => {
                    for (_, announce) in std::mem::take(&mut self.refused) {
                        self.announce(announce)?;
                    }
                }
            }
        }
    }

    fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Announce(announce) => self.announce(announce)?,
            Message::Gone { broadcast } => {
                self.refused.remove(&broadcast);
                self.shared.rooms.gone(&self.link, broadcast);
            }
            Message::SubscribeOk {
                subscription,
                start,
                ..
            } => {
                if let Some(pulled) = self.link.pulled(subscription) {
                    pulled.intake.start(start);
                    pulled.answer(Answer::Accepted);
                }
            }
            Message::SubscribeError { subscription } => {
                if let Some(pulled) = self.link.pulled(subscription) {
                    pulled.answer(Answer::Refused);
                }
            }
            Message::Missing {
                subscription,
                group,
            } => {
                if let Some(pulled) = self.link.pulled(subscription) {
                    pulled.intake.missed(group);
                }
            }
            Message::TrackEnd { subscription, last } => {
                if let Some(pulled) = self.link.pulled(subscription) {
                    pulled.answer(Answer::Ended(last));
                }
            }
            Message::Pong {
                sent_us,
                received_us,
                answered_us,
            } => {
                self.answered = clock::now();
                self.link.add_sample(Sample {
                    sent_us,
                    received_us,
                    answered_us,
                    returned_us: clock::unix_us(),
                });
            }
            _ => return Err(Error::Protocol("a message that only children send")),
        }
        Ok(())
    }

    fn announce(&mut self, announce: Announce) -> Result<(), Error> {
        /// Rooms that wait for a place here; the parent keeps within `live`'s own limit.
        const REFUSED_MAX: usize = 10_000;
        let rooms = &self.shared.rooms;
        if let Err(error) = rooms.announce(&self.link, &announce, self.tracks) {
            tracing::warn!(room = %announce.info.room, %error, "announced room not taken");
            if self.refused.len() >= REFUSED_MAX {
                return Err(Error::Protocol("more rooms than anybody carries"));
            }
            self.refused.insert(announce.broadcast, announce);
        }
        Ok(())
    }
}
