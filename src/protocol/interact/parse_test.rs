use proptest::prelude::*;
use serde_json::json;

use super::*;

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// Both forms are read to the same.
fn read(value: &Value) -> Result<Command, Fault> {
    let parsed = parse(&serde_json::to_vec(value).unwrap());
    assert_eq!(parse_cbor(&cbor(value)), parsed);
    parsed
}

fn action_of(kind: &str, body: Value) -> Action {
    let command = read(&json!({"v": 1, "type": kind, "ref": "r1", "body": body})).unwrap();
    assert_eq!(&*command.reference, "r1");
    command.action
}

fn fault(kind: &str, body: Value) -> (u16, String) {
    let fault = read(&json!({"type": kind, "ref": "r1", "body": body})).unwrap_err();
    assert_eq!(fault.reference.as_deref(), Some("r1"));
    (fault.refusal.status, fault.refusal.detail)
}

#[test]
fn each_kind_of_command_is_read() {
    assert_eq!(
        action_of("comment", json!({"text": " 你好 <b>", "media_ms": 5})),
        Action::Comment(Comment {
            text: " 你好 <b>".into(),
            media_ms: Some(5)
        })
    );
    assert_eq!(
        action_of("like", json!({"count": 7, "session": "s1", "n": 9.0})),
        Action::Like(Like {
            count: 7,
            session: "s1".into(),
            n: 9
        })
    );
    let Action::Order(order) = action_of(
        "order",
        json!({"key": "01JD0000", "sku": "sku-9", "quantity": 1, "attributes": {"size": "M"}}),
    ) else {
        panic!("an order");
    };
    assert_eq!(
        (&*order.key, &*order.sku, order.quantity),
        ("01JD0000", "sku-9", 1)
    );
    assert_eq!(order.attributes["size"], "M");
    let Action::Program(program) = action_of("pin", json!({"text": null})) else {
        panic!("a pin");
    };
    assert_eq!(program.kind, Kind::Pin);
    assert_eq!(
        action_of(
            "mod",
            json!({"action": "ban", "user": "u_1", "seconds": 60})
        ),
        Action::Moderation(Moderation::Ban {
            user: "u_1".into(),
            seconds: 60
        })
    );
}

fn check_fault(kind: &str, body: Value, status: u16, about: &str) {
    let (found, detail) = fault(kind, body);
    assert!(
        found == status && detail.contains(about),
        "{found} {detail}"
    );
}

#[test]
fn bounds_of_comments_and_likes_are_kept_and_named() {
    let comment = |text: Value, about| check_fault("comment", json!({"text": text}), 400, about);
    check_fault("comment", json!({}), 400, "body.text");
    comment(json!(7), "body.text");
    comment(json!("\u{3000} \n"), "nothing is said");
    comment(json!("好".repeat(501)), "500 characters");
    comment(json!("😀".repeat(499) + &"a".repeat(100)), "2048 bytes");
    check_fault(
        "comment",
        json!({"text": "a", "media_ms": -1}),
        400,
        "media_ms",
    );
    let like = |count: Value, session: &str, n: u64, about| {
        check_fault(
            "like",
            json!({"count": count, "session": session, "n": n}),
            400,
            about,
        );
    };
    like(json!(0), "s", 1, "count");
    like(json!(1001), "s", 1, "1000");
    like(json!(1.5), "s", 1, "count");
    like(json!(1), "", 1, "session");
    like(json!(1), "s", 0, "n:");
}

#[test]
fn bounds_of_orders_are_kept_and_named() {
    let order = |key: &str, sku: &str, quantity: u32, about| {
        let body = json!({"key": key, "sku": sku, "quantity": quantity});
        check_fault("order", body, 400, about);
    };
    check_fault("order", json!({"sku": "s", "quantity": 1}), 400, "key");
    order("short", "s", 1, "8 to 64");
    order("with space", "s", 1, "8 to 64");
    order("01JD0000", "", 1, "sku");
    order("01JD0000", "s", 0, "quantity");
    let attributes = json!({"note": "x".repeat(16 << 10)});
    let large = json!({"key": "01JD0000", "sku": "s", "quantity": 1, "attributes": attributes});
    check_fault("order", large, 413, "16384");
}

