//! Audit records on their way to the origin of their room.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::live::{Exchange, Question};
use crate::media::{Class, RoomName};
use crate::protocol::interact;
use crate::protocol::interact::question::{Answer, Audit, Refusal};
use crate::rooms::moderation::metrics::Metrics;
use crate::runtime::Shutdown;

/// Records that wait: ten seconds of 1,000 comments, for an origin that restarts. Further ones are
/// lost and counted.
const RECORDS_MAX: usize = 10_000;
/// Records in one question: 2 KB each at most, within `live::QUESTION_BYTES_MAX`.
const RECORDS_PER_QUESTION: usize = 100;
/// The longest text that is kept, in characters.
const TEXT_CHARACTERS_MAX: usize = 500;
/// How often records are sent.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the last sending may take, when the node stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// Records that the origins do not have yet.
#[derive(Debug)]
pub(super) struct Journal {
    pending: Mutex<Pending>,
    exchange: Exchange,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Pending {
    /// Oldest first.
    rooms: HashMap<RoomName, Vec<Audit>>,
    records: usize,
}

impl Journal {
    pub(super) fn new(exchange: Exchange, metrics: Metrics) -> Self {
        Self {
            pending: Mutex::default(),
            exchange,
            metrics,
        }
    }

    /// Keeps a record until the origin has it.
    pub(super) fn keep(&self, room: &RoomName, mut record: Audit) {
        if let Some((end, _)) = record.text.char_indices().nth(TEXT_CHARACTERS_MAX) {
            record.text.truncate(end);
        }
        let mut pending = self.pending.lock();
        if pending.records >= RECORDS_MAX {
            self.metrics.audit_lost.inc();
            return;
        }
        pending.records += 1;
        pending.rooms.entry(room.clone()).or_default().push(record);
    }

    /// Sends what there is every second, until shutdown, and once more then.
    pub(super) async fn report(self: Arc<Self>, shutdown: Shutdown) {
        while !shutdown.is_requested() {
            tokio::select! {
                () = shutdown.requested() => {}
                () = tokio::time::sleep(PERIOD) => self.send().await,
            }
        }
        let _too_late = tokio::time::timeout(FAREWELL, self.send()).await.is_err();
    }

    /// Sends all; what cannot be sent now waits for the next time.
    async fn send(&self) {
        let taken = {
            let mut pending = self.pending.lock();
            pending.records = 0;
            std::mem::take(&mut pending.rooms)
        };
        for (room, mut records) in taken {
            while !records.is_empty() {
                let later = records.split_off(records.len().min(RECORDS_PER_QUESTION));
                let question = interact::Question::Audit {
                    records: records.clone(),
                };
                let body = serde_json::to_vec(&question).expect("records have text keys only");
                let asked = self.exchange.ask(Question {
                    class: Class::Comment,
                    room: room.clone(),
                    body: body.into(),
                });
                match asked.await.map(|answer| serde_json::from_slice(&answer)) {
                    Ok(Ok(Answer::Done)) => {}
                    // The origin starts or stops.
                    Ok(Ok(Answer::Refused(Refusal { status: 503, .. }))) | Err(_) => {
                        records.extend(later);
                        self.put_back(room, records);
                        break;
                    }
                    Ok(answer) => {
                        tracing::debug!(%room, ?answer, "the origin does not take audit records");
                        self.metrics.audit_lost.inc_by(records.len() as u64);
                    }
                }
                records = later;
            }
        }
    }

    /// Puts `records` before what was kept meanwhile.
    fn put_back(&self, room: RoomName, mut records: Vec<Audit>) {
        let mut pending = self.pending.lock();
        let free = RECORDS_MAX.saturating_sub(pending.records);
        let lost = records.len().saturating_sub(free);
        self.metrics.audit_lost.inc_by(lost as u64);
        records.truncate(free);
        pending.records += records.len();
        let kept = pending.rooms.entry(room).or_default();
        records.append(kept);
        *kept = records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live;
    use crate::telemetry;

    /// Answers after some refusals, and remembers what it was asked.
    #[derive(Debug, Default)]
    struct Origin(Arc<Mutex<(u32, Vec<usize>)>>);

    impl live::Authority for Origin {
        fn ask(&self, question: Question) -> live::Answer {
            let mut state = self.0.lock();
            if state.0 > 0 {
                state.0 -= 1;
                return Box::pin(async { Err(live::AskError::Unreachable("later".into())) });
            }
            let question = serde_json::from_slice(&question.body).unwrap();
            let interact::Question::Audit { records } = question else {
                panic!("only records are sent");
            };
            let texts = records
                .iter()
                .map(|record| record.text.parse::<usize>().unwrap());
            state.1.extend(texts);
            Box::pin(async { Ok("{\"a\":\"done\"}".into()) })
        }
    }

    fn record(text: usize) -> Audit {
        Audit {
            at: 0,
            node: "edge-1".into(),
            by: "rules".into(),
            action: "allow".into(),
            user: "u".into(),
            text: text.to_string(),
        }
    }

    #[tokio::test]
    async fn records_arrive_in_order_once_the_origin_is_back() {
        let origin = Origin::default();
        let state = origin.0.clone();
        let exchange = Exchange::default();
        exchange.set_authority(Arc::new(origin));
        let metrics = Metrics::register(&telemetry::Metrics::default());
        let journal = Journal::new(exchange, metrics);
        let room = RoomName::parse("demo").unwrap();
        for n in 0..150 {
            journal.keep(&room, record(n));
        }
        state.lock().0 = 1;
        journal.send().await;
        assert!(state.lock().1.is_empty());
        for n in 150..300 {
            journal.keep(&room, record(n));
        }
        journal.send().await;
        assert_eq!(state.lock().1, (0..300).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn memory_is_bounded_while_the_origin_is_away() {
        let metrics = Metrics::register(&telemetry::Metrics::default());
        let journal = Journal::new(Exchange::default(), metrics.clone());
        let room = RoomName::parse("demo").unwrap();
        for n in 0..RECORDS_MAX + 7 {
            journal.keep(&room, record(n));
        }
        journal.send().await;
        assert_eq!(journal.pending.lock().records, RECORDS_MAX);
        assert_eq!(metrics.audit_lost.get(), 7);
    }
}
