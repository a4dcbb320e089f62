use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::auth::{
    AtExpiry, CLOCK_SKEW_SECONDS, Key, KeyConfig, SchemeName, TOKEN_BYTES_MAX, TenantConfig,
    Wanted, sign,
};

const NOW: i64 = 1_763_800_000;
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

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

fn config(mode: Mode, ids: &[&str]) -> Config {
    Config {
        mode,
        keys: ids.iter().map(|id| written(id)).collect(),
        ..Config::default()
    }
}

fn open_gate(config: &Config) -> Gate {
    Gate::new(config, &telemetry::Metrics::default()).unwrap()
}

fn gate(mode: Mode, ids: &[&str]) -> Gate {
    open_gate(&config(mode, ids))
}

/// The gate of a node whose rooms `shop-*` are a tenant's.
fn with_tenant(scheme: SchemeName, secret: &str) -> Gate {
    let tenant = TenantConfig {
        name: "shop".into(),
        rooms: vec!["shop-*".into(), "test".into()],
        scheme,
        keys: vec![KeyConfig {
            id: "t1".into(),
            secret: secret.into(),
            file: None,
        }],
        ..TenantConfig::default()
    };
    open_gate(&Config {
        tenants: vec![tenant],
        ..config(Mode::Token, &["a"])
    })
}

fn claims(scope: Scope) -> Claims {
    Claims {
        kid: "".into(),
        scope,
        room: "demo".into(),
        sub: "u_1".into(),
        name: "李".into(),
        role: Role::Host,
        nbf_s: 0,
        exp_s: NOW + 60,
        jti: "t-1".into(),
        ip: None,
    }
}

fn visit<'a>(path: &'a str, query: &'a str, now_s: i64) -> Visit<'a> {
    Visit {
        path,
        query,
        authorization: None,
        address: HOME,
        now_s,
    }
}

fn arrival<'a>(token: Option<&'a str>, user: Option<&'a str>) -> Arrival<'a> {
    Arrival {
        token,
        user,
        name: Some("Li"),
        room: "demo",
        address: HOME,
        now_s: NOW,
    }
}

/// Who may watch `/live/demo.flv` with `token`.
fn play(gate: &Gate, token: &str, now_s: i64) -> Result<String, Refusal> {
    let query = format!("token={token}&rendition=720p");
    let grant = gate.play(&visit("/live/demo.flv", &query, now_s))?;
    assert_eq!(
        (grant.path, &*grant.query),
        ("/live/demo.flv", "rendition=720p")
    );
    Ok(grant.pass.kid().to_owned())
}

#[test]
fn what_was_signed_is_let_in() {
    let gate = gate(Mode::Token, &["a", "b"]);
    let token = sign(&key("b"), &claims(Scope::Play));
    assert!(token.len() < 250, "{token}");
    assert_eq!(play(&gate, &token, NOW), Ok("b".into()));
    let header = format!("Bearer {token}");
    let by_header = Visit {
        authorization: Some(&header),
        ..visit("/live/demo/e1/video/7.m4s", "", NOW)
    };
    assert!(gate.play(&by_header).is_ok());
    let path = format!("/t/{token}/live/demo/e1/video/media.m3u8");
    let grant = gate.play(&visit(&path, "_HLS_msn=3", NOW)).unwrap();
    assert_eq!(grant.path, "/live/demo/e1/video/media.m3u8");
    assert_eq!((&*grant.query, grant.elsewhere), ("_HLS_msn=3", None));
}