#[test]
fn bounds_of_hosts_and_moderators_are_kept_and_named() {
    let decision = |body: Value, about| check_fault("mod", body, 400, about);
    check_fault("card", json!({"title": "x".repeat(4 << 10)}), 413, "4096");
    decision(json!({"action": "mute", "user": "u"}), "seconds");
    decision(json!({"action": "slow", "seconds": 121}), "120");
    decision(
        json!({"action": "ban", "user": "a b", "seconds": 1}),
        "user",
    );
    decision(json!({"action": "praise"}), "praise");
    check_fault("hello", json!({}), 400, "type");
    check_fault("comment", json!("text"), 400, "body");
}

#[test]
fn what_is_no_message_has_no_reference() {
    let check = |bytes: &[u8], status: u16, about: &str| {
        let fault = parse(bytes).unwrap_err();
        assert_eq!((fault.reference, fault.refusal.status), (None, status));
        assert!(
            fault.refusal.detail.contains(about),
            "{}",
            fault.refusal.detail
        );
    };
    check(b"", 400, "JSON");
    check(b"[]", 400, "object");
    check(b"{\"ref\":\"\xff\"}", 400, "UTF-8");
    check(&[b'['; 1000], 400, "deeper");
    check(&[b' '; COMMAND_BYTES_MAX + 1], 413, "32768");
    check(br#"{"type":"like","body":{}}"#, 400, "ref");
    check(br#"{"ref":"a b","type":"like","body":{}}"#, 400, "ref");
    check(
        format!(r#"{{"ref":"{}"}}"#, "r".repeat(65)).as_bytes(),
        400,
        "ref",
    );
}

#[test]
fn nesting_is_bounded_in_both_forms() {
    let nested = |levels: usize| {
        let mut value = json!(1);
        for _ in 0..levels {
            value = json!([value]);
        }
        json!({"ref": "r", "type": "order", "body": {
            "key": "01JD0000", "sku": "s", "quantity": 1, "attributes": {"a": value}}})
    };
    assert!(read(&nested(DEPTH_MAX - 3)).is_ok());
    let deeper = nested(DEPTH_MAX - 2);
    assert!(parse(&serde_json::to_vec(&deeper).unwrap()).is_err());
    assert!(parse_cbor(&cbor(&deeper)).is_err());
    // Brackets inside texts nest nothing.
    let text = json!({"ref": "r", "type": "comment", "body": {"text": "[[[[[[[[[[[[[[[[[[\"[{"}});
    assert!(read(&text).is_ok());
}

#[test]
fn another_version_is_refused() {
    let command = json!({"v": 2, "ref": "r", "type": "comment", "body": {"text": "a"}});
    let fault = read(&command).unwrap_err();
    assert!(fault.refusal.detail.starts_with("v:"));
}

#[test]
fn cbor_has_one_message_and_nothing_after_it() {
    let mut bytes = cbor(&json!({"ref": "r", "type": "comment", "body": {"text": "a"}}));
    assert!(parse_cbor(&bytes).is_ok());
    bytes.push(0);
    assert!(parse_cbor(&bytes).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _any_answer = (parse(&bytes), parse_cbor(&bytes));
    }

    #[test]
    fn no_damaged_message_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let order = json!({"v": 1, "type": "order", "ref": "o1", "media_ms": 1.0, "body": {
            "key": "01JD0000", "sku": "s", "quantity": 1,
            "attributes": {"a": [null, {"b": "好"}]}}});
        for mut message in [serde_json::to_vec(&order).unwrap(), cbor(&order)] {
            for (at, byte) in &damage {
                let at = at.index(message.len());
                message[at] = *byte;
            }
            let _any_answer = (parse(&message), parse_cbor(&message));
        }
    }

    #[test]
    fn no_envelope_panics(kind in "[a-z]{0,8}", reference in ".{0,70}", text in ".{0,600}") {
        let envelope = json!({"type": kind, "ref": reference, "body": {"text": text, "key": text}});
        let _any_answer = read(&envelope);
    }

    #[test]
    fn comments_are_read_as_they_were_written(text in "\\PC{1,100}", ms in 0..(1_i64 << 53)) {
        prop_assume!(!text.trim().is_empty());
        let envelope = json!({"v": 1, "type": "comment", "ref": "c1", "media_ms": ms,
            "body": {"text": text}});
        let expected = Action::Comment(Comment { text, media_ms: Some(ms) });
        prop_assert_eq!(read(&envelope).unwrap().action, expected);
    }
}
