//! The three streams: made when they are missing, written and read.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{
    Config as StreamConfig, LastRawMessageError, LastRawMessageErrorKind, StorageType, Stream,
};
use bytes::Bytes;

use crate::ledger::order::{Id, Revision};
use crate::ledger::{Config, Error};
use crate::media::RoomName;
use crate::nats::{ANSWER_SECONDS, is_connected};

/// The streams of a ledger.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) context: Context,
    prefix: String,
    replicas: usize,
    audit_kept: Duration,
}

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Orders,
    Rooms,
    Audit,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Rooms => "rooms",
            Self::Audit => "audit",
        }
    }
}

impl Streams {
    pub(super) fn new(context: Context, config: &Config) -> Self {
        Self {
            context,
            prefix: config.jetstream.prefix.clone(),
            replicas: config.jetstream.replicas,
            audit_kept: Duration::from_secs(u64::from(config.audit_days) * 86_400),
        }
    }

    pub(super) fn is_connected(&self) -> Result<(), Error> {
        Ok(is_connected(&self.context.client())?)
    }

    /// Makes the streams that are missing.
    pub(super) async fn make(&self) -> Result<(), Error> {
        for kind in [Kind::Orders, Kind::Rooms, Kind::Audit] {
            let is_log = kind == Kind::Audit;
            let config = StreamConfig {
                name: self.name(kind),
                subjects: vec![format!("{}.{}.>", self.prefix, kind.as_str())],
                max_messages_per_subject: if is_log { -1 } else { 1 },
                max_age: if is_log {
                    self.audit_kept
                } else {
                    Duration::ZERO
                },
                storage: StorageType::File,
                num_replicas: self.replicas,
                ..StreamConfig::default()
            };
            self.context
                .get_or_create_stream(config)
                .await
                .map_err(down)?;
        }
        Ok(())
    }

    pub(super) async fn stream(&self, kind: Kind) -> Result<Stream<()>, Error> {
        let stream = self.context.get_stream_no_info(self.name(kind)).await;
        stream.map_err(down)
    }

    pub(super) fn order_subject(&self, id: &Id) -> String {
        let (prefix, room, key) = (&self.prefix, &id.room, &id.key);
        format!("{prefix}.orders.{room}.{key}")
    }

    pub(super) fn room_subject(&self, kind: Kind, room: &RoomName) -> String {
        format!("{}.{}.{room}", self.prefix, kind.as_str())
    }

    /// All subjects of a kind.
    pub(super) fn subjects(&self, kind: Kind) -> String {
        format!("{}.{}.>", self.prefix, kind.as_str())
    }

    /// Writes, and waits for the ack of the replicas. None: not the revision that was `expected`.
    pub(super) async fn publish(
        &self,
        subject: String,
        payload: Bytes,
        expected: Option<Revision>,
    ) -> Result<Option<Revision>, Error> {
        self.is_connected()?;
        let mut message = PublishMessage::build().payload(payload);
        if let Some(expected) = expected {
            message = message.expected_last_subject_sequence(expected);
        }
        let published = async {
            let ack = self.context.send_publish(subject, message).await?;
            ack.await
        };
        let longest = Duration::from_secs(ANSWER_SECONDS);
        match tokio::time::timeout(longest, published).await {
            Ok(Ok(ack)) => Ok(Some(ack.sequence)),
            Ok(Err(error)) => refused(&error),
            Err(_) => Err(Error::Down(format!("no ack in {ANSWER_SECONDS} s"))),
        }
    }

    /// The last message of `subject`, as the leader knows it.
    pub(super) async fn last(
        &self,
        kind: Kind,
        subject: &str,
    ) -> Result<Option<StreamMessage>, Error> {
        self.is_connected()?;
        let stream = self.stream(kind).await?;
        found(stream.get_last_raw_message_by_subject(subject).await)
    }

    /// The first message of `subject`, which may have wildcards, from sequence `from` on.
    pub(super) async fn next(
        &self,
        kind: Kind,
        subject: &str,
        from: Revision,
    ) -> Result<Option<StreamMessage>, Error> {
        self.is_connected()?;
        let stream = self.stream(kind).await?;
        let ask = stream.raw_message_builder().sequence(from);
        found(ask.next_by_subject(subject).send().await)
    }

    fn name(&self, kind: Kind) -> String {
        format!("{}_{}", self.prefix, kind.as_str())
    }
}

fn found(
    answer: Result<StreamMessage, LastRawMessageError>,
) -> Result<Option<StreamMessage>, Error> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(down(error)),
    }
}

fn refused(error: &PublishError) -> Result<Option<Revision>, Error> {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Ok(None),
        PublishErrorKind::MaxAckPending => Err(Error::Busy(0)),
        _ => Err(down(error)),
    }
}

/// The cluster failed.
pub(super) fn down(error: impl std::fmt::Display) -> Error {
    Error::Down(error.to_string())
}
