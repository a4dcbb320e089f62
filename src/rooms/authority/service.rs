//! Who asks the rooms of an origin, and what: edges through the exchange, the operator directly.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::hooks::{self, Hooks};
use crate::ledger;
use crate::live::{self, AskError, QUESTION_BYTES_MAX};
use crate::media::RoomName;
use crate::protocol::interact::command::{self, Program};
use crate::protocol::interact::question::{Audit, OrderAnswer, Refusal};
use crate::protocol::interact::{Answer, Event, Member, Question, Role};
use crate::rooms::authority::audit::Trail;
use crate::rooms::authority::clock::{Clock, MediaClock};
use crate::rooms::authority::metrics::Metrics;
use crate::rooms::authority::open::{Open, Tools};
use crate::rooms::authority::refusal::{closed, malformed, too_many};
use crate::rooms::authority::registry::Registry;
use crate::rooms::authority::room::Comment;
use crate::rooms::authority::{Parts, RoomStatus};
use crate::rooms::{Settings, orders};

/// Records in one report of an edge; longer ones are refused.
const AUDIT_RECORDS_MAX: usize = 1024;
/// The status of an order that has just been stored.
const STORED: u16 = 202;

/// Answers for the rooms of this origin. Clones share it.
#[derive(Debug, Clone)]
pub struct Authority(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    registry: Registry,
    desk: orders::Desk,
    hooks: Hooks,
}

impl Authority {
    /// Restores what was open, and answers from now on; to be called in the runtime that is to do
    /// the work. A ledger that cannot be read just now is tried again for some seconds, then rooms
    /// open without what it holds.
    pub async fn start(settings: Settings, parts: Parts) -> Self {
        let metrics = Metrics::register(&parts.metrics);
        let (desk, changes) = parts.orders;
        let tools = Tools {
            node: parts.node_name,
            clock: Clock::start(),
            settings,
            ledger: parts.ledger.clone(),
            trail: Trail::start(parts.ledger, metrics.clone(), &parts.scope),
            metrics,
        };
        let registry = Registry::new(parts.store, tools, parts.scope.clone());
        let this = Self(Arc::new(Shared {
            registry,
            desk,
            hooks: parts.hooks,
        }));
        let is_loaded = this.0.registry.load().await;
        let (keeper, shutdown) = (this.clone(), parts.scope.shutdown().clone());
        parts.scope.spawn("rooms.keeper", async move {
            let registry = &keeper.0.registry;
            let work =
                async { tokio::join!(registry.keep(is_loaded), registry.tell_orders(changes)) };
            tokio::select! {
                _ = work => {}
                () = shutdown.requested() => {}
            }
        });
        parts.exchange.set_authority(Arc::new(this.clone()));
        this
    }

    /// A room that is open.
    #[must_use]
    pub fn status(&self, room: &str) -> Option<RoomStatus> {
        let open = self.0.registry.get(room)?;
        open.with(|room, now| room.status(now))
    }

    /// At most `max` records of a room's audit trail from before `before_ms`, the newest first.
    pub async fn audit(
        &self,
        room: &RoomName,
        before_ms: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, ledger::Error> {
        let ledger = &self.0.registry.tools().ledger;
        ledger.audit(room, before_ms, max).await
    }
}

impl live::Authority for Authority {
    fn ask(&self, question: live::Question) -> live::Answer {
        let shared = self.0.clone();
        Box::pin(async move {
            let answer = match serde_json::from_slice(&question.body) {
                Ok(asked) => shared.answer(&question.room, asked).await,
                Err(error) => Answer::Refused(malformed(&error.to_string())),
            };
            let json = serde_json::to_vec(&answer).expect("an answer has text keys only");
            match json.len() {
                0..=QUESTION_BYTES_MAX => Ok(Bytes::from(json)),
                bytes => Err(AskError::TooLong(bytes)),
            }
        })
    }
}

impl Shared {
    async fn answer(&self, room: &RoomName, question: Question) -> Answer {
        self.registry.tools().metrics.count(&question);
        match question {
            // Orders wait for nothing of the room's.
            Question::Order { buyer, order, load } => {
                Answer::Order(self.order(room, &buyer, &order, load).await)
            }
            Question::OrderState { buyer, key } => {
                Answer::Order(self.desk.state(room, &buyer, &key).await)
            }
            Question::Orders { buyer } => Answer::Events {
                events: self.desk.recent(room, &buyer.id).await,
            },
            question => {
                let open = match &question {
                    // The operator's word opens a room before its show.
                    Question::Program { by, .. } if by.role == Role::Admin => {
                        self.registry.find_or_open(room)
                    }
                    _ => self.registry.find(room),
                };
                let answer = match open {
                    Ok(open) => self.of_room(room, &open, question).await,
                    Err(refusal) => Err(refusal),
                };
                answer.unwrap_or_else(Answer::Refused)
            }
        }
    }

