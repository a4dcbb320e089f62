use std::cell::RefCell;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::Extensions;

use super::*;
use crate::auth::{Claims, Config, Key, KeyConfig, Mode, Pass, Scope, sign};
use crate::net::http::Protocol;
use crate::protocol::interact::Role;
use crate::runtime::Shutdown;
use crate::shed::{self, Controller};
use crate::telemetry::Metrics;
use crate::telemetry::access::Slip;

/// What a service was asked: its URI, its token, and the key of the visitor's pass.
type Asked = Rc<RefCell<Vec<(String, Option<String>, Option<String>)>>>;

struct Witness(Asked);

impl Service for Witness {
    fn call(&self, request: Request) -> Reply {
        let token = request.headers.get(header::AUTHORIZATION);
        let token = token.map(|value| value.to_str().unwrap().to_owned());
        let pass = request.extensions.get::<Pass>();
        let kid = pass.map(|pass| pass.kid().to_owned());
        self.0
            .borrow_mut()
            .push((request.uri.to_string(), token, kid));
        Reply::Ready(Response::new(Body::empty()))
    }
}

fn written() -> KeyConfig {
    KeyConfig {
        id: "a".into(),
        secret: "s".repeat(32),
        file: None,
    }
}

fn token() -> String {
    let claims = Claims {
        kid: "".into(),
        scope: Scope::Play,
        room: "r".into(),
        sub: "".into(),
        name: "".into(),
        role: Role::Viewer,
        nbf_s: 0,
        exp_s: i64::MAX,
        jti: "".into(),
        ip: None,
    };
    sign(&Key::open(&written()).unwrap(), &claims)
}

/// Asks for `uri`; the answer, and what the services behind saw of it.
fn ask(method: Method, uri: &str) -> (Response, Asked, Asked) {
    let config = Config {
        mode: Mode::Token,
        keys: vec![written()],
        ..Config::default()
    };
    let (rooms, viewers) = (Asked::default(), Asked::default());
    let routes = Routes {
        gate: Gate::new(&config, &Metrics::default()).unwrap(),
        door: Controller::new(&shed::Config::default(), &Metrics::default()).door(),
        drain: Drain::default(),
        challenges: Challenges::default(),
        rooms: Rc::new(Witness(rooms.clone())),
        viewers: Rc::new(Witness(viewers.clone())),
        _watch: TaskScope::under(&Shutdown::new()),
    };
    let reply = routes.call(Request {
        method,
        uri: uri.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        upgrade: None,
        protocol: Protocol::H1,
        secure: false,
        peer: (Ipv4Addr::LOCALHOST, 1).into(),
        extensions: Extensions::new(),
        direct: None,
        slip: Slip::default(),
    });
    let Reply::Ready(response) = reply else {
        panic!("the answer is here at once");
    };
    (response, rooms, viewers)
}

fn seen(asked: &Asked) -> Option<(String, Option<String>, Option<String>)> {
    asked.borrow().first().cloned()
}

#[test]
fn services_see_no_token_but_the_pass() {
    let token = token();
    for uri in [
        format!("/live/r.flv?token={token}&audio=only"),
        format!("/t/{token}/live/r.flv?audio=only"),
    ] {
        let (_, rooms, viewers) = ask(Method::GET, &uri);
        assert_eq!(seen(&rooms), None);
        let expected = ("/live/r.flv?audio=only".into(), None, Some("a".into()));
        assert_eq!(seen(&viewers), Some(expected));
    }
}

#[test]
fn rooms_get_the_token_as_a_field() {
    for uri in ["/t/a.b/rooms/r/ws?user=u", "/rooms/r/ws?user=u&token=a.b"] {
        let (_, rooms, viewers) = ask(Method::GET, uri);
        assert_eq!(seen(&viewers), None);
        let expected = ("/rooms/r/ws?user=u".into(), Some("Bearer a.b".into()), None);
        assert_eq!(seen(&rooms), Some(expected));
    }
}

#[test]
fn strangers_are_refused_before_any_service_and_nothing_is_kept() {
    for (uri, status) in [
        ("/live/r/index.m3u8", 401),
        ("/rooms", 401),
        ("/live/r.flv?token=secret", 403),
        ("/t/secret/live/r.flv", 403),
    ] {
        let (response, rooms, viewers) = ask(Method::GET, uri);
        assert_eq!(response.status().as_u16(), status, "{uri}");
        assert_eq!((seen(&rooms), seen(&viewers)), (None, None), "{uri}");
        let headers = response.headers();
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(
            headers.contains_key(header::WWW_AUTHENTICATE),
            status == 401
        );
        let Body::Chunks(body) = response.into_body() else {
            panic!("a body that is known");
        };
        let body = body.as_slice().concat();
        assert!(!String::from_utf8(body).unwrap().contains("secret"));
    }
}

#[test]
fn playlists_move_behind_a_token_that_lasts() {
    let token = token();
    let uri = format!("/live/r/index.m3u8?token={token}&a=1");
    let (response, _, viewers) = ask(Method::GET, &uri);
    assert_eq!(
        (response.status(), seen(&viewers)),
        (StatusCode::FOUND, None)
    );
    let location = format!("/t/{token}/live/r/index.m3u8?a=1");
    assert_eq!(response.headers()[header::LOCATION], *location);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
}

#[test]
fn preflights_and_pages_are_for_everybody() {
    let (_, _, viewers) = ask(Method::OPTIONS, "/live/r/index.m3u8");
    assert!(seen(&viewers).is_some());
    let (_, rooms, _) = ask(Method::OPTIONS, "/t/a.b/rooms/r/orders");
    assert!(seen(&rooms).is_some());
    let (_, _, viewers) = ask(Method::GET, "/watch/r");
    assert!(seen(&viewers).is_some());
}
