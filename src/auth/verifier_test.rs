use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::auth::{KeyConfig, TOKEN_BYTES_MAX, sign};

const NOW: i64 = 1_763_800_000;

fn written(id: &str) -> KeyConfig {
    KeyConfig {
        id: id.into(),
        secret: format!("{id:=<32}"),
        file: None,
    }
}

fn key(id: &str) -> Key {
    Key::open(&written(id)).unwrap()
}

fn verifier(mode: Mode, ids: &[&str]) -> Verifier {
    let keys = ids.iter().map(|id| written(id)).collect();
    Verifier::new(&Config { mode, keys }).unwrap()
}

fn claims(scope: Scope) -> Claims {
    Claims {
        kid: String::new(),
        scope,
        room: "demo".into(),
        sub: "u_1".into(),
        name: "李".into(),
        role: Role::Host,
        exp_s: NOW + 60,
    }
}

#[test]
fn what_was_signed_is_verified() {
    let token = sign(&key("b"), &claims(Scope::Publish));
    assert!(token.len() < 250, "{token}");
    let found = verifier(Mode::Token, &["a", "b"]).verify(&token, "demo", Scope::Publish, NOW);
    let expected = Claims {
        kid: "b".into(),
        ..claims(Scope::Publish)
    };
    assert_eq!(found, Ok(expected));
}

#[test]
fn each_refusal_has_its_reason() {
    let verifier = verifier(Mode::Token, &["a"]);
    let verify = |token: &str, now_s| verifier.verify(token, "demo", Scope::Play, now_s).err();
    let token = sign(&key("a"), &claims(Scope::Play));
    assert_eq!(verify(&token, NOW), None);
    assert_eq!(verify(&token, NOW + 60 + CLOCK_SKEW_SECONDS), None);
    assert_eq!(
        verify(&token, NOW + 61 + CLOCK_SKEW_SECONDS),
        Some(Refusal::Expired)
    );
    assert_eq!(verify("", NOW), Some(Refusal::Malformed));
    assert_eq!(verify("a.b", NOW), Some(Refusal::Malformed));
    assert_eq!(
        verify(&"a".repeat(TOKEN_BYTES_MAX + 1), NOW),
        Some(Refusal::Malformed)
    );
    let other = sign(&key("other"), &claims(Scope::Play));
    assert_eq!(verify(&other, NOW), Some(Refusal::UnknownKey));
    let interact = sign(&key("a"), &claims(Scope::Interact));
    assert_eq!(verify(&interact, NOW), Some(Refusal::Scope));
    let elsewhere = Claims {
        room: "other".into(),
        ..claims(Scope::Play)
    };
    assert_eq!(
        verify(&sign(&key("a"), &elsewhere), NOW),
        Some(Refusal::OtherRoom)
    );
    let everywhere = Claims {
        room: ROOM_ANY.into(),
        ..claims(Scope::Play)
    };
    assert_eq!(verify(&sign(&key("a"), &everywhere), NOW), None);
}

#[test]
fn changed_claims_do_not_pass() {
    let verifier = verifier(Mode::Token, &["a"]);
    let token = sign(&key("a"), &claims(Scope::Interact));
    let (signed, tag) = token.split_once('.').unwrap();
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(signed).unwrap()).unwrap();
    let forged = URL_SAFE_NO_PAD.encode(json.replace("host", "admin"));
    for token in [
        format!("{forged}.{tag}"),
        format!("{signed}."),
        format!("{forged}."),
    ] {
        let found = verifier.verify(&token, "demo", Scope::Interact, NOW);
        assert_eq!(found, Err(Refusal::Signature));
    }
}

#[test]
fn token_says_who_somebody_is() {
    let verifier = verifier(Mode::Open, &["a"]);
    let token = sign(&key("a"), &claims(Scope::Interact));
    let member = verifier.member(Some(&token), Some("u_2"), Some("Eve"), "demo", NOW);
    assert_eq!(member, Ok(Member::new("u_1", "李", Role::Host).unwrap()));
    let play = sign(&key("a"), &claims(Scope::Play));
    let refused = verifier.member(Some(&play), None, None, "demo", NOW);
    assert_eq!(refused, Err(Refusal::Scope));
}

#[test]
fn without_a_token_open_mode_knows_viewers_only() {
    let verifier = verifier(Mode::Open, &[]);
    let member = |user, name| verifier.member(None, user, name, "demo", NOW);
    assert_eq!(
        member(Some("u_2"), Some("Li")),
        Ok(Member::new("u_2", "Li", Role::Viewer).unwrap())
    );
    let (first, second) = (member(None, None).unwrap(), member(None, None).unwrap());
    assert!(first.id.starts_with("anon-") && first.id != second.id);
    let refused = member(Some("a\u{202e}"), None).unwrap_err();
    assert_eq!((refused.status(), refused.code()), (400, "bad_name"));
}

#[test]
fn token_mode_asks_for_a_token() {
    let refused = verifier(Mode::Token, &["a"]).member(None, Some("u"), None, "demo", NOW);
    assert_eq!(refused.as_ref().map_err(Refusal::status), Err(401));
}

#[test]
fn load_marks_are_signed() {
    let verifier = verifier(Mode::Open, &["a"]);
    let mark = sign(&key("a"), &claims(Scope::Load));
    assert!(verifier.is_load(Some(&mark), "demo", NOW));
    assert!(!verifier.is_load(Some(&mark), "demo", NOW + 3600));
    assert!(!verifier.is_load(Some("true"), "demo", NOW));
    assert!(!verifier.is_load(None, "demo", NOW));
}

#[test]
fn keys_that_cannot_be_used_are_refused() {
    let fault = |mode, keys: Vec<KeyConfig>| {
        Verifier::new(&Config { mode, keys })
            .unwrap_err()
            .to_string()
    };
    assert!(fault(Mode::Token, vec![]).contains("at least one key"));
    assert!(fault(Mode::Open, vec![written("a"), written("a")]).contains("two keys"));
    assert!(fault(Mode::Open, vec![written("a b")]).contains("key id"));
    assert!(fault(Mode::Open, vec![KeyConfig::default(); 9]).contains("9 keys"));
    let short = KeyConfig {
        secret: "hush".into(),
        ..written("a")
    };
    let text = fault(Mode::Open, vec![short]);
    assert!(text.contains("4 bytes") && !text.contains("hush"));
}

#[test]
fn key_file_holds_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k1.key");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Key::load(&path)
            .map(|key| key.id)
            .map_err(|error| error.to_string())
    };
    assert_eq!(read(&format!("k1:{}\n", "s".repeat(32))), Ok("k1".into()));
    assert!(read("only an id").unwrap_err().contains("ID:SECRET"));
    assert!(read(&format!("k1:{}\nk2:x", "s".repeat(32))).is_err());
}

#[test]
fn secrets_are_not_printed() {
    let text = format!("{:?} {:?}", key("a"), written("a"));
    assert!(!text.contains("a==="), "{text}");
}
