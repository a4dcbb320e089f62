//! From the bytes of a stranger to a command, or to a fault that says what is wrong.

use std::fmt::Display;
use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::protocol::interact::command::{
    Action, Command, Comment, Like, Moderation, Order, Program,
};
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::Refusal;
use crate::protocol::interact::{VERSION, member, text};

/// The longest message of a member, in bytes: an order with room for its envelope.
pub const COMMAND_BYTES_MAX: usize = 32 << 10;
/// How deep a message may be nested.
pub const DEPTH_MAX: usize = 16;
/// The longest `ref`, in bytes.
pub const REFERENCE_BYTES_MAX: usize = 64;
/// The longest comment, in characters.
pub const COMMENT_CHARACTERS_MAX: usize = 500;
/// The longest comment, in bytes.
pub const COMMENT_BYTES_MAX: usize = 2 << 10;
/// The most likes in one batch: what one finger taps in a minute.
pub const LIKES_MAX: u32 = 1000;
/// The shortest key of an order: shorter ones collide.
pub const ORDER_KEY_BYTES_MIN: usize = 8;
/// The longest key of an order, in bytes.
pub const ORDER_KEY_BYTES_MAX: usize = 64;
/// The longest order, in bytes.
pub const ORDER_BYTES_MAX: usize = 16 << 10;
/// The longest SKU, in bytes.
pub const SKU_BYTES_MAX: usize = 128;
/// The most of one thing in an order.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// The longest body of a host's event, in bytes.
pub const PROGRAM_BYTES_MAX: usize = 4 << 10;
/// The longest mute or ban, in seconds: a year. Platforms that mean "for ever" give no token.
pub const SANCTION_SECONDS_MAX: u32 = 365 * 24 * 3600;
/// The slowest slow mode, in seconds (R5.6).
pub const SLOW_SECONDS_MAX: u32 = 120;

/// Why bytes are no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The command's `ref`, when it can be read: the answer carries it.
    pub reference: Option<Arc<str>>,
    /// Which field, and what is allowed.
    pub refusal: Refusal,
}

/// Reads a JSON message: a text frame, a line, the body of a post.
pub fn parse(json: &[u8]) -> Result<Command, Fault> {
    bounded(json)?;
    if depth(json) > DEPTH_MAX {
        return Err(nameless(malformed(format_args!(
            "nested deeper than {DEPTH_MAX} levels"
        ))));
    }
    if let Err(error) = str::from_utf8(json) {
        return Err(nameless(malformed(format_args!("no UTF-8: {error}"))));
    }
    let value = serde_json::from_slice(json);
    command(value.map_err(|error| nameless(malformed(format_args!("no JSON: {error}"))))?)
}

/// Reads a CBOR message: the same envelope in a binary frame. Integers may come as floats, as some
/// encoders send large ones.
pub fn parse_cbor(mut cbor: &[u8]) -> Result<Command, Fault> {
    bounded(cbor)?;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut cbor, DEPTH_MAX);
    let value = value.map_err(|error| nameless(malformed(format_args!("no CBOR: {error}"))))?;
    if !cbor.is_empty() {
        let after = cbor.len();
        let detail = format_args!("{after} bytes after the end of the message");
        return Err(nameless(malformed(detail)));
    }
    command(value)
}

fn bounded(message: &[u8]) -> Result<(), Fault> {
    let bytes = message.len();
    if bytes <= COMMAND_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("the message has {bytes} bytes: use at most {COMMAND_BYTES_MAX}");
    Err(nameless(refusal(413, "too_large", detail)))
}

/// The deepest nesting of a JSON text, whether or not it is well-formed.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn command(value: Value) -> Result<Command, Fault> {
    let Value::Object(mut envelope) = value else {
        return Err(nameless(malformed("the message is no object")));
    };
    let reference: Arc<str> = match envelope.get("ref").and_then(Value::as_str) {
        Some(text) if is_name(text, REFERENCE_BYTES_MAX) => text.into(),
        _ => {
            return Err(nameless(malformed(format_args!(
                "ref: 1 to {REFERENCE_BYTES_MAX} bytes without spaces and controls are needed"
            ))));
        }
    };
    match action(&mut envelope) {
        Ok(action) => Ok(Command { reference, action }),
        Err(refusal) => Err(Fault {
            reference: Some(reference),
            refusal,
        }),
    }
}

