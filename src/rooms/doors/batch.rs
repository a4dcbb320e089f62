//! Events as members get them: encoded once for each format, whoever writes them to how many.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::media::Class;
use crate::protocol::interact::event::{self, Kind, Label};
use crate::protocol::websocket;

/// How a connection writes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Format {
    /// WebSocket text frames of JSON.
    Json,
    /// WebSocket binary frames of CBOR.
    Cbor,
    /// Server-sent events.
    Sse,
    /// JSON, one event a line.
    Lines,
}

/// How many formats there are.
pub(super) const FORMATS: usize = 4;

/// Where a room's numbers stand: all events of class 0 and 1 up to these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// Numbers count from 1 in each epoch.
    pub(super) epoch: Arc<str>,
    /// Of class 0 and of class 1.
    pub(super) seq: [u64; 2],
}

/// One event as the origin wrote it.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) label: Label,
    pub(super) json: Bytes,
    /// When it left the origin, in microseconds since 1970 by this node's clock; 0: not known.
    pub(super) left_us: i64,
}

/// Events in one format: as a whole, for those who take all of it, and by class, for those who
/// have to queue.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) whole: Bytes,
    pub(super) runs: Vec<(Class, Bytes)>,
}

/// Events that all members of a room get in one pass.
#[derive(Debug)]
pub(super) struct Batch {
    /// By class, in order inside each.
    items: Vec<Item>,
    /// Where the room stood before.
    before: Position,
    /// Where it stands with these.
    pub(super) after: Position,
    /// When its oldest event left the origin, but for totals, which wait for company; 0: not known.
    pub(super) left_us: i64,
    /// Events for one user each.
    pub(super) personal: Vec<Item>,
    /// Users who have to go.
    pub(super) banned: Vec<Arc<str>>,
    forms: [OnceLock<Form>; FORMATS],
}

impl Item {
    /// Reads what a node has to know of an event that left the origin at `left_us`. `None`: it is
    /// no event, and nobody can be given it.
    pub(super) fn read(json: Bytes, left_us: i64) -> Option<Self> {
        // A line break would end the event in some formats; compact JSON has none.
        if json.contains(&b'\n') {
            return None;
        }
        let label = serde_json::from_slice(&json).ok()?;
        Some(Self {
            label,
            json,
            left_us,
        })
    }

    /// The index of its class's sequence, and its number in it.
    pub(super) fn numbered(&self) -> Option<(usize, u64)> {
        let lane = match self.label.class {
            Class::Order => 0,
            Class::Program => 1,
            _ => return None,
        };
        Some((lane, self.label.seq?))
    }
}

impl Format {
    /// Appends one event. `id` is the position after it, where the format has a place for it.
    pub(super) fn encode(self, out: &mut Vec<u8>, json: &[u8], id: Option<&Position>) {
        match self {
            Self::Json => websocket::frame(out, true, json),
            Self::Cbor => {
                let cbor = event::to_cbor(json).expect("an event is JSON");
                websocket::frame(out, false, &cbor);
            }
            Self::Lines => {
                out.extend_from_slice(json);
                out.push(b'\n');
            }
            Self::Sse => {
                if let Some(Position { epoch, seq }) = id {
                    writeln!(out, "id: {epoch}.{}.{}", seq[0], seq[1])
                        .expect("writing into a Vec cannot fail");
                }
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(json);
                out.extend_from_slice(b"\n\n");
            }
        }
    }

    /// One event alone, for one member.
    pub(super) fn one(self, json: &[u8], id: Option<&Position>) -> Bytes {
        let mut out = Vec::with_capacity(json.len() + 16);
        self.encode(&mut out, json, id);
        out.into()
    }
}

impl Batch {
    /// Puts `items` in the order of their classes. `before` and `after`: where the room stands
    /// without and with them.
    pub(super) fn new(mut items: Vec<Item>, before: Position, after: Position) -> Self {
        items.sort_by_key(|item| item.label.class);
        let prompt = items.iter().filter(|item| item.label.class < Class::Total);
        let left_us = prompt
            .map(|item| item.left_us)
            .filter(|left_us| *left_us > 0);
        Self {
            left_us: left_us.min().unwrap_or(0),
            items,
            before,
            after,
            personal: Vec::new(),
            banned: Vec::new(),
            forms: Default::default(),
        }
    }

    /// How many events it has for everybody.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The events for everybody; encoded by whoever asks first.
    pub(super) fn form(&self, format: Format) -> &Form {
        self.forms[format as usize].get_or_init(|| self.encode(format))
    }

    fn encode(&self, format: Format) -> Form {
        let mut whole = Vec::new();
        let mut ends: Vec<(Class, usize)> = Vec::new();
        let mut position = self.before.clone();
        for item in &self.items {
            let numbered = item.numbered();
            if let Some((lane, seq)) = numbered {
                position.seq[lane] = seq;
            }
            let moves = numbered.is_some() || item.label.kind == Kind::Snapshot;
            format.encode(&mut whole, &item.json, moves.then_some(&position));
            match ends.last_mut() {
                Some((class, end)) if *class == item.label.class => *end = whole.len(),
                _ => ends.push((item.label.class, whole.len())),
            }
        }
        let whole = Bytes::from(whole);
        let mut start = 0;
        let runs = ends.into_iter().map(|(class, end)| {
            let run = whole.slice(start..end);
            start = end;
            (class, run)
        });
        Form {
            runs: runs.collect(),
            whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(class: u8, seq: Option<u64>) -> Item {
        let seq = seq.map_or_else(String::new, |seq| format!(r#""seq":{seq},"#));
        let json = format!(
            r#"{{"v":1,"type":"notice","class":{class},{seq}"id":"i{class}","at":1,"body":{{}}}}"#
        );
        Item::read(json.into(), 0).unwrap()
    }

    fn at(c0: u64, c1: u64) -> Position {
        Position {
            epoch: "e".into(),
            seq: [c0, c1],
        }
    }

    #[test]
    fn each_class_is_a_run_and_the_runs_are_the_whole() {
        let items = vec![
            item(4, None),
            item(3, None),
            item(0, Some(8)),
            item(3, None),
        ];
        let batch = Batch::new(items, at(7, 2), at(8, 2));
        for format in [Format::Json, Format::Cbor, Format::Sse, Format::Lines] {
            let form = batch.form(format);
            let classes: Vec<_> = form
                .runs
                .iter()
                .map(|(class, _)| u8::from(*class))
                .collect();
            assert_eq!(classes, [0, 3, 4]);
            let runs: Vec<&[u8]> = form.runs.iter().map(|(_, run)| &run[..]).collect();
            assert_eq!(runs.concat(), form.whole);
        }
    }

    #[test]
    fn server_sent_events_name_the_position_after_each() {
        let items = vec![item(1, Some(3)), item(0, Some(8)), item(3, None)];
        let batch = Batch::new(items, at(7, 2), at(8, 3));
        let whole = &batch.form(Format::Sse).whole;
        let text = std::str::from_utf8(whole).unwrap();
        let ids: Vec<_> = text.lines().filter(|line| line.starts_with("id")).collect();
        assert_eq!(ids, ["id: e.8.2", "id: e.8.3"]);
        assert_eq!(text.matches("\n\n").count(), 3);
    }

    #[test]
    fn what_is_no_event_is_not_passed_on() {
        assert!(Item::read(Bytes::from_static(b"{}"), 0).is_none());
        let broken = br#"{"v":1,"type":"notice",
            "class":3,"id":"i","at":1,"body":{}}"#;
        assert!(Item::read(Bytes::from_static(broken), 0).is_none());
    }
}
