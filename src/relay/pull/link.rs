//! One link to a parent, as its tasks share it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::media::Class;
use crate::media::group::Id;
use crate::relay::clock::{Clock, Sample};
use crate::relay::control::Outbox;
use crate::relay::metrics::PullMetrics;
use crate::relay::pull::ask::Line;
use crate::relay::pull::health::Health;
use crate::relay::pull::intake::Intake;
use crate::relay::pull::parent::Parent;
use crate::relay::question::index;
use crate::relay::wire::control::{Estimate, Hello, Message, Purpose, Subscribe};
use crate::relay::{Role, Standing, Status};
use crate::runtime::clock;
use crate::runtime::clock::Instant;

/// How long the last groups of an ended track may take.
const DRAIN: Duration = Duration::from_secs(5);

/// How often the last groups are looked for.
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// How far apart samples of the clocks are.
const SAMPLE: Duration = Duration::from_secs(1);

/// A connection to a parent.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: quinn::Connection,
    pub(super) parent: Arc<Parent>,
    /// What the parent said of itself.
    pub(super) hello: Hello,
    pub(super) metrics: Arc<PullMetrics>,
    pub(super) health: Health,
    pub(super) up_since: Instant,
    /// Broadcasts that are offered on it.
    pub(super) offers: AtomicUsize,
    outbox: Outbox,
    /// For questions, by class; empty on links that carry none.
    lines: Vec<Line>,
    clock: Mutex<(Clock, Option<Instant>)>,
    offset_us: AtomicI32,
    subscriptions: Mutex<HashMap<u64, Pulled>>,
    last: AtomicU64,
}

/// One track on its way from the parent.
#[derive(Debug, Clone)]
pub(super) struct Pulled {
    pub(super) intake: Arc<Intake>,
    /// Of the subscription.
    pub(super) turn: u64,
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
        parent: Arc<Parent>,
        hello: Hello,
        outbox: Outbox,
        lines: Vec<Line>,
        metrics: Arc<PullMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            connection,
            parent,
            hello,
            metrics,
            health: Health::new(),
            up_since: clock::now(),
            offers: AtomicUsize::new(0),
            outbox,
            lines,
            clock: Mutex::default(),
            offset_us: AtomicI32::new(0),
            subscriptions: Mutex::default(),
            last: AtomicU64::new(0),
        })
    }

    /// Its place in the order of preference.
    pub(super) fn rank(&self) -> usize {
        self.parent.rank()
    }

    /// How good it is just now; less is better.
    pub(super) fn standing(&self) -> (u8, usize) {
        (self.faults(), self.rank())
    }

    /// What speaks against it: 0 nothing, 1 it has failed lately, 2 it goes away, 3 it is silent.
    pub(super) fn faults(&self) -> u8 {
        match (self.health.is_late(), self.health.is_leaving()) {
            (true, _) => 3,
            (false, true) => 2,
            (false, false) => u8::from(self.parent.is_blamed(clock::now())),
        }
    }

    /// True when this node is the child there.
    pub(super) fn is_to_parent(&self) -> bool {
        self.parent.purpose == Purpose::Pull
    }

    /// True when tracks travel over it.
    pub(super) fn is_active(&self) -> bool {
        !self.subscriptions.lock().is_empty()
    }

    /// True when the parent knows messages of version 2.
    pub(super) fn is_current(&self) -> bool {
        self.hello.version >= 2
    }

    /// Round trip time as the connection smooths it.
    pub(super) fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    /// Prepares to ask for a track from where `intake` stands.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        (broadcast, term): (u64, u32),
        track: Arc<str>,
        intake: &Arc<Intake>,
    ) -> Subscription {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (said, state) = watch::channel(Answer::Pending);
        let (turn, start) = intake.resume(term);
        let pulled = Pulled {
            intake: intake.clone(),
            turn,
            state: state.clone(),
            said,
        };
        self.subscriptions.lock().insert(number, pulled);
        self.metrics.subscriptions.inc();
        Subscription {
            link: self.clone(),
            intake: intake.clone(),
            state,
            wish: Subscribe {
                subscription: number,
                broadcast,
                track,
                start,
            },
        }
    }

    /// The subscription of that number, while it lasts.
    pub(super) fn pulled(&self, number: u64) -> Option<Pulled> {
        self.subscriptions.lock().get(&number).cloned()
    }

    /// The way for questions of `class`; `None` on links that carry none.
    pub(super) fn line(&self, class: Class) -> Option<&Line> {
        self.lines.get(index(class))
    }

    /// Puts a message into the outbox. A link that is lost swallows it.
    pub(super) async fn say(&self, message: Message) {
        let _link_ended = self.outbox.send(message).await.is_err();
    }

    /// Puts a message into the outbox when it has room. What is said this way is said again, or
    /// may be lost.
    pub(super) fn try_say(&self, message: Message) {
        let _full_or_ended = self.outbox.try_send(message).is_err();
    }

    /// Takes in the answer to a ping: one a second, however often the parent is pinged.
    pub(super) fn add_sample(&self, sample: Sample) {
        let now = clock::now();
        let mut clock = self.clock.lock();
        let (clock, last) = &mut *clock;
        if last.is_some_and(|last| now.saturating_duration_since(last) < SAMPLE) {
            return;
        }
        *last = Some(now);
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
        self.clock.lock().0.estimate()
    }

    /// Own clock minus the parent's, for the frames' stamps; 0 before the first ping returned.
    pub(super) fn offset_us(&self) -> i32 {
        self.offset_us.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> Status {
        let subscriptions = self.subscriptions.lock().len();
        let (role, standing) = match self.parent.purpose {
            Purpose::Pull => (Role::Parent, Some(self.shown_standing(subscriptions))),
            Purpose::Push => (Role::Push, None),
            Purpose::Peer => (Role::Peer, None),
        };
        let estimate = self.estimate();
        let peer = self.hello.node.clone();
        let status = Status::of(role, peer, &self.connection, estimate, subscriptions);
        Status { standing, ..status }
    }

    fn shown_standing(&self, subscriptions: usize) -> Standing {
        match self.faults() {
            2.. => Standing::Leaving,
            _ if subscriptions > 0 => Standing::Active,
            _ => Standing::Warm,
        }
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

/// A track's end of its subscription. Dropped, the link forgets it, and the parent is told.
#[derive(Debug)]
pub(super) struct Subscription {
    link: Arc<Link>,
    wish: Subscribe,
    intake: Arc<Intake>,
    state: watch::Receiver<Answer>,
}

impl Subscription {
    /// Asks the parent, and waits for its first answer.
    pub(super) async fn ask(&mut self) {
        self.link.say(Message::Subscribe(self.wish.clone())).await;
        let answered = self.state.wait_for(|answer| *answer != Answer::Pending);
        let _link_ended = answered.await.is_err();
    }

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
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let subscription = self.wish.subscription;
        self.link.subscriptions.lock().remove(&subscription);
        self.link.metrics.subscriptions.dec();
        // Should it be lost, it is said again when the next group comes.
        if !matches!(*self.state.borrow(), Answer::Refused | Answer::Ended(_)) {
            self.link.try_say(Message::Unsubscribe { subscription });
        }
    }
}