#[test]
fn each_refusal_has_its_reason() {
    let gate = gate(Mode::Token, &["a"]);
    let play = |token: &str, now_s| play(&gate, token, now_s).err();
    let token = sign(&key("a"), &claims(Scope::Play));
    let late = NOW + 61 + CLOCK_SKEW_SECONDS;
    assert_eq!(play(&token, late), Some(Refusal::Expired));
    assert_eq!(play(&token, NOW), None);
    assert_eq!(play(&token, NOW + 60 + CLOCK_SKEW_SECONDS), None);
    let late = late + 3600;
    assert_eq!(play(&token, late), Some(Refusal::Expired));
    for text in ["", "a.b", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
        assert_eq!(play(text, NOW), Some(Refusal::Malformed));
    }
    let other = sign(&key("other"), &claims(Scope::Play));
    assert_eq!(play(&other, NOW), Some(Refusal::UnknownKey));
    assert_eq!(play("a.b.c", NOW), Some(Refusal::UnknownKey));
    let signed = |change: fn(&mut Claims)| {
        let mut claims = claims(Scope::Play);
        change(&mut claims);
        play(&sign(&key("a"), &claims), NOW)
    };
    assert_eq!(signed(|c| c.scope = Scope::Publish), Some(Refusal::Scope));
    assert_eq!(signed(|c| c.scope = Scope::Interact), None);
    assert_eq!(
        signed(|c| c.room = "other".into()),
        Some(Refusal::OtherRoom)
    );
    assert_eq!(signed(|c| c.room = ROOM_ANY.into()), None);
    assert_eq!(signed(|c| c.nbf_s = NOW + 31), Some(Refusal::NotYet));
    assert_eq!(signed(|c| c.nbf_s = NOW + 30), None);
    assert_eq!(signed(|c| c.ip = Some(HOME)), None);
    let elsewhere = signed(|c| c.ip = "192.0.2.2".parse().ok());
    assert_eq!(elsewhere, Some(Refusal::OtherAddress));
}

#[test]
fn changed_claims_do_not_pass() {
    let gate = gate(Mode::Token, &["a"]);
    let token = sign(&key("a"), &claims(Scope::Play));
    let (signed, tag) = token.split_once('.').unwrap();
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(signed).unwrap()).unwrap();
    let forged = URL_SAFE_NO_PAD.encode(json.replace("host", "admin"));
    for token in [
        format!("{forged}.{tag}"),
        format!("{signed}."),
        format!("{forged}."),
    ] {
        assert_eq!(play(&gate, &token, NOW), Err(Refusal::Signature));
    }
}

#[test]
fn all_but_pages_is_closed_to_strangers() {
    let gate = gate(Mode::Token, &["a"]);
    let ask = |path| gate.play(&visit(path, "", NOW)).map(|_| ());
    for path in [
        "/",
        "/watch/demo",
        "/assets/a-1.js",
        "/rushlane.js",
        "/favicon.svg",
    ] {
        assert_eq!(ask(path), Ok(()), "{path}");
    }
    for path in [
        "/rooms",
        "/live/demo/index.m3u8",
        "/live/demo.flv",
        "/live/demo/e1/video/init-1.mp4",
        "/vod/demo/1/index.m3u8",
        "/whep/demo",
        "/later/whatever",
        "//",
    ] {
        assert_eq!(ask(path), Err(Refusal::Missing), "{path}");
    }
    let all = Claims {
        room: ROOM_ANY.into(),
        ..claims(Scope::Play)
    };
    let token = format!("token={}", sign(&key("a"), &all));
    assert!(gate.play(&visit("/rooms", &token, NOW)).is_ok());
    let one = format!("token={}", sign(&key("a"), &claims(Scope::Play)));
    let refused = gate.play(&visit("/rooms", &one, NOW)).map(|_| ());
    assert_eq!(refused, Err(Refusal::OtherRoom));
}

#[test]
fn open_gate_takes_the_token_off_and_lets_everybody_in() {
    let gate = gate(Mode::Open, &[]);
    let grant = gate
        .play(&visit("/t/x/live/r/index.m3u8", "token=y&a=1", NOW))
        .unwrap();
    assert_eq!((grant.path, &*grant.query), ("/live/r/index.m3u8", "a=1"));
    assert_eq!((grant.pass.kid(), grant.elsewhere), ("", None));
}

#[test]
fn playlist_with_a_query_token_moves_behind_a_prefix() {
    let gate = gate(Mode::Token, &["a"]);
    let token = sign(&key("a"), &claims(Scope::Play));
    let elsewhere = |path: &str, query: &str| {
        let grant = gate.play(&visit(path, query, NOW)).unwrap();
        grant.elsewhere
    };
    let query = format!("CMCD=sid&token={token}");
    let expected = format!("/t/{token}/live/demo/index.m3u8?CMCD=sid");
    assert_eq!(elsewhere("/live/demo/index.m3u8", &query), Some(expected));
    assert_eq!(elsewhere("/live/demo.flv", &query), None);
    let prefixed = format!("/t/{token}/live/demo/index.m3u8");
    assert_eq!(elsewhere(&prefixed, ""), None);
}