fn action(envelope: &mut Map<String, Value>) -> Result<Action, Refusal> {
    if envelope.get("v").is_some_and(|v| *v != VERSION) {
        return Err(malformed(format_args!("v: this is version {VERSION}")));
    }
    let media_ms = media_ms(envelope)?;
    let Some(Value::Object(body)) = envelope.remove("body") else {
        return Err(malformed("body: an object is needed"));
    };
    let kind = envelope
        .get("type")
        .and_then(|kind| Kind::deserialize(kind).ok());
    Ok(match kind {
        Some(Kind::Comment) => Action::Comment(comment(&body, media_ms)?),
        Some(Kind::Like) => Action::Like(like(&body)?),
        Some(Kind::Order) => Action::Order(order(body)?),
        Some(Kind::Mod) => Action::Moderation(moderation(body)?),
        Some(
            kind @ (Kind::Card | Kind::Pin | Kind::Stock | Kind::Sale | Kind::Pk | Kind::Notice),
        ) => Action::Program(program(kind, body, media_ms)?),
        _ => {
            return Err(malformed(
                "type: one of comment, like, order, card, pin, stock, sale, pk, notice, mod",
            ));
        }
    })
}

fn comment(body: &Map<String, Value>, outer_ms: Option<i64>) -> Result<Comment, Refusal> {
    let Some(text) = body.get("text").and_then(Value::as_str) else {
        return Err(malformed("body.text: a text is needed"));
    };
    if text.len() > COMMENT_BYTES_MAX || text.chars().count() > COMMENT_CHARACTERS_MAX {
        return Err(malformed(format_args!(
            "body.text: at most {COMMENT_CHARACTERS_MAX} characters and {COMMENT_BYTES_MAX} bytes"
        )));
    }
    if text.trim().is_empty() {
        return Err(malformed("body.text: nothing is said"));
    }
    Ok(Comment {
        text: text.to_owned(),
        media_ms: outer_ms.or(media_ms(body)?),
    })
}

fn like(body: &Map<String, Value>) -> Result<Like, Refusal> {
    let session = body.get("session").and_then(Value::as_str);
    Ok(Like {
        count: number(body, "count", 1, LIKES_MAX.into())?,
        session: match session.filter(|session| is_name(session, 64)) {
            Some(session) => session.to_owned(),
            None => return Err(malformed("body.session: 1 to 64 bytes without spaces")),
        },
        n: number(body, "n", 1, i64::MAX)?,
    })
}

fn order(mut body: Map<String, Value>) -> Result<Order, Refusal> {
    let bytes = length(&body);
    if bytes > ORDER_BYTES_MAX {
        let detail = format!("body: {bytes} bytes of an order: use at most {ORDER_BYTES_MAX}");
        return Err(refusal(413, "too_large", detail));
    }
    let key = match body.get("key").map(Value::as_str) {
        Some(Some(key)) if is_order_key(key) => key.into(),
        Some(_) => {
            return Err(malformed(format_args!(
                "body.key: {ORDER_KEY_BYTES_MIN} to {ORDER_KEY_BYTES_MAX} of a-z A-Z 0-9 _ -"
            )));
        }
        None => {
            let detail = "an order needs a key of its own, made before it is sent";
            return Err(refusal(400, "no_key", detail.to_owned()));
        }
    };
    let sku = body.get("sku").and_then(Value::as_str);
    let Some(sku) = sku.filter(|sku| is_sku(sku)).map(str::to_owned) else {
        let detail = format_args!("body.sku: 1 to {SKU_BYTES_MAX} bytes");
        return Err(malformed(detail));
    };
    let quantity = number(&body, "quantity", 1, QUANTITY_MAX.into())?;
    let attributes = match body.remove("attributes") {
        None => Map::new(),
        Some(Value::Object(attributes)) => attributes,
        Some(_) => return Err(malformed("body.attributes: an object is needed")),
    };
    Ok(Order {
        key,
        sku,
        quantity,
        attributes,
    })
}

