//! Questions to the parent: who asks ([`Asker`]), and the streams they travel on ([`Line`]).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::live::{self, AskError, Authority, Question};
use crate::media::Class;
use crate::relay::control::Reader;
use crate::relay::error::Error;
use crate::relay::metrics::{PullMetrics, QuestionMetrics};
use crate::relay::priority;
use crate::relay::pull::way::Way;
use crate::relay::question::{self, CLASSES, in_flight_max, index, patience};
use crate::relay::wire::control::Message;
use crate::relay::wire::question::{Answered, Asked, Outcome};
use crate::runtime::{Shutdown, TaskScope};

/// Asks over the link that the room comes over.
#[derive(Debug)]
pub(super) struct Asker {
    way: Way,
    /// No further link will come.
    over: Shutdown,
    /// By class. A question holds its permit while it waits for a link, too.
    permits: [Arc<Semaphore>; CLASSES.len()],
    metrics: Arc<PullMetrics>,
}

/// The link was lost, and whether the parent has heard the question is not known.
#[derive(Debug)]
pub(super) struct Lost;

// === impl Asker ===

impl Asker {
    pub(super) fn new(way: Way, over: Shutdown, metrics: Arc<PullMetrics>) -> Self {
        Self {
            way,
            over,
            permits: CLASSES.map(|class| Arc::new(Semaphore::new(in_flight_max(class)))),
            metrics,
        }
    }
}

impl Authority for Asker {
    fn ask(&self, question: Question) -> live::Answer {
        let class = question.class;
        let metrics = self.metrics.clone();
        let permit = self.permits[index(class)].clone().try_acquire_owned();
        let (way, over) = (self.way.clone(), self.over.clone());
        Box::pin(async move {
            let mut counted = Counted::new(&metrics.questions, class);
            let _permit = permit.map_err(|_| AskError::Busy(class))?;
            let answer = async {
                match class {
                    Class::Order => tokio::select! {
                        outcome = ask_until_heard(&way, &question) => Ok(outcome),
                        () = over.requested() => {
                            Err(AskError::Unreachable("the node goes down".into()))
                        }
                    },
                    _ => ask_once(&way, &question).await,
                }
            };
            let outcome = tokio::time::timeout(patience(class), answer)
                .await
                .map_err(|_| AskError::Unreachable("no answer in time".into()))??;
            counted.is_answered = matches!(outcome, Outcome::Answer(_));
            match outcome {
                Outcome::Answer(body) => Ok(body),
                Outcome::Unreachable(reason) => Err(AskError::Unreachable(reason)),
                Outcome::Busy => Err(AskError::Busy(class)),
                Outcome::TooLong(bytes) => {
                    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                    Err(AskError::TooLong(bytes))
                }
            }
        })
    }
}

/// Asks over the link of the moment, and over the next one as soon as the room's way changes: when
/// the link is lost, silent, or about to go.
async fn ask_until_heard(way: &Way, question: &Question) -> Outcome {
    let mut before = None;
    loop {
        let link = way.other(&question.room, before.as_ref()).await;
        if let Some(line) = link.line(question.class) {
            tokio::select! {
                outcome = line.ask(question) => if let Ok(outcome) = outcome {
                    return outcome;
                },
                _ = way.other(&question.room, Some(&link)) => {}
            }
        }
        before = Some(link);
    }
}

async fn ask_once(way: &Way, question: &Question) -> Result<Outcome, AskError> {
    let link = way.to(&question.room);
    let line = link.as_ref().and_then(|link| link.line(question.class));
    let line = line.ok_or_else(|| AskError::Unreachable("no parent answers".into()))?;
    let outcome = line.ask(question).await;
    outcome.map_err(|Lost| AskError::Unreachable("the parent was lost".into()))
}

/// Counts a question while it is under way, and how it ends; one that is given up has failed.
struct Counted<'a> {
    metrics: &'a QuestionMetrics,
    index: usize,
    is_answered: bool,
}