#[test]
fn signed_url_is_exchanged_for_a_token_of_ours() {
    let gate = with_tenant(SchemeName::Tencent, "0123456789abcdef");
    // printf '%s' '0123456789abcdefshop-16926F200' | md5sum
    let secret = "d3c55897adbb0006f8eca3fde21b258f";
    let query = format!("txSecret={secret}&txTime=6926F200");
    let grant = gate
        .play(&visit("/live/shop-1/index.m3u8", &query, NOW))
        .unwrap();
    let moved = grant.elsewhere.expect("a playlist");
    assert_eq!(grant.pass.kid(), "t1");
    // It outlives the signature, for this room alone.
    let later = NOW + 6 * 3600;
    let grant = gate.play(&visit(&moved, "", later)).unwrap();
    assert_eq!(
        (grant.path, grant.pass.kid()),
        ("/live/shop-1/index.m3u8", "a")
    );
    let other = moved.replace("/live/shop-1/", "/live/shop-2/");
    let refused = gate.play(&visit(&other, "", NOW)).map(|_| ());
    assert_eq!(refused, Err(Refusal::OtherRoom));
    let elsewhere = gate.play(&visit("/live/demo.flv", &query, NOW)).map(|_| ());
    assert_eq!(elsewhere, Err(Refusal::UnknownKey));
}

#[test]
fn tenant_signs_for_its_own_rooms_only() {
    let gate = with_tenant(SchemeName::Native, &"s".repeat(32));
    let tenant = Key::open(&KeyConfig {
        id: "t1".into(),
        secret: "s".repeat(32),
        file: None,
    });
    let any = Claims {
        room: ROOM_ANY.into(),
        ..claims(Scope::Play)
    };
    let query = format!("token={}", sign(&tenant.unwrap(), &any));
    let ask = |path| gate.play(&visit(path, &query, NOW)).map(|_| ());
    assert_eq!(ask("/live/shop-7.flv"), Ok(()));
    assert_eq!(ask("/live/test.flv"), Ok(()));
    for path in ["/live/test2.flv", "/live/shop.flv", "/rooms"] {
        assert_eq!(ask(path), Err(Refusal::UnknownKey), "{path}");
    }
}

#[test]
fn stream_key_is_asked_for_its_token() {
    let gate = gate(Mode::Token, &["a"]);
    let token = sign(&key("a"), &claims(Scope::Publish));
    let query = format!("backup=1&token={token}");
    let push = Push {
        room: "demo",
        name: "demo@720p",
        query: &query,
        address: HOME,
        now_s: NOW,
    };
    assert_eq!(
        gate.publish(&push).map(|pass| pass.sub().to_owned()),
        Ok("u_1".into())
    );
    let refused = |push: Push<'_>| gate.publish(&push).map(|_| ()).unwrap_err();
    assert_eq!(refused(Push { query: "", ..push }), Refusal::Missing);
    assert_eq!(refused(Push { room: "x", ..push }), Refusal::OtherRoom);
    let play = format!("token={}", sign(&key("a"), &claims(Scope::Play)));
    assert_eq!(
        refused(Push {
            query: &play,
            ..push
        }),
        Refusal::Scope
    );
}

#[test]
fn token_says_who_somebody_is() {
    let gate = gate(Mode::Open, &["a"]);
    let token = sign(&key("a"), &claims(Scope::Interact));
    let member = gate
        .member(&arrival(Some(&token), Some("u_2")))
        .map(|(member, _)| member);
    assert_eq!(member, Ok(Member::new("u_1", "李", Role::Host).unwrap()));
    let play = sign(&key("a"), &claims(Scope::Play));
    let refused = gate.member(&arrival(Some(&play), None)).map(|_| ());
    assert_eq!(refused, Err(Refusal::Scope));
}

#[test]
fn without_a_token_open_mode_knows_viewers_only() {
    let gate = gate(Mode::Open, &[]);
    let member = |user| gate.member(&arrival(None, user)).map(|(member, _)| member);
    assert_eq!(
        member(Some("u_2")),
        Ok(Member::new("u_2", "Li", Role::Viewer).unwrap())
    );
    let (first, second) = (member(None).unwrap(), member(None).unwrap());
    assert!(first.id.starts_with("anon-") && first.id != second.id);
    let refused = member(Some("a\u{202e}")).unwrap_err();
    assert_eq!((refused.status(), refused.code()), (400, "bad_name"));
}

#[test]
fn token_mode_asks_members_for_a_token() {
    let gate = gate(Mode::Token, &["a"]);
    let refused = gate.member(&arrival(None, Some("u"))).map(|_| ());
    assert_eq!(refused.as_ref().map_err(Refusal::status), Err(401));
}

