//! Carries out what members want: limits of the node, rules, sanctions, then the origin's word.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use ulid::Ulid;

use crate::media::Class;
use crate::protocol::interact::command::{Action, Comment, Like, Moderation, Order, Program};
use crate::protocol::interact::event::{Event, Kind};
use crate::protocol::interact::question::{Answer, OrderAnswer, Question, Refusal};
use crate::protocol::interact::{Command, Member, Role};
use crate::rooms::Limits;
use crate::rooms::doors::figures::{self, Figures};
use crate::rooms::doors::origin::{Origin, refusal};
use crate::rooms::doors::room::Room;
use crate::rooms::moderation::{Rules, Verdict};
use crate::runtime::clock;

/// Looks at the orders of those who come in; a wave of returns must not hold up new orders.
const LOOKS_MAX: usize = 256;

/// The way on which commands come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// The connection, or the one post: a number of its own on this node.
    pub(super) connection: u64,
    /// What is ordered on it is part of a load test.
    pub(super) load: bool,
}

/// The clerk of a node. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Clerk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    rules: Rules,
    figures: Figures,
    /// Permits for orders, which nothing else may take.
    orders: Semaphore,
    /// Permits for everything else that is asked of the origin.
    others: Semaphore,
    looks: Semaphore,
    connections: AtomicU64,
}

impl Clerk {
    pub(super) fn new(origin: Origin, rules: Rules, figures: Figures, limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            origin,
            rules,
            figures,
            orders: Semaphore::new(limits.orders_in_flight_max),
            others: Semaphore::new(limits.comments_in_flight_max),
            looks: Semaphore::new(LOOKS_MAX),
            connections: AtomicU64::new(0),
        }))
    }

    /// The way to the origins.
    pub(super) fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// A way that nothing has come on yet.
    pub(super) fn way(&self, load: bool) -> Way {
        let connection = self.0.connections.fetch_add(1, Ordering::Relaxed);
        Way { connection, load }
    }

    /// Carries out `command`; returns the one event that answers it.
    pub(super) async fn carry_out(
        &self,
        room: &Arc<Room>,
        who: &Member,
        way: Way,
        command: Command,
    ) -> Event {
        let reference = command.reference;
        let answer = match command.action {
            Action::Comment(comment) => self.comment(room, who, comment).await,
            Action::Like(like) => self.like(room, &like, way).map(likes),
            Action::Order(order) => {
                let key = order.key.clone();
                let answer = self.order(room, who, order, way.load).await;
                answer.map(|answer| order_event(&key, &answer))
            }
            Action::Program(program) => self.program(room, who, program).await,
            Action::Moderation(moderation) => self.moderate(room, who, moderation).await,
        };
        let mut event = answer.unwrap_or_else(|refusal| refused(&refusal));
        event.reference = Some(reference);
        event
    }

    /// Something to say. The answer is the author's own echo.
    pub(super) async fn comment(
        &self,
        room: &Arc<Room>,
        who: &Member,
        comment: Comment,
    ) -> Result<Event, Refusal> {
        let said = self.try_comment(room, who, comment).await;
        self.count("comment", said)
    }

    async fn try_comment(
        &self,
        room: &Arc<Room>,
        who: &Member,
        comment: Comment,
    ) -> Result<Event, Refusal> {
        room.may_speak(who)?;
        let _permit = permit(&self.0.others)?;
        let text = comment.text;
        let (text, chorus) = match self.0.rules.check(&room.name, who, &text).await {
            Verdict::Allow { text, chorus } => (text, chorus),
            Verdict::Refuse { refusal, rule } => {
                tracing::debug!(room = %room.name, rule, "a comment is refused");
                return Err(refusal);
            }
        };
        let question = Question::Comment {
            from: who.clone(),
            text,
            media_ms: comment.media_ms,
            chorus,
        };
        let mut event = self.taken(room, Class::Comment, &question).await?;
        room.has_spoken(who);
        event.class = Class::Personal;
        Ok(event)
    }

    /// Likes; returns the room's total as far as known.
    pub(super) fn like(&self, room: &Arc<Room>, like: &Like, way: Way) -> Result<u64, Refusal> {
        let total = room.likes.count(like, way.connection, clock::now());
        self.count(
            "like",
            total.map_err(|_| busy("too many people like this room just now")),
        )
    }

    /// An order.
    pub(super) async fn order(
        &self,
        room: &Arc<Room>,
        buyer: &Member,
        order: Order,
        load: bool,
    ) -> Result<OrderAnswer, Refusal> {
        let question = Question::Order {
            buyer: buyer.clone(),
            order,
            load,
        };
        let answer = match permit(&self.0.orders) {
            Ok(_permit) => self.order_answer(room, &question).await,
            Err(refusal) => Err(refusal),
        };
        let status = match &answer {
            Ok(answer) => answer.status,
            Err(refusal) => refusal.status,
        };
        self.counted("order", status);
        answer
    }

    /// The present state of an order.
    pub(super) async fn order_state(
        &self,
        room: &Arc<Room>,
        buyer: &Member,
        key: &Arc<str>,
    ) -> Result<OrderAnswer, Refusal> {
        let _permit = permit(&self.0.orders)?;
        let question = Question::OrderState {
            buyer: buyer.clone(),
            key: key.clone(),
        };
        self.order_answer(room, &question).await
    }

    /// What became of the orders of somebody who comes in: the newest, and those he names.
    pub(super) async fn orders(
        &self,
        room: &Arc<Room>,
        buyer: &Member,
        keys: &[Arc<str>],
    ) -> Vec<Event> {
        let Ok(_look) = self.0.looks.acquire().await else {
            return Vec::new();
        };
        let question = Question::Orders {
            buyer: buyer.clone(),
        };
        let recent = self.0.origin.ask(&room.name, Class::Order, &question);
        let mut events = match recent.await {
            Ok(Answer::Events { events }) => events,
            Ok(_) => Vec::new(),
            Err(refusal) => {
                tracing::debug!(room = %room.name, refusal.code, "recent orders are not known");
                Vec::new()
            }
        };
        for key in keys {
            if events.iter().any(|event| event.id == *key) {
                continue;
            }
            if let Ok(answer) = self.order_state(room, buyer, key).await {
                events.push(order_event(key, &answer));
            }
        }
        events
    }

    async fn program(
        &self,
        room: &Arc<Room>,
        by: &Member,
        program: Program,
    ) -> Result<Event, Refusal> {
        let question = Question::Program {
            by: by.clone(),
            program,
        };
        let done = self.by_role(room, by, Role::Host, Class::Program, &question);
        self.count("program", done.await)
    }

    async fn moderate(
        &self,
        room: &Arc<Room>,
        by: &Member,
        moderation: Moderation,
    ) -> Result<Event, Refusal> {
        let question = Question::Moderate {
            by: by.clone(),
            moderation,
        };
        let done = self.by_role(room, by, Role::Moderator, Class::Order, &question);
        self.count("mod", done.await)
    }

    async fn by_role(
        &self,
        room: &Arc<Room>,
        by: &Member,
        least: Role,
        class: Class,
        question: &Question,
    ) -> Result<Event, Refusal> {
        if by.role < least {
            let detail = "your token does not give you this right in the room";
            return Err(refusal(403, "role", detail.into(), None));
        }
        let _permit = permit(&self.0.others)?;
        self.taken(room, class, question).await
    }

    async fn taken(
        &self,
        room: &Arc<Room>,
        class: Class,
        question: &Question,
    ) -> Result<Event, Refusal> {
        match self.0.origin.ask(&room.name, class, question).await? {
            Answer::Taken { event } => Ok(event),
            _ => Err(Origin::misunderstood()),
        }
    }

    async fn order_answer(
        &self,
        room: &Arc<Room>,
        question: &Question,
    ) -> Result<OrderAnswer, Refusal> {
        match self
            .0
            .origin
            .ask(&room.name, Class::Order, question)
            .await?
        {
            Answer::Order(answer) => Ok(answer),
            _ => Err(Origin::misunderstood()),
        }
    }

    fn count<T>(&self, kind: &'static str, end: Result<T, Refusal>) -> Result<T, Refusal> {
        self.counted(
            kind,
            end.as_ref().map_or_else(|refusal| refusal.status, |_| 200),
        );
        end
    }

    /// Counts a command that ended with `status`.
    pub(super) fn counted(&self, kind: &'static str, status: u16) {
        let command = figures::Command { kind, status };
        self.0.figures.commands.get_or_create(&command).inc();
    }
}

