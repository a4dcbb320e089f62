//! What a host shows: which events there are, and what their bodies may say. Pure.
//!
//! Fields that are not named here pass: they are the shop's own.

use serde_json::{Map, Value};

use crate::media::Class;
use crate::protocol::interact::command::Program;
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::Refusal;
use crate::rooms::authority::refusal::malformed;

/// The longest body, in bytes of JSON.
const BODY_BYTES_MAX: usize = 4096;

/// The longest body of a stock event: there may be one for each thing for sale.
const STOCK_BYTES_MAX: usize = 512;

/// The longest title, pinned message or notice, in characters.
const TEXT_CHARACTERS_MAX: usize = 500;

/// The longest name of a card, a sale or a thing for sale, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The longest address, in bytes: what browsers and proxies agree on.
const URL_BYTES_MAX: usize = 2048;

/// The longest that a card is shown, in milliseconds: a day.
const DURATION_MS_MAX: u64 = 86_400_000;

/// What an event of a host's is promised; `None`: hosts cannot send it.
pub(super) fn class(kind: Kind) -> Option<Class> {
    match kind {
        Kind::Stock | Kind::Sale => Some(Class::Order),
        Kind::Card | Kind::Pin | Kind::Pk | Kind::Notice => Some(Class::Program),
        Kind::Hello
        | Kind::Snapshot
        | Kind::Comment
        | Kind::Like
        | Kind::Order
        | Kind::Mod
        | Kind::Presence
        | Kind::Error => None,
    }
}

/// Checks what `program` says; the refusal names the field and what is allowed.
pub(super) fn check(program: &Program) -> Result<Class, Refusal> {
    let class = class(program.kind)
        .ok_or_else(|| malformed("hosts send card, pin, stock, sale, pk and notice"))?;
    let body = &program.body;
    let bytes = serde_json::to_vec(body).map_or(0, |json| json.len());
    let bytes_max = match program.kind {
        Kind::Stock => STOCK_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    };
    if bytes > bytes_max {
        let detail = format!("a body of {bytes} bytes is above the limit of {bytes_max}");
        return Err(malformed(&detail));
    }
    if program.media_ms.is_some_and(|media_ms| media_ms < 0) {
        return Err(malformed("`media_ms` is before the show"));
    }
    match program.kind {
        Kind::Card => check_card(body)?,
        Kind::Pin if body.get("text").is_some_and(Value::is_null) => {}
        Kind::Pin | Kind::Notice => text(body, "text")?,
        Kind::Sale => {
            name(body, "id")?;
            choice(body, "action", &["open", "close"])?;
        }
        Kind::Stock => {
            name(body, "sku")?;
            if body.get("left").and_then(Value::as_u64).is_none() {
                return Err(malformed("`left` has to be a whole number, 0 or more"));
            }
        }
        _ if body.is_empty() => return Err(malformed("the body is empty")),
        _ => {}
    }
    Ok(class)
}

fn check_card(body: &Map<String, Value>) -> Result<(), Refusal> {
    name(body, "id")?;
    choice(body, "action", &["show", "hide"])?;
    if body.get("action").is_some_and(|action| action == "hide") {
        return Ok(());
    }
    name(body, "sku")?;
    text(body, "title")?;
    for field in ["image", "url"] {
        let address = body.get(field).filter(|value| !value.is_null());
        if address.is_some_and(|value| !value.as_str().is_some_and(is_web_address)) {
            let detail = format!("`{field}` has to be an http, https or relative address");
            return Err(malformed(&detail));
        }
    }
    let price = body.get("price").filter(|value| !value.is_null());
    if price.is_some_and(|price| !is_price(price)) {
        return Err(malformed(
            "`price` has to be a number, or a text of at most 32 characters",
        ));
    }
    if body.contains_key("currency") {
        name(body, "currency")?;
    }
    let duration = body.get("duration_ms").filter(|value| !value.is_null());
    let lasts = |value: &Value| {
        value
            .as_u64()
            .is_some_and(|ms| (1..=DURATION_MS_MAX).contains(&ms))
    };
    if duration.is_some_and(|duration| !lasts(duration)) {
        return Err(malformed(
            "`duration_ms` has to be between 1 and 86400000 (a day)",
        ));
    }
    Ok(())
}

/// A text that pages show.
fn text(body: &Map<String, Value>, field: &str) -> Result<(), Refusal> {
    let text = body.get(field).and_then(Value::as_str);
    let shown = |c: char| !c.is_control() || c == '\n';
    match text.map(|text| (text.chars().count(), text.chars().all(shown))) {
        Some((1..=TEXT_CHARACTERS_MAX, true)) => Ok(()),
        _ => Err(malformed(&format!(
            "`{field}` has to be a text of 1 to {TEXT_CHARACTERS_MAX} characters"
        ))),
    }
}

/// A name that programs compare.
fn name(body: &Map<String, Value>, field: &str) -> Result<(), Refusal> {
    let name = body.get(field).and_then(Value::as_str).unwrap_or_default();
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(malformed(&format!(
        "`{field}` has to be a text of 1 to {NAME_BYTES_MAX} bytes"
    )))
}

