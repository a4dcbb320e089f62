//! What requests and stream keys carry, in every scheme that the gate knows.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::LazyLock;

use rushlane::auth::{self, Arrival, Gate, KeyConfig, Mode, Push, SchemeName, TenantConfig, Visit};
use rushlane::telemetry;

/// Three lines: the path, the query and the `authorization` field. Whoever is let in, the services
/// see no credential; what is refused says nothing of it.
pub(super) fn run(bytes: &[u8]) {
    const NOW_S: i64 = 1_763_800_000;
    static GATE: LazyLock<Gate> = LazyLock::new(gate);
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let [path, query, field] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let visit = Visit {
        path,
        query,
        authorization: Some(field).filter(|field| !field.is_empty()),
        address,
        now_s: NOW_S,
    };
    match GATE.play(&visit) {
        Ok(grant) => {
            assert!(path.ends_with(grant.path));
            for name in [
                "token", "auth_key", "KEY1", "KEY2", "txSecret", "txTime", "hdnts",
            ] {
                let has = |pair: &str| pair.split_once('=').is_some_and(|(left, _)| left == name);
                assert!(!grant.query.split('&').any(has));
            }
            assert!(grant.elsewhere.is_none_or(|url| url.starts_with("/t/")));
        }
        Err(refusal) => assert!([401, 403].contains(&refusal.status())),
    }
    let push = Push {
        room: "demo",
        name: "demo@720p",
        query,
        address,
        now_s: NOW_S,
    };
    let _published = GATE.publish(&push).is_ok();
    let bare = visit.bare();
    let arrival = Arrival {
        token: bare.token.as_deref(),
        user: None,
        name: None,
        room: "demo",
        address,
        now_s: NOW_S,
    };
    assert!(arrival.token.is_some() || GATE.member(&arrival).is_err());
    let _entered = GATE.member(&arrival).is_ok();
    let _operates = GATE.is_operator(field, address, NOW_S);
}

/// A gate with a tenant of each scheme for room `demo`.
fn gate() -> Gate {
    let key = || KeyConfig {
        id: "k1".into(),
        secret: "00112233445566778899aabbccddeeff".into(),
        file: None,
    };
    let tenant = |scheme| TenantConfig {
        name: "t".into(),
        rooms: vec!["demo".into()],
        scheme,
        keys: vec![key()],
        ..TenantConfig::default()
    };
    let jwks = Path::new(env!("CARGO_MANIFEST_DIR"));
    let jwks = [jwks.join("jwks.json"), jwks.join("fuzz/jwks.json")];
    let config = auth::Config {
        mode: Mode::Token,
        keys: vec![key()],
        tenants: vec![
            TenantConfig {
                keys: Vec::new(),
                jwks: jwks.into_iter().find(|path| path.exists()),
                ..tenant(SchemeName::Jwt)
            },
            tenant(SchemeName::AliyunA),
            tenant(SchemeName::AliyunB),
            tenant(SchemeName::AliyunC),
            tenant(SchemeName::Tencent),
            tenant(SchemeName::Akamai),
        ],
        ..auth::Config::default()
    };
    Gate::new(&config, &telemetry::Metrics::default()).expect("keys that can be used")
}
