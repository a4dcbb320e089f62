//! What services are asked and told.

use serde_json::{Map, Value, json};
use ulid::Ulid;

use crate::hooks::Config;
use crate::runtime::clock;
use crate::telemetry::access::Trace;

/// What has happened, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody wants to publish.
    Publish,
    /// A publisher has left.
    Unpublish,
    /// Somebody begins to watch.
    Play,
    /// An order is stored.
    Order,
    /// A comment was taken.
    Comment,
}

/// All kinds, in the order of their numbers.
pub(super) const KINDS: [Kind; 5] = [
    Kind::Publish,
    Kind::Unpublish,
    Kind::Play,
    Kind::Order,
    Kind::Comment,
];

/// One event, with its id.
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) body: String,
    /// The same for all attempts.
    pub(super) trace: Trace,
}

impl Kind {
    /// As it is called in configurations and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "on_publish",
            Self::Unpublish => "on_unpublish",
            Self::Play => "on_play",
            Self::Order => "on_order",
            Self::Comment => "on_comment",
        }
    }

    /// Where it goes.
    pub(super) fn url(self, config: &Config) -> Option<&str> {
        let url = match self {
            Self::Publish => &config.on_publish,
            Self::Unpublish => &config.on_unpublish,
            Self::Play => &config.on_play,
            Self::Order => &config.on_order,
            Self::Comment => &config.on_comment,
        };
        url.as_deref()
    }
}

impl Event {
    /// `kind` in `room` on `node`, now, with `details`.
    pub(super) fn new(kind: Kind, room: &str, node: &str, details: Value) -> Self {
        let id = Ulid::new().to_string();
        let mut body = Map::new();
        body.insert("id".into(), json!(id));
        body.insert("type".into(), json!(kind.as_str()));
        body.insert("at".into(), json!(clock::unix_us() / 1000));
        body.insert("node".into(), json!(node));
        body.insert("room".into(), json!(room));
        if let Value::Object(details) = details {
            body.extend(details);
        }
        let body = Value::Object(body).to_string();
        let trace = Trace::begin();
        Self {
            kind,
            id,
            body,
            trace,
        }
    }
}