    /// What only an open room answers.
    async fn of_room(
        &self,
        name: &RoomName,
        open: &Open,
        question: Question,
    ) -> Result<Answer, Refusal> {
        match question {
            Question::Comment {
                from,
                text,
                media_ms,
                chorus,
            } => {
                let comment = Comment {
                    from,
                    text,
                    media_ms,
                    chorus,
                };
                let taken = open.with(|room, now| room.comment(comment, now));
                let taken = taken.ok_or_else(closed)?;
                let metrics = &self.registry.tools().metrics;
                match &taken {
                    Ok(event) => {
                        metrics.comments_taken.inc();
                        self.tell_comment(name, event);
                    }
                    Err(_) => {
                        metrics.comments_refused.inc();
                    }
                }
                taken.map(|event| Answer::Taken { event })
            }
            Question::Program { by, program } => {
                let event = self.program(name, open, by, program).await?;
                Ok(Answer::Taken { event })
            }
            Question::Moderate { by, moderation } => {
                let said = open.with_saved(|room, now| room.moderate(by, &moderation, now));
                let event = said.await.ok_or_else(closed)??;
                Ok(Answer::Taken { event })
            }
            Question::Likes(report) => {
                let taken = open.with(|room, now| room.likes(&report, now));
                taken.map(Answer::Likes).ok_or_else(closed)
            }
            Question::Presence(report) => {
                let taken = open.with(|room, now| room.presence(&report, now));
                taken.ok_or_else(closed)?.map(|()| Answer::Done)
            }
            Question::Snapshot => {
                let snapshot = open.with(|room, now| room.snapshot(now));
                let snapshot = snapshot.ok_or_else(closed)?;
                Ok(Answer::Snapshot(Box::new(snapshot)))
            }
            Question::Audit { records } if records.len() <= AUDIT_RECORDS_MAX => {
                self.registry.tools().trail.append(name, records);
                Ok(Answer::Done)
            }
            Question::Audit { records } => {
                let detail = format!("{} records, at most {AUDIT_RECORDS_MAX}", records.len());
                Err(too_many(&detail))
            }
            Question::Order { .. } | Question::OrderState { .. } | Question::Orders { .. } => {
                Err(malformed("orders do not go to the room"))
            }
        }
    }

    /// An order for a room that is open; of one that is not, what became of it before.
    async fn order(
        &self,
        room: &RoomName,
        buyer: &Member,
        order: &command::Order,
        load: bool,
    ) -> OrderAnswer {
        match self.registry.find(room) {
            Ok(_) => {
                let answer = self.desk.submit(room, buyer, order, load).await;
                if answer.status == STORED && !load {
                    self.tell_order(room, buyer, order);
                }
                answer
            }
            Err(_) => self.desk.state(room, buyer, &order.key).await,
        }
    }

    /// Tells of an order what identifies it; what else the buyer wrote is the merchant's.
    fn tell_order(&self, room: &RoomName, buyer: &Member, order: &command::Order) {
        if self.hooks.wants(hooks::Kind::Order) {
            let (key, sku, quantity) = (&order.key, &order.sku, order.quantity);
            let said = json!({ "key": key, "buyer": buyer.id, "sku": sku, "quantity": quantity });
            self.hooks.tell(hooks::Kind::Order, room.as_str(), said);
        }
    }

    fn tell_comment(&self, room: &RoomName, event: &Event) {
        if self.hooks.wants(hooks::Kind::Comment) {
            let text = event.body.get("text");
            let said = json!({ "comment": event.id, "from": event.from, "text": text });
            self.hooks.tell(hooks::Kind::Comment, room.as_str(), said);
        }
    }

    async fn program(
        &self,
        name: &RoomName,
        open: &Open,
        by: Member,
        program: Program,
    ) -> Result<Event, Refusal> {
        let clock = MediaClock::read(self.registry.store(), name);
        let said = open.with_saved(|room, now| room.program(by, program, clock, now));
        let event = said.await.ok_or_else(closed)??;
        open.touch();
        Ok(event)
    }
}

#[cfg(test)]
#[path = "service_test.rs"]
mod tests;