fn choice(body: &Map<String, Value>, field: &str, choices: &[&str]) -> Result<(), Refusal> {
    match body.get(field).and_then(Value::as_str) {
        Some(chosen) if choices.contains(&chosen) => Ok(()),
        _ => Err(malformed(&format!(
            "`{field}` has to be `{}`",
            choices.join("` or `")
        ))),
    }
}

fn is_price(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|price| price >= 0.0),
        Value::String(text) => text.chars().count() <= 32,
        _ => false,
    }
}

/// True for addresses that lead to the web or stay on the site: no `javascript:`, no `data:`, and
/// nothing that a browser would first have to repair into one of them.
fn is_web_address(address: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '\\';
    if address.is_empty() || address.len() > URL_BYTES_MAX || !address.chars().all(plain) {
        return false;
    }
    let before_path = address.split(['/', '?', '#']).next().unwrap_or_default();
    match before_path.split_once(':') {
        None => true,
        Some((scheme, _)) => ["http", "https"].iter().any(|web| {
            let rest = address.get(scheme.len()..).unwrap_or_default();
            scheme.eq_ignore_ascii_case(web) && rest.starts_with("://") && rest.len() > 3
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a body gets: its class, or a word of the refusal.
    type Expected = Result<Class, &'static str>;

    const PROGRAM: Expected = Ok(Class::Program);
    const ORDER: Expected = Ok(Class::Order);

    fn check_all(cases: &[(Kind, Value, Expected)]) {
        for (kind, body, expect) in cases {
            let program = Program {
                kind: *kind,
                media_ms: None,
                body: body.as_object().cloned().unwrap_or_default(),
            };
            match (check(&program), expect) {
                (Ok(class), Ok(wanted)) => assert_eq!(class, *wanted, "{body}"),
                (Err(refusal), Err(word)) if refusal.detail.contains(word) => {}
                (got, _) => panic!("{body}: {got:?} instead of {expect:?}"),
            }
        }
    }

    #[test]
    fn cards_are_checked_field_by_field() {
        let card = |more: Value| {
            let mut body = json!({
                "id": "k1", "sku": "s-9", "title": "Tea", "price": 9.5, "currency": "CNY",
                "image": "/img/tea.webp", "url": "https://shop.example/tea", "action": "show",
            });
            let more = more.as_object().cloned().unwrap_or_default();
            body.as_object_mut().expect("an object").extend(more);
            (Kind::Card, body)
        };
        let with = |more: Value, expect: Expected| {
            let (kind, body) = card(more);
            (kind, body, expect)
        };
        let plain = |body: Value, expect: Expected| (Kind::Card, body, expect);
        check_all(&[
            with(json!({}), PROGRAM),
            with(json!({ "color": "red" }), PROGRAM),
            with(json!({ "price": "¥9.50" }), PROGRAM),
            with(json!({ "action": "flash" }), Err("`action`")),
            with(json!({ "sku": "" }), Err("`sku`")),
            with(json!({ "title": 7 }), Err("`title`")),
            with(json!({ "price": -1 }), Err("`price`")),
            with(json!({ "duration_ms": 0 }), Err("`duration_ms`")),
            with(json!({ "url": "javascript:alert(1)" }), Err("`url`")),
            with(json!({ "image": 5 }), Err("`image`")),
            with(json!({ "note": "x".repeat(5000) }), Err("limit of 4096")),
            plain(json!({ "id": "k1", "action": "hide" }), PROGRAM),
            plain(json!({ "action": "hide" }), Err("`id`")),
        ]);
    }

    #[test]
    fn other_bodies_are_checked_field_by_field() {
        use Kind::{Comment, Notice, Pin, Pk, Sale, Stock};
        check_all(&[
            (Pin, json!({ "text": "Half price until nine" }), PROGRAM),
            (Pin, json!({ "text": null }), PROGRAM),
            (Pin, json!({}), Err("`text`")),
            (Notice, json!({ "text": "a\u{0}b" }), Err("`text`")),
            (Notice, json!({ "text": "x".repeat(501) }), Err("`text`")),
            (Sale, json!({ "id": "s1", "action": "open" }), ORDER),
            (
                Sale,
                json!({ "id": "s1", "action": "shut" }),
                Err("`close`"),
            ),
            (Stock, json!({ "sku": "s-9", "left": 0 }), ORDER),
            (Stock, json!({ "sku": "s-9", "left": -1 }), Err("`left`")),
            (Pk, json!({ "score": [1, 2] }), PROGRAM),
            (Pk, json!({}), Err("empty")),
            (Comment, json!({ "text": "hi" }), Err("hosts send")),
        ]);
    }

    #[test]
    fn addresses_lead_to_the_web_or_stay_on_the_site() {
        let good = [
            "https://a.example/x",
            "HTTP://a",
            "/a.png",
            "a/b:c.png",
            "?q=a:b",
            "//cdn/x",
        ];
        let bad = [
            "",
            "javascript:x",
            "JavaScript://a",
            "data:image/png;base64,",
            "java\tscript:x",
            " https://a",
            "https:",
            "https://",
            "file:///etc/passwd",
            "\\\\host",
            "mailto:a@b",
        ];
        for address in good {
            assert!(is_web_address(address), "{address}");
        }
        for address in bad {
            assert!(!is_web_address(address), "{address}");
        }
    }
}