impl<'a> Counted<'a> {
    fn new(metrics: &'a QuestionMetrics, class: Class) -> Self {
        let index = index(class);
        metrics.asked[index].inc();
        metrics.in_flight[index].inc();
        Self {
            metrics,
            index,
            is_answered: false,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight[self.index].dec();
        let ends = match self.is_answered {
            true => &self.metrics.answered,
            false => &self.metrics.failed,
        };
        ends[self.index].inc();
    }
}

// === impl Line ===

/// The stream of one class to the parent.
#[derive(Debug)]
pub(super) struct Line {
    queue: mpsc::Sender<Asked>,
    waiting: Arc<Waiting>,
}

/// Who waits for an answer, by the number of the question; `None` once the stream has ended.
#[derive(Debug)]
struct Waiting(Mutex<Option<Askers>>);

#[derive(Debug, Default)]
struct Askers {
    last: u64,
    map: HashMap<u64, oneshot::Sender<Outcome>>,
}

impl Line {
    /// Opens the stream of `class`; it lives in `scope`, as long as its link.
    pub(super) async fn open(
        connection: &quinn::Connection,
        class: Class,
        scope: &TaskScope,
    ) -> Result<Self, Error> {
        let (mut send, receive) = connection.open_bi().await?;
        let _fresh_streams_are_open = send.set_priority(priority::message(class)).is_err();
        send.write_chunk(Message::Questions { class }.encode())
            .await?;
        // Those that have given up may still stand in the queue, so it can be full.
        let (queue, mut asked) = mpsc::channel(in_flight_max(class));
        let waiting = Arc::new(Waiting(Mutex::new(Some(Askers::default()))));
        let line = Self {
            queue,
            waiting: waiting.clone(),
        };
        let connection = connection.clone();
        scope.spawn("relay.pull.questions", async move {
            let wanted = |asked: Asked| waiting.is_wanted(asked.number).then(|| asked.encode());
            let result = tokio::select! {
                result = question::write(&mut send, &mut asked, wanted) => result,
                result = waiting.tell(Reader::new(receive)) => result,
            };
            waiting.0.lock().take();
            if let Err(error @ (Error::Wire(_) | Error::Protocol(_))) = result {
                tracing::warn!(%error, "the parent's answers are no answers");
                connection.close(error.close_code(), error.to_string().as_bytes());
            }
        });
        Ok(line)
    }

    /// Asks, and waits for what becomes of it. Dropping the future frees its place.
    async fn ask(&self, question: &Question) -> Result<Outcome, Lost> {
        let (tell, told) = oneshot::channel();
        let number = self.waiting.enter(tell).ok_or(Lost)?;
        let _place = Place(&self.waiting, number);
        let asked = Asked {
            number,
            room: question.room.clone(),
            body: question.body.clone(),
        };
        match self.queue.try_send(asked) {
            Ok(()) => told.await.map_err(|_| Lost),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(Outcome::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Lost),
        }
    }
}

impl Waiting {
    fn enter(&self, asker: oneshot::Sender<Outcome>) -> Option<u64> {
        let mut askers = self.0.lock();
        let askers = askers.as_mut()?;
        askers.last += 1;
        askers.map.insert(askers.last, asker);
        Some(askers.last)
    }

    fn leave(&self, number: u64) -> Option<oneshot::Sender<Outcome>> {
        self.0.lock().as_mut()?.map.remove(&number)
    }

    fn is_wanted(&self, number: u64) -> bool {
        let askers = self.0.lock();
        askers
            .as_ref()
            .is_some_and(|askers| askers.map.contains_key(&number))
    }

    /// Tells the askers what the parent says, until it says no more.
    async fn tell(&self, mut answers: Reader) -> Result<(), Error> {
        while let Some(answered) = answers.record(Answered::take).await? {
            if let Some(asker) = self.leave(answered.number) {
                let _has_just_given_up = asker.send(answered.outcome).is_err();
            }
        }
        Ok(())
    }
}

/// An asker's place among those who wait.
struct Place<'a>(&'a Waiting, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}