fn program(
    kind: Kind,
    body: Map<String, Value>,
    media_ms: Option<i64>,
) -> Result<Program, Refusal> {
    let bytes = length(&body);
    if bytes > PROGRAM_BYTES_MAX {
        let detail = format!("body: {bytes} bytes: use at most {PROGRAM_BYTES_MAX}");
        return Err(refusal(413, "too_large", detail));
    }
    Ok(Program {
        kind,
        media_ms,
        body,
    })
}

fn moderation(body: Map<String, Value>) -> Result<Moderation, Refusal> {
    let moderation = Moderation::deserialize(Value::Object(body))
        .map_err(|error| malformed(format_args!("body: {error}")))?;
    let (name, seconds, seconds_max) = match &moderation {
        Moderation::Mute { user, seconds } | Moderation::Ban { user, seconds } => {
            (Some(user), *seconds, SANCTION_SECONDS_MAX)
        }
        Moderation::Unmute { user } | Moderation::Unban { user } => (Some(user), 0, 0),
        Moderation::Retract { id } => (Some(id), 0, 0),
        Moderation::Slow { seconds } => (None, *seconds, SLOW_SECONDS_MAX),
    };
    if seconds > seconds_max {
        return Err(malformed(format_args!(
            "body.seconds: at most {seconds_max}"
        )));
    }
    if name.is_some_and(|name| !is_name(name, member::ID_BYTES_MAX)) {
        let max = member::ID_BYTES_MAX;
        return Err(malformed(format_args!(
            "body: a user or id of 1 to {max} bytes"
        )));
    }
    Ok(moderation)
}

/// True for 8 to 64 of `a-z A-Z 0-9 _ -`.
#[must_use]
pub fn is_order_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (ORDER_KEY_BYTES_MIN..=ORDER_KEY_BYTES_MAX).contains(&key.len()) && key.chars().all(allowed)
}

/// True for 1 to 128 bytes that can be seen.
#[must_use]
pub fn is_sku(sku: &str) -> bool {
    (1..=SKU_BYTES_MAX).contains(&sku.len())
        && sku.trim() == sku
        && !sku.chars().any(text::is_hidden)
}

fn is_name(name: &str, bytes_max: usize) -> bool {
    let bad = |c: char| c.is_whitespace() || text::is_hidden(c);
    !name.is_empty() && name.len() <= bytes_max && !name.chars().any(bad)
}

fn media_ms(fields: &Map<String, Value>) -> Result<Option<i64>, Refusal> {
    match fields.get("media_ms") {
        None | Some(Value::Null) => Ok(None),
        Some(_) => number(fields, "media_ms", 0, 1 << 53).map(Some),
    }
}

/// An integer, also one that is written as a float.
fn number<N: TryFrom<i64>>(
    fields: &Map<String, Value>,
    name: &str,
    least: i64,
    most: i64,
) -> Result<N, Refusal> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    let whole = |float: f64| {
        (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
    };
    let value = fields.get(name);
    value
        .and_then(|value| value.as_i64().or_else(|| value.as_f64().and_then(whole)))
        .filter(|number| (least..=most).contains(number))
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| {
            malformed(format_args!(
                "{name}: a whole number from {least} to {most}"
            ))
        })
}

/// How long the fields are as JSON, in bytes.
fn length(fields: &Map<String, Value>) -> usize {
    serde_json::to_vec(fields).map_or(usize::MAX, |json| json.len())
}

fn malformed(detail: impl Display) -> Refusal {
    refusal(400, "malformed", detail.to_string())
}

fn refusal(status: u16, code: &str, detail: String) -> Refusal {
    Refusal {
        status,
        code: code.to_owned(),
        detail,
        retry_after_s: None,
    }
}

fn nameless(refusal: Refusal) -> Fault {
    Fault {
        reference: None,
        refusal,
    }
}

#[cfg(test)]
#[path = "parse_test.rs"]
mod tests;
