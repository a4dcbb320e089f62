//! Answers to a child's questions: each by the node's own exchange, in a task of its own, in
//! whatever order the answers come.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::live::{AskError, Exchange, QUESTION_BYTES_MAX, Question};
use crate::media::Class;
use crate::relay::control::Reader;
use crate::relay::error::Error;
use crate::relay::priority;
use crate::relay::question::{self, index, patience};
use crate::relay::serve::child::Child;
use crate::relay::wire::question::{Answered, Asked, Outcome};
use crate::runtime::TaskScope;

/// Answers that may wait for the stream. Beyond it tasks wait with their permits, and so does the
/// reading of further questions: a child that takes no answers stalls its own class.
const OUTBOX_MAX: usize = 64;

/// The questions of one class from one child.
pub(super) struct Questions {
    pub(super) class: Class,
    pub(super) child: Arc<Child>,
    pub(super) exchange: Exchange,
    pub(super) scope: TaskScope,
}

impl Questions {
    /// Answers until the child asks no more.
    pub(super) async fn answer_all(
        self,
        mut send: quinn::SendStream,
        mut reader: Reader,
    ) -> Result<(), Error> {
        let _unlikely_closed = send.set_priority(priority::message(self.class)).is_err();
        let (outbox, mut answers) = mpsc::channel(OUTBOX_MAX);
        let encode = |answered: Answered| Some(answered.encode());
        let read = async {
            while let Some(asked) = reader.record(Asked::take).await? {
                self.take(asked, &outbox).await;
            }
            Ok(())
        };
        tokio::select! {
            result = read => result,
            result = question::write(&mut send, &mut answers, encode) => result,
        }
    }

    /// Gives a question a task, or refuses it.
    async fn take(&self, asked: Asked, outbox: &mpsc::Sender<Answered>) {
        let Asked { number, room, body } = asked;
        let index = index(self.class);
        let permits = self.child.questions[index].clone();
        let Ok(permit) = permits.try_acquire_owned() else {
            self.child.metrics.questions_refused[index].inc();
            let outcome = Outcome::Busy;
            let _child_left = outbox.send(Answered { number, outcome }).await.is_err();
            return;
        };
        self.child.metrics.questions_served[index].inc();
        let class = self.class;
        let question = Question { class, room, body };
        let (exchange, outbox) = (self.exchange.clone(), outbox.clone());
        let shutdown = self.scope.shutdown().clone();
        self.scope.spawn("relay.serve.question", async move {
            let _permit = permit;
            let answer = async {
                let outcome = outcome(exchange.ask(question).await);
                let _child_left = outbox.send(Answered { number, outcome }).await.is_err();
            };
            // The child waits no longer either.
            tokio::select! {
                () = answer => {}
                () = tokio::time::sleep(patience(class)) => {}
                () = shutdown.requested() => {}
            }
        });
    }
}

fn outcome(answer: Result<Bytes, AskError>) -> Outcome {
    match answer {
        Ok(answer) if answer.len() <= QUESTION_BYTES_MAX => Outcome::Answer(answer),
        Ok(answer) => Outcome::TooLong(answer.len() as u64),
        Err(AskError::TooLong(bytes)) => Outcome::TooLong(bytes as u64),
        Err(AskError::Busy(_)) => Outcome::Busy,
        Err(AskError::Unreachable(reason)) => Outcome::Unreachable(reason),
    }
}
