//! Envelopes on their way down. One event is one JSON object; on a data track it is the payload of
//! one frame, so an edge passes the very bytes on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Member, VERSION};
use crate::media::Class;

/// What an event is about; `type` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// First on every connection: who you are, where the sequences stand.
    Hello,
    /// The state of the room, in place of events that are no longer kept.
    Snapshot,
    /// Somebody said something.
    Comment,
    /// The total of likes.
    Like,
    /// A product card is shown, changed or taken away.
    Card,
    /// A message is pinned, or none.
    Pin,
    /// How much is left, by the merchant's word.
    Stock,
    /// A sale opens or closes.
    Sale,
    /// State of a contest between hosts.
    Pk,
    /// An order of this member has a new state.
    Order,
    /// The room says something to everybody, or the answer to a command.
    Notice,
    /// Somebody was muted, banned, or a comment is taken back.
    Mod,
    /// How many are here.
    Presence,
    /// A command was refused.
    Error,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`VERSION`].
    pub v: u32,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What is promised of it.
    pub class: Class,
    /// Its number in the room, epoch and class, from 1 without gaps: class 0 and 1 only, and only
    /// what all members get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Its name: a ULID; of an order its key.
    pub id: Arc<str>,
    /// When the room took it, in milliseconds since 1970, by the origin's clock.
    pub at: i64,
    /// The media time it belongs to, in milliseconds of the broadcast's timeline; players show it
    /// when their playhead is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_ms: Option<i64>,
    /// The command that it answers.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// The one member it is for; others never see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Arc<str>>,
    /// Who caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Member>,
    /// What it says, by kind (docs/INTERACTION.md).
    pub body: Value,
}

impl Event {
    /// An event with nothing but what each has.
    #[must_use]
    pub fn new(kind: Kind, class: Class, id: impl Into<Arc<str>>, at_ms: i64, body: Value) -> Self {
        Self {
            v: VERSION,
            kind,
            class,
            seq: None,
            id: id.into(),
            at: at_ms,
            media_ms: None,
            reference: None,
            to: None,
            from: None,
            body,
        }
    }

    /// The envelope as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event has text keys only")
    }
}

/// The same event in CBOR (RFC 8949), for binary frames. `None`: `json` is no JSON.
#[must_use]
pub fn to_cbor(json: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let mut cbor = Vec::with_capacity(json.len());
    ciborium::into_writer(&value, &mut cbor).expect("a Vec takes all bytes");
    Some(cbor)
}

/// What a node has to know of an event that it only passes on; the rest is skipped in parsing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What is promised of it.
    pub class: Class,
    /// See [`Event::seq`].
    #[serde(default)]
    pub seq: Option<u64>,
    /// See [`Event::id`].
    pub id: Arc<str>,
    /// See [`Event::to`].
    #[serde(default)]
    pub to: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cbor_says_what_json_says() {
        let mut event = Event::new(
            Kind::Comment,
            Class::Comment,
            "01J",
            5,
            json!({"text": "好"}),
        );
        event.media_ms = Some(-(1 << 40));
        let cbor = to_cbor(&event.to_json()).unwrap();
        assert!(cbor.len() < event.to_json().len());
        assert_eq!(ciborium::from_reader::<Event, _>(&cbor[..]).unwrap(), event);
        assert_eq!(to_cbor(b"{"), None);
    }

    #[test]
    fn label_reads_what_an_edge_needs() {
        let mut event = Event::new(Kind::Order, Class::Order, "key", 5, json!({"state": "a"}));
        event.to = Some("u_1".into());
        let label: Label = serde_json::from_slice(&event.to_json()).unwrap();
        assert_eq!(
            (label.kind, label.class, label.to),
            (Kind::Order, Class::Order, event.to)
        );
    }
}
