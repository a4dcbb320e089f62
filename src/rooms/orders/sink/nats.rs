//! A merchant's JetStream stream: a message for each attempt, which the stream keeps once.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::PublishMessage;
use tokio::sync::OnceCell;

use super::request;
use crate::ledger::Order;
use crate::nats;
use crate::rooms::orders::Nats;
use crate::rooms::orders::life::Outcome;

/// The stream.
#[derive(Debug)]
pub(in crate::rooms::orders) struct Sink {
    config: Nats,
    connection: OnceCell<Context>,
}

impl Sink {
    pub(super) fn new(config: &Nats) -> Self {
        Self {
            config: config.clone(),
            connection: OnceCell::new(),
        }
    }

    pub(super) const fn timeout(&self) -> Duration {
        Duration::from_secs(2 * nats::ANSWER_SECONDS)
    }

    /// Whether the servers are connected.
    pub(super) async fn reach(&self) -> Result<(), String> {
        let context = self.context().await?;
        nats::is_connected(&context.client()).map_err(|error| error.to_string())
    }

    async fn context(&self) -> Result<&Context, String> {
        let connect = || nats::connect(&self.config.servers);
        let context = self.connection.get_or_try_init(connect).await;
        context.map_err(|error| error.to_string())
    }

    /// With the stream's ack the merchant has the order; he decides through the admin API.
    pub(super) async fn attempt(&self, order: &Order) -> Outcome {
        let later = |why: String| Outcome::Later { why, after: None };
        let context = match self.context().await {
            Ok(context) => context,
            Err(why) => return later(why),
        };
        if let Err(error) = nats::is_connected(&context.client()) {
            return later(error.to_string());
        }
        match publish(context, &self.config.subject, order).await {
            Ok(()) => Outcome::Taken,
            Err(error) => later(error.to_string()),
        }
    }
}

async fn publish(context: &Context, subject: &str, order: &Order) -> Result<(), PublishError> {
    let name = format!("{}.{}", order.id.room, order.id.key);
    let message = PublishMessage::build().message_id(name);
    let message = message.payload(request(order).into());
    context
        .send_publish(subject.to_owned(), message)
        .await?
        .await?;
    Ok(())
}