#[test]
fn operators_and_load_tests_have_tokens_of_their_own() {
    let gate = gate(Mode::Open, &["a"]);
    let everywhere = |scope| Claims {
        room: ROOM_ANY.into(),
        ..claims(scope)
    };
    let operates = |claims: &Claims| gate.is_operator(&sign(&key("a"), claims), HOME, NOW);
    assert!(operates(&everywhere(Scope::Admin)));
    assert!(!operates(&claims(Scope::Admin)) && !operates(&everywhere(Scope::Interact)));
    let mark = sign(&key("a"), &claims(Scope::Load));
    let is_load = |mark, now_s| gate.is_load(mark, "demo", HOME, now_s);
    assert!(is_load(Some(&mark), NOW));
    assert!(!is_load(Some(&mark), NOW + 3600));
    assert!(!is_load(Some("true"), NOW) && !is_load(None, NOW));
}

#[test]
fn keys_are_replaced_whole_or_not_at_all() {
    let gate = gate(Mode::Token, &["a"]);
    let token = |id| sign(&key(id), &claims(Scope::Play));
    let replace = |ids: &[&str]| {
        gate.replace(Gate::prepare(&config(Mode::Token, ids)).unwrap());
    };
    replace(&["a", "b"]);
    assert!(play(&gate, &token("a"), NOW).is_ok() && play(&gate, &token("b"), NOW).is_ok());
    replace(&["b"]);
    assert_eq!(play(&gate, &token("a"), NOW), Err(Refusal::UnknownKey));
    assert!(Gate::prepare(&config(Mode::Token, &[])).is_err());
    assert!(play(&gate, &token("b"), NOW).is_ok());
}