fn permit(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, Refusal> {
    semaphore
        .try_acquire()
        .map_err(|_| busy("this node waits for too many answers"))
}

fn busy(detail: &str) -> Refusal {
    refusal(503, "busy", detail.to_owned(), Some(1))
}

/// A refusal as the answer to a command.
pub(super) fn refused(refusal: &Refusal) -> Event {
    let body = serde_json::to_value(refusal).expect("a refusal has text keys only");
    Event::new(Kind::Error, Class::Personal, name(), now_ms(), body)
}

/// The room's total of likes.
pub(super) fn likes(total: u64) -> Event {
    let body = json!({ "total": total });
    Event::new(Kind::Like, Class::Total, name(), now_ms(), body)
}

/// An order's state: the stored answer and its status.
pub(super) fn order_event(key: &Arc<str>, answer: &OrderAnswer) -> Event {
    let mut body: Map<String, Value> = serde_json::from_str(&answer.body).unwrap_or_default();
    body.insert("status".into(), answer.status.into());
    if let Some(seconds) = answer.retry_after_s {
        body.insert("retry_after_s".into(), seconds.into());
    }
    Event::new(
        Kind::Order,
        Class::Order,
        key.clone(),
        now_ms(),
        body.into(),
    )
}

/// A name for an event of this node's own.
pub(super) fn name() -> String {
    Ulid::new().to_string()
}

fn now_ms() -> i64 {
    clock::unix_us() / 1000
}
