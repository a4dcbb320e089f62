use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;

use super::*;
use crate::runtime::Shutdown;

/// How long anything may take on a busy machine.
const WAIT: Duration = Duration::from_secs(30);

/// A service that answers in turn, and what it was posted.
#[derive(Clone)]
struct Service {
    answers: Arc<Mutex<Vec<(u16, Value)>>>,
    posted: mpsc::Sender<(HeaderMap, Value)>,
}

async fn answer(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let (status, answer) = service
        .answers
        .lock()
        .pop()
        .unwrap_or_else(|| (200, json!({})));
    service.posted.send((headers, body)).await.unwrap();
    if status == 0 {
        tokio::time::sleep(WAIT).await;
    }
    (StatusCode::from_u16(status.max(200)).unwrap(), Json(answer))
}

/// A node's callbacks in front of a service that gives `answers`, the last one first.
async fn start(
    answers: &[(u16, Value)],
    fallback: Fallback,
) -> (Hooks, mpsc::Receiver<(HeaderMap, Value)>, TaskScope) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (posted, received) = mpsc::channel(100);
    let service = Service {
        answers: Arc::new(Mutex::new(answers.to_vec())),
        posted,
    };
    let router = Router::new()
        .route("/hook", post(answer))
        .with_state(service);
    let scope = TaskScope::under(&Shutdown::new());
    scope.spawn("service", async move {
        use hyper::server::conn::http1;
        use hyper_util::rt::TokioIo;
        use hyper_util::service::TowerToHyperService;
        let connections = TaskScope::under(&Shutdown::new());
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            connections.spawn("connection", async move {
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _ended = served.await.is_ok();
            });
        }
    });
    let config = Config {
        secret: "0123456789abcdef".into(),
        on_publish: Some(url.clone()),
        on_comment: Some(url),
        timeout_ms: 5000,
        fallback,
        ..Config::default()
    };
    let metrics = telemetry::Metrics::default();
    let hooks = Hooks::start(&config, "n-1", &metrics, &scope).unwrap();
    (hooks, received, scope)
}

async fn next(received: &mut mpsc::Receiver<(HeaderMap, Value)>) -> (HeaderMap, Value) {
    let next = tokio::time::timeout(WAIT, received.recv()).await;
    next.expect("in time").expect("a post")
}

#[tokio::test]
async fn question_is_signed_and_decided() {
    let no = json!({ "decision": "deny", "reason": "no licence" });
    let answers = [(403, json!({})), (200, no), (200, json!({}))];
    let (hooks, mut received, _scope) = start(&answers, Fallback::Allow).await;
    let ask = || hooks.ask(Kind::Publish, "r", json!({ "sub": "u_1" }));
    assert_eq!(ask().await, Ok(()));
    let (headers, body) = next(&mut received).await;
    assert_eq!(headers["idempotency-key"], *body["id"].as_str().unwrap());
    assert!(
        headers["rushlane-signature"]
            .to_str()
            .unwrap()
            .starts_with("v1=")
    );
    let expected = (
        &json!("on_publish"),
        &json!("n-1"),
        &json!("r"),
        &json!("u_1"),
    );
    assert_eq!(
        (&body["type"], &body["node"], &body["room"], &body["sub"]),
        expected
    );
    assert_eq!(ask().await, Err("no licence".into()));
    assert_eq!(ask().await, Err("not allowed".into()));
    // Nobody wants to hear of viewers.
    assert!(!hooks.wants(Kind::Play));
    assert_eq!(hooks.ask(Kind::Play, "r", json!({})).await, Ok(()));
}

#[tokio::test]
async fn fallback_decides_when_nobody_answers() {
    for (fallback, expected) in [(Fallback::Allow, true), (Fallback::Deny, false)] {
        let (hooks, _received, _scope) = start(&[(500, json!({}))], fallback).await;
        let decided = hooks.ask(Kind::Publish, "r", json!({})).await;
        assert_eq!(decided.is_ok(), expected);
    }
}

#[tokio::test]
async fn event_is_told_again_under_the_same_id() {
    let answers = [(200, json!({})), (503, json!({}))];
    let (hooks, mut received, _scope) = start(&answers, Fallback::Allow).await;
    hooks.tell(Kind::Comment, "r", json!({ "text": "hello" }));
    let (first, second) = (next(&mut received).await, next(&mut received).await);
    assert_eq!(first.0["idempotency-key"], second.0["idempotency-key"]);
    assert_eq!(first.1, second.1);
    assert_eq!(first.1["text"], "hello");
}

#[tokio::test]
async fn full_queue_drops_and_counts() {
    let scope = TaskScope::under(&Shutdown::new());
    let config = Config {
        secret: "0123456789abcdef".into(),
        // Nobody listens there.
        on_comment: Some("http://127.0.0.1:9/hook".into()),
        queue_max: 1,
        ..Config::default()
    };
    let metrics = telemetry::Metrics::default();
    let hooks = Hooks::start(&config, "n-1", &metrics, &scope).unwrap();
    for _ in 0..100 {
        hooks.tell(Kind::Comment, "r", json!({}));
    }
    assert!(metrics.encode().contains("rushlane_hooks_dropped_total 99"));
}

#[test]
fn services_that_cannot_be_used_are_refused() {
    let fault = |config: Config| config.check().unwrap_err().to_string();
    let with = |url: &str| Config {
        secret: "0123456789abcdef".into(),
        on_play: Some(url.into()),
        ..Config::default()
    };
    assert!(Config::default().check().is_ok() && with("https://a.example/x").check().is_ok());
    assert!(fault(with("ftp://a.example")).contains("on_play"));
    let open = Config {
        secret: "hush".into(),
        ..with("https://a.example")
    };
    let text = fault(open);
    assert!(text.contains("4 bytes") && !text.contains("hush"));
    let hasty = Config {
        timeout_ms: 1,
        ..Config::default()
    };
    assert!(fault(hasty).contains("timeout_ms"));
}
