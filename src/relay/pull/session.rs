//! One link to a parent: the control stream, and the group streams as they come.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::relay::clock::Sample;
use crate::relay::control::{self, OUTBOX_MAX};
use crate::relay::error::{CLOSE_DONE, Error};
use crate::relay::metrics::Switch;
use crate::relay::pull::ask::Line;
use crate::relay::pull::link::{Answer, Link};
use crate::relay::pull::parent::Parent;
use crate::relay::pull::shared::Shared;
use crate::relay::pull::streams;
use crate::relay::question::CLASSES;
use crate::relay::serve::Greeted;
use crate::relay::wire::control::{Message, Ping, Purpose, REPORT_BYTES_MAX};
use crate::runtime::clock::Instant;
use crate::runtime::{Shutdown, TaskScope, clock};

/// How often it is looked whether a ping is due.
const STEP: Duration = Duration::from_millis(50);

/// A parent that answers no ping for so long is lost: sooner than QUIC's idle timeout says so, for
/// viewers have a second or two in their buffers.
const SILENCE: Duration = Duration::from_secs(3);

/// How long the tasks of a lost link get to put away what they have.
const GRACE: Duration = Duration::from_secs(1);

/// The longest time for which a parent that said goodbye is not dialled: it may be back sooner.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// Uses a connection until it ends, or until `stop`. Tracks live in `scope`.
pub(super) async fn run(
    shared: &Arc<Shared>,
    parent: &Arc<Parent>,
    greeted: Greeted,
    scope: &TaskScope,
    stop: &Shutdown,
) {
    let tasks = TaskScope::under(scope.shutdown());
    let connection = greeted.connection.clone();
    let peer = greeted.hello.node.clone();
    let session = begin(shared, parent, greeted, &tasks).await;
    let (result, link) = match session {
        Ok((reader, link)) => {
            let (address, version) = (&parent.address, link.hello.version);
            tracing::info!(parent = %address, %peer, version, "connected to the parent");
            shared.add_link(link.clone());
            let session = Session {
                shared,
                link: link.clone(),
                answered: clock::now(),
                pinged: None,
                policy: None,
                tracks: scope,
            };
            let result = tokio::select! {
                result = session.control(reader) => result,
                result = accept(&link, &tasks) => result,
                () = link.health.surplus() => Ok(()),
                () = stop.requested() => Ok(()),
            };
            (result, Some(link))
        }
        Err(error) => (Err(error), None),
    };
    if let Some(link) = &link {
        shared.remove_link(link);
        shared.rooms.lost(link, scope);
    }
    let code = result.as_ref().err().map_or(CLOSE_DONE, Error::close_code);
    let reason = result.as_ref().err().map(ToString::to_string);
    connection.close(code, reason.as_deref().unwrap_or("done").as_bytes());
    if let Err(error) = result {
        shared.judge(parent, &error);
        tracing::warn!(parent = %parent.address, %peer, %error, "parent lost");
    }
    tasks.finish(GRACE).await;
}

/// Opens the streams of questions.
async fn begin(
    shared: &Shared,
    parent: &Arc<Parent>,
    greeted: Greeted,
    tasks: &TaskScope,
) -> Result<(control::Reader, Arc<Link>), Error> {
    let Greeted {
        connection,
        send,
        reader,
        hello,
    } = greeted;
    let (outbox, inbox) = mpsc::channel(OUTBOX_MAX);
    tasks.spawn(
        "relay.pull.control",
        control::write(send, inbox, connection.clone()),
    );
    // Only parents answer questions.
    let lines = match parent.purpose {
        Purpose::Pull => {
            let lines = CLASSES.map(|class| Line::open(&connection, class, tasks));
            futures_util::future::try_join_all(lines).await?
        }
        Purpose::Push | Purpose::Peer => Vec::new(),
    };
    let metrics = shared.metrics.clone();
    let link = Link::new(connection, parent.clone(), hello, outbox, lines, metrics);
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
    /// When the parent last answered a ping.
    answered: Instant,
    /// When it was last pinged.
    pinged: Option<Instant>,
    /// What the parent said last of the fleet, until the node has room for it.
    policy: Option<Bytes>,
    /// Where track tasks live: they outlast the link.
    tracks: &'a TaskScope,
}

impl Session<'_> {
    async fn control(mut self, mut reader: control::Reader) -> Result<(), Error> {
        let mut steps = tokio::time::interval(STEP);
        let mut report = self.shared.report.clone();
        report.mark_changed();
        loop {
            tokio::select! {
                message = reader.next() => self.handle(message?)?,
                _ = steps.tick() => self.step()?,
                Ok(()) = report.changed() => {
                    let report = report.borrow_and_update().clone();
                    self.report(report);
                }
            }
        }
    }

    /// Pings when it is time to.
    fn step(&mut self) -> Result<(), Error> {
        self.pass_policy_on();
        let now = clock::now();
        if now.saturating_duration_since(self.answered) >= SILENCE {
            return Err(Error::Timeout("answer to a ping", SILENCE.as_secs()));
        }
        let pause = self.link.health.pace().ping();
        let is_early = |at: Instant| now.saturating_duration_since(at) + STEP / 2 < pause;
        if !self.pinged.is_some_and(is_early) {
            self.pinged = Some(now);
            self.link.try_say(Message::Ping(Ping {
                sent_us: clock::unix_us(),
                estimate: self.link.estimate(),
            }));
        }
        Ok(())
    }

    fn report(&self, report: Bytes) {
        if report.is_empty() || !self.link.is_current() || !self.link.is_to_parent() {
            return;
        }
        if report.len() > REPORT_BYTES_MAX {
            tracing::error!(
                bytes = report.len(),
                "report too long for the relay: not sent"
            );
            return;
        }
        // The next one follows in seconds.
        self.link.try_say(Message::Report(report));
    }

    fn pass_policy_on(&mut self) {
        if let Some(policy) = self.policy.take()
            && let Err(TrySendError::Full(policy)) = self.shared.policy_in.try_send(policy)
        {
            self.policy = Some(policy);
        }
    }

    fn handle(&mut self, message: Message) -> Result<(), Error> {
        let rooms = &self.shared.rooms;
        match message {
            Message::Announce(announce) => rooms.announce(&self.link, announce, self.tracks)?,
            Message::Gone { broadcast } => rooms.gone(&self.link, broadcast, self.tracks),
            Message::Progress { broadcast, newest } => {
                rooms.progress(&self.link, broadcast, newest, self.tracks);
            }
            Message::Goaway {
                reason,
                deadline_ms,
            } => self.goodbye(&reason, Duration::from_millis(deadline_ms)),
            Message::Policy(policy) if self.link.is_to_parent() => {
                self.policy = Some(policy);
                self.pass_policy_on();
            }
            Message::SubscribeOk {
                subscription,
                start,
                ..
            } => {
                if let Some(pulled) = self.link.pulled(subscription) {
                    if !pulled.intake.may_be(start) {
                        return Err(Error::Protocol("a start out of its time"));
                    }
                    pulled.intake.start(pulled.turn, start);
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
                    pulled.intake.missed(pulled.turn, group);
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

    /// The parent goes down: tracks take another one now, when there is one.
    fn goodbye(&self, reason: &str, deadline: Duration) {
        let (parent, peer) = (&self.link.parent, &self.link.hello.node);
        tracing::info!(%peer, reason, ?deadline, "parent says goodbye");
        self.link.health.leave();
        parent.rest(clock::now() + deadline.min(AWAY_MAX));
        self.shared.links.touch();
        self.shared.rooms.reconsider(Switch::Goaway, self.tracks);
    }
}
