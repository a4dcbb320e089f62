//! The link to the parent of the moment, as its tasks share it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::media::Class;
use crate::media::group::Id;
use crate::relay::clock::{Clock, Sample};
use crate::relay::control::Outbox;
use crate::relay::metrics::PullMetrics;
use crate::relay::pull::ask::Line;
use crate::relay::pull::intake::Intake;
use crate::relay::question::{CLASSES, index};
use crate::relay::wire::control::{Estimate, Message, Subscribe};
use crate::relay::{Role, Status};

/// How long the last groups of an ended track may take.
const DRAIN: Duration = Duration::from_secs(5);

/// How often the last groups are looked for.
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// A connection to a parent.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: quinn::Connection,
    pub(super) peer: Arc<str>,
    pub(super) metrics: Arc<PullMetrics>,
    outbox: Outbox,
    lines: [Line; CLASSES.len()],
    clock: Mutex<Clock>,
    offset_us: AtomicI32,
    subscriptions: Mutex<HashMap<u64, Pulled>>,
    last: AtomicU64,
}

/// One track on its way from the parent.
#[derive(Debug, Clone)]
pub(super) struct Pulled {
    pub(super) intake: Arc<Intake>,
    pub(super) state: watch::Receiver<Answer>,
    said: watch::Sender<Answer>,
}

/// What the parent said of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet.
    Pending,
    /// Groups come.
    Accepted,
    /// The track is not there.
    Refused,
    /// The track is over; no group after this one comes.
    Ended(Option<Id>),
}

impl Link {
    pub(super) fn new(
        connection: quinn::Connection,
        peer: Arc<str>,
        outbox: Outbox,
        lines: [Line; CLASSES.len()],
        metrics: Arc<PullMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            connection,
            peer,
            metrics,
            outbox,
            lines,
            clock: Mutex::default(),
            offset_us: AtomicI32::new(0),
            subscriptions: Mutex::default(),
            last: AtomicU64::new(0),
        })
    }

    /// Asks for a track from where `intake` stands.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        broadcast: u64,
        track: Arc<str>,
        intake: &Arc<Intake>,
    ) -> Subscription {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (said, state) = watch::channel(Answer::Pending);
        let pulled = Pulled {
            intake: intake.clone(),
            state: state.clone(),
            said,
        };
        self.subscriptions.lock().insert(number, pulled);
        self.metrics.subscriptions.inc();
        let subscription = Subscription {
            link: self.clone(),
            number,
            intake: intake.clone(),
            state,
        };
        let subscribe = Subscribe {
            subscription: number,
            broadcast,
            track,
            start: intake.resume(),
        };
        self.say(Message::Subscribe(subscribe)).await;
        subscription
    }

    /// The subscription of that number, while it lasts.
    pub(super) fn pulled(&self, number: u64) -> Option<Pulled> {
        self.subscriptions.lock().get(&number).cloned()
    }

    /// The way for questions of `class`.
    pub(super) fn line(&self, class: Class) -> &Line {
        &self.lines[index(class)]
    }

    /// Puts a message into the outbox. A link that is lost swallows it.
    pub(super) async fn say(&self, message: Message) {
        let _link_ended = self.outbox.send(message).await.is_err();
    }

    /// Takes in the answer to a ping.
    pub(super) fn add_sample(&self, sample: Sample) {
        let mut clock = self.clock.lock();
        clock.add(sample);
        if let Some(estimate) = clock.estimate() {
            let bounds = (i64::from(i32::MIN), i64::from(i32::MAX));
            let offset_us = estimate.offset_us.clamp(bounds.0, bounds.1);
            let offset_us = i32::try_from(offset_us).expect("clamped to the type's bounds");
            self.offset_us.store(offset_us, Ordering::Relaxed);
            self.metrics.rtt_seconds.set(estimate.rtt_us as f64 / 1e6);
            let offset_seconds = estimate.offset_us as f64 / 1e6;
            self.metrics.offset_seconds.set(offset_seconds);
        }
    }

    /// The estimate of the clocks' difference.
    pub(super) fn estimate(&self) -> Option<Estimate> {
        self.clock.lock().estimate()
    }

    /// Own clock minus the parent's, for the frames' stamps; 0 before the first ping returned.
    pub(super) fn offset_us(&self) -> i32 {
        self.offset_us.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> Status {
        let subscriptions = self.subscriptions.lock().len();
        Status::of(
            Role::Parent,
            self.peer.clone(),
            &self.connection,
            self.estimate(),
            subscriptions,
        )
    }
}

impl Pulled {
    /// Notes what the parent said.
    pub(super) fn answer(&self, answer: Answer) {
        self.said.send_replace(answer);
    }

    /// Waits for the parent's consent; false when the track is over before it.
    pub(super) async fn accepted(&mut self) -> bool {
        let answered = self.state.wait_for(|answer| *answer != Answer::Pending);
        matches!(
            answered.await.as_deref(),
            Ok(Answer::Accepted | Answer::Ended(_))
        )
    }
}

/// A track's end of its subscription. Dropped, the link forgets it.
#[derive(Debug)]
pub(super) struct Subscription {
    link: Arc<Link>,
    number: u64,
    intake: Arc<Intake>,
    state: watch::Receiver<Answer>,
}

impl Subscription {
    /// Waits until the parent refuses the track or says that it is over.
    pub(super) async fn over(&mut self) -> Answer {
        let is_over = |answer: &Answer| matches!(answer, Answer::Refused | Answer::Ended(_));
        match self.state.wait_for(is_over).await {
            Ok(answer) => *answer,
            Err(_) => Answer::Refused,
        }
    }

    /// Waits for the groups that are still under way when a track is over, but not for ever.
    pub(super) async fn drained(&mut self) {
        let link = self.link.clone();
        let drained = async {
            while let Answer::Ended(Some(last)) = self.over().await
                && !self.intake.has_all(last)
            {
                tokio::time::sleep(DRAIN_STEP).await;
            }
        };
        tokio::select! {
            () = drained => {}
            _ = link.connection.closed() => {}
            () = tokio::time::sleep(DRAIN) => {
                tracing::debug!("the last groups of a track did not come");
            }
        }
    }

    /// Tells the parent that nobody wants the track any more.
    pub(super) async fn cancel(self) {
        let subscription = self.number;
        self.link.say(Message::Unsubscribe { subscription }).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.link.subscriptions.lock().remove(&self.number);
        self.link.metrics.subscriptions.dec();
    }
}