#[test]
fn who_is_denied_is_kept_out_and_told_inside() {
    let folder = tempfile::tempdir().unwrap();
    let gate = gate(Mode::Token, &["a"]);
    gate.denied()
        .keep("o", Some(folder.path().join("denied.json")))
        .unwrap();
    let token = sign(&key("a"), &claims(Scope::Interact));
    let query = format!("token={token}");
    let inside = gate
        .play(&visit("/live/demo.flv", &query, NOW))
        .unwrap()
        .pass;
    let mut changes = inside.changes();
    changes.mark_unchanged();
    assert!(inside.over().is_none());
    let wanted = serde_json::from_str(r#"{"token":"t-1"}"#).unwrap();
    gate.denied().add(wanted).unwrap();
    assert!(changes.has_changed().unwrap() && inside.over() == Some(Refusal::Withdrawn));
    let refused = gate.play(&visit("/live/demo.flv", &query, NOW)).map(|_| ());
    assert_eq!(refused, Err(Refusal::Withdrawn));
    let refused = gate.member(&arrival(Some(&token), None)).map(|_| ());
    assert_eq!(refused.as_ref().map_err(Refusal::status), Err(403));
}

#[test]
fn faults_of_a_configuration_are_all_told() {
    let told = |config: &Config| {
        let faults = faults(config);
        faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(told(&config(Mode::Token, &[])).contains("at least one key"));
    assert!(told(&config(Mode::Open, &["a", "a"])).contains("two keys"));
    assert!(told(&config(Mode::Open, &["a b"])).contains("key id"));
    let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    assert!(told(&config(Mode::Open, &many)).contains("9 keys"));
    let short = KeyConfig {
        secret: "hush".into(),
        ..written("a")
    };
    let tenant = |change: fn(&mut TenantConfig)| {
        let mut tenant = TenantConfig {
            name: "shop".into(),
            rooms: vec!["shop-*".into()],
            keys: vec![written("t")],
            ..TenantConfig::default()
        };
        change(&mut tenant);
        tenant
    };
    let text = told(&Config {
        keys: vec![short],
        tenants: vec![
            tenant(|t| t.rooms = vec!["a*b".into()]),
            tenant(|t| t.keys.clear()),
            tenant(|t| t.scopes = vec![Scope::Admin]),
            tenant(|t| t.scheme = SchemeName::Akamai),
            tenant(|t| t.scheme = SchemeName::Jwt),
            tenant(|t| t.audience = Some("us".into())),
        ],
        ..Config::default()
    });
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(text.contains("4 bytes") && !text.contains("hush"));
    for word in [
        "* at the end",
        "give one",
        "use play",
        "in hex",
        "jwks",
        "audience",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let keyless = Config {
        tenants: vec![tenant(|t| t.scheme = SchemeName::Tencent)],
        ..Config::default()
    };
    assert!(told(&keyless).contains("signs URLs"));
}

#[test]
fn who_watches_when_his_token_expires_goes_on() {
    let gate = gate(Mode::Token, &["a"]);
    let token = sign(&key("a"), &claims(Scope::Play));
    let until_s = NOW + 60 + CLOCK_SKEW_SECONDS;
    assert!(play(&gate, &token, until_s).is_ok());
    for step in 1..20 {
        assert!(play(&gate, &token, until_s + 30 * step).is_ok(), "{step}");
    }
    // Elsewhere, or after a while, it has expired.
    let query = format!("token={token}");
    let passed_on = Visit {
        address: [198, 51, 100, 7].into(),
        ..visit("/live/demo.flv", &query, until_s + 600)
    };
    assert_eq!(gate.play(&passed_on).unwrap_err(), Refusal::Expired);
    assert_eq!(play(&gate, &token, until_s + 700), Err(Refusal::Expired));
    // What is forged is not remembered, nor is what its key has left.
    let token = sign(&key("a"), &claims(Scope::Play));
    assert!(play(&gate, &token, until_s).is_ok());
    gate.replace(Gate::prepare(&config(Mode::Token, &["b"])).unwrap());
    assert_eq!(play(&gate, &token, until_s + 1), Err(Refusal::UnknownKey));
    let text = format!("{gate:?}");
    assert!(
        text.contains("Running(1)") && !text.contains(&token),
        "{text}"
    );
}

#[test]
fn tokens_end_sessions_where_the_operator_wants_it() {
    let gate = open_gate(&Config {
        at_expiry: AtExpiry::End,
        ..config(Mode::Token, &["a"])
    });
    let pass = |exp_s| {
        let token = sign(
            &key("a"),
            &Claims {
                exp_s,
                ..claims(Scope::Play)
            },
        );
        let query = format!("token={token}");
        gate.play(&visit("/live/demo.flv", &query, NOW))
            .unwrap()
            .pass
    };
    // The clock of this machine is past the first.
    assert_eq!(pass(NOW + 60).over(), Some(Refusal::Expired));
    let lasting = pass(i64::MAX);
    assert!(lasting.expires() && lasting.over().is_none());
    let token = sign(&key("a"), &claims(Scope::Play));
    let until_s = NOW + 60 + CLOCK_SKEW_SECONDS;
    assert!(play(&gate, &token, until_s).is_ok());
    assert_eq!(play(&gate, &token, until_s + 1), Err(Refusal::Expired));
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    let long = "A".repeat(4000);
    let hash = "0".repeat(32);
    for (scheme, path, query) in [
        (
            SchemeName::AliyunA,
            String::new(),
            format!("auth_key={NOW}-{long}-0-{hash}"),
        ),
        (
            SchemeName::AliyunB,
            format!("/202511221626/{hash}"),
            long.clone(),
        ),
        (
            SchemeName::AliyunC,
            String::new(),
            format!("KEY1={long}&KEY2=55CE8100"),
        ),
        (
            SchemeName::Tencent,
            String::new(),
            format!("txSecret={hash}&txTime={long}"),
        ),
        (
            SchemeName::Akamai,
            String::new(),
            format!("hdnts=exp=1~acl={long}~hmac=00"),
        ),
    ] {
        let gate = with_tenant(scheme, &"00".repeat(16));
        let path = format!("{path}/live/test/{long}");
        let refused = gate.play(&visit(&path, &query, NOW)).unwrap_err();
        assert_eq!(refused, Refusal::Malformed, "{scheme:?}");
    }
}

#[test]
fn key_file_holds_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k1.key");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let key = Key::load(&path).map_err(|error| error.to_string());
        key.map(|key| key.id().to_owned())
    };
    assert_eq!(read(&format!("k1:{}\n", "s".repeat(32))), Ok("k1".into()));
    assert!(read("only an id").unwrap_err().contains("ID:SECRET"));
    assert!(read(&format!("k1:{}\nk2:x", "s".repeat(32))).is_err());
}

#[test]
fn secrets_are_not_printed() {
    let gate = with_tenant(SchemeName::AliyunA, "aliyuncdnexp1234");
    let denied = Wanted {
        token: Some("a===".into()),
        ..Wanted::default()
    };
    let text = format!("{:?} {:?} {gate:?} {denied:?}", key("a"), written("a"));
    assert!(
        !text.contains("a===") && !text.contains("aliyuncdnexp"),
        "{text}"
    );
}
