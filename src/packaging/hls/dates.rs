//! EXT-X-DATERANGE: what the room shows at a media time, for players that know nothing of rooms
//! (HLS-22 4.4.5.1, R1.13).

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use crate::packaging::hls::text::WALL_US_MAX;
use crate::protocol::interact::event::{Event, Kind};

/// The longest value of an attribute, in characters: a title or a URL.
const VALUE_CHARACTERS_MAX: usize = 256;

/// The most attributes of a range.
const ATTRIBUTES_MAX: usize = 16;

/// Fields of a body that the tag says in its own way.
const SAID: [&str; 2] = ["wall_ms", "duration_ms"];

/// One date range: a card, a pin, a sale. Made once, the same in all renditions and on every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateRange {
    /// START-DATE, in microseconds since 1970 by the capture clock.
    pub start_us: i64,
    /// The tag with its line end.
    pub(super) line: String,
}

impl DateRange {
    /// The range of an event that belongs to a media time: its `wall_ms` is the start,
    /// `duration_ms` the duration, every other simple field of its body an `X-` attribute. `None`
    /// for events that show nothing to a player.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let class = match event.kind {
            Kind::Card => "card",
            Kind::Pin => "pin",
            Kind::Sale => "sale",
            Kind::Stock => "stock",
            Kind::Notice => "notice",
            Kind::Pk => "pk",
            _ => return None,
        };
        let body = event.body.as_object().filter(|_| event.to.is_none())?;
        let start_us = body.get("wall_ms")?.as_i64()?.checked_mul(1000)?;
        let start_us = Some(start_us).filter(|start_us| (0..=WALL_US_MAX).contains(start_us))?;
        let start = Timestamp::from_microsecond(start_us).ok()?;
        let id = Quoted(&event.id);
        let mut line = format!(
            "#EXT-X-DATERANGE:ID={id},CLASS=\"com.rushlane.{class}\",START-DATE=\"{start:.3}\""
        );
        let mut put = |text: std::fmt::Arguments<'_>| {
            line.write_fmt(text).expect("a String takes every write");
        };
        if let Some(duration_ms) = body.get("duration_ms").and_then(Value::as_u64) {
            let (whole, rest) = (duration_ms / 1000, duration_ms % 1000);
            put(format_args!(",DURATION={whole}.{rest:03}"));
        }
        let fields = body.iter().filter(|(name, _)| is_name(name));
        for (name, value) in fields.take(ATTRIBUTES_MAX) {
            let name = name.to_ascii_uppercase().replace('_', "-");
            match value {
                Value::String(text) => put(format_args!(",X-{name}={}", Quoted(text))),
                Value::Bool(true) => put(format_args!(",X-{name}=\"YES\"")),
                Value::Bool(false) => put(format_args!(",X-{name}=\"NO\"")),
                // A decimal-floating-point has no sign and no exponent.
                Value::Number(number) if number.is_u64() => put(format_args!(",X-{name}={number}")),
                Value::Number(number) => put(format_args!(",X-{name}=\"{number}\"")),
                Value::Null | Value::Array(_) | Value::Object(_) => {}
            }
        }
        line.push('\n');
        Some(Self { start_us, line })
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !SAID.contains(&name) && !name.is_empty() && name.len() <= 32 && name.bytes().all(allowed)
}

/// A quoted-string: no quotes, no line ends (HLS-22 4.2), nothing that a terminal would obey.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        let shown = self.0.chars().filter(|c| !c.is_control());
        for c in shown.take(VALUE_CHARACTERS_MAX) {
            f.write_char(if c == '"' { '\'' } else { c })?;
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::media::Class;

    fn event(kind: Kind, body: Value) -> Event {
        Event::new(kind, Class::Program, "01JD", 0, body)
    }

    #[test]
    fn a_card_is_a_range_with_its_fields() {
        let card = event(
            Kind::Card,
            json!({
                "wall_ms": 1_763_800_000_480_i64, "duration_ms": 8000, "sku": "s-9",
                "title": "a \"red\"\nhat", "price": 1990, "off": -0.5, "action": "show",
                "picture": {"nested": 1}, "bad name": "x", "new": true,
            }),
        );
        let range = DateRange::of(&card).unwrap();
        assert_eq!(range.start_us, 1_763_800_000_480_000);
        assert_eq!(
            range.line,
            "#EXT-X-DATERANGE:ID=\"01JD\",CLASS=\"com.rushlane.card\",\
             START-DATE=\"2025-11-22T08:26:40.480Z\",DURATION=8.000,X-ACTION=\"show\",\
             X-NEW=\"YES\",X-OFF=\"-0.5\",X-PRICE=1990,X-SKU=\"s-9\",X-TITLE=\"a 'red'hat\"\n"
        );
    }

    #[test]
    fn what_no_player_shows_is_no_range() {
        let dated = json!({"wall_ms": 1});
        assert!(DateRange::of(&event(Kind::Comment, dated.clone())).is_none());
        assert!(DateRange::of(&event(Kind::Card, json!({"sku": "s"}))).is_none());
        assert!(DateRange::of(&event(Kind::Card, json!({"wall_ms": -1}))).is_none());
        assert!(DateRange::of(&event(Kind::Card, json!({"wall_ms": i64::MAX}))).is_none());
        let mut personal = event(Kind::Notice, dated);
        personal.to = Some("u".into());
        assert!(DateRange::of(&personal).is_none());
    }
}
