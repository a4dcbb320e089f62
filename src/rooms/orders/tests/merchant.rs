//! A merchant's web service that answers as a test wants.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::Value;

use super::SECRET;
use crate::rooms::orders::wish::hex;
use crate::runtime::{Shutdown, TaskScope};

/// What he does with the attempt `attempt` (from 1, as he counts) of the order `key`.
pub(super) type Manner = fn(key: &str, attempt: usize) -> Deed;

/// What he does with a request.
pub(super) enum Deed {
    /// Answers.
    Answer(u16, &'static str),
    /// Says nothing, for longer than anybody waits.
    Hang,
}

/// He checks every signature.
pub(super) struct Merchant {
    pub(super) url: String,
    book: Arc<Book>,
    _scope: TaskScope,
}

struct Book {
    manner: Manner,
    requests: Mutex<HashMap<String, Vec<Value>>>,
}

impl Merchant {
    pub(super) async fn open(manner: Manner) -> Self {
        let book = Arc::new(Book {
            manner,
            requests: Mutex::default(),
        });
        let app = Router::new()
            .route("/orders", post(take))
            .with_state(book.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = socket.local_addr().expect("an address");
        let scope = TaskScope::under(&Shutdown::new());
        let shutdown = scope.shutdown().clone();
        scope.spawn("merchant", async move {
            tokio::select! {
                served = axum::serve(socket, app) => served.expect("a server"),
                () = shutdown.requested() => {}
            }
        });
        Self {
            url: format!("http://{address}/orders"),
            book,
            _scope: scope,
        }
    }

    /// The requests for one order, in their order.
    pub(super) fn requests(&self, key: &str) -> Vec<Value> {
        self.book
            .requests
            .lock()
            .get(key)
            .cloned()
            .unwrap_or_default()
    }
}

async fn take(
    State(book): State<Arc<Book>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let timestamp = header("rushlane-timestamp").expect("a timestamp");
    let signed = [timestamp.as_bytes(), b".", &body].concat();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()),
        &signed,
    );
    let signature = format!("v1={}", hex(tag.as_ref()));
    assert_eq!(header("rushlane-signature"), Some(&*signature));

    let request: Value = serde_json::from_slice(&body).expect("JSON");
    let key = request["key"].as_str().expect("a key").to_owned();
    assert_eq!(header("idempotency-key"), Some(&*key));
    let attempt = {
        let mut requests = book.requests.lock();
        let requests = requests.entry(key.clone()).or_default();
        requests.push(request);
        requests.len()
    };
    match (book.manner)(&key, attempt) {
        Deed::Answer(status, body) => (StatusCode::from_u16(status).expect("a status"), body),
        Deed::Hang => std::future::pending().await,
    }
}

/// Confirms at once.
pub(super) fn willing(_: &str, _: usize) -> Deed {
    Deed::Answer(200, r#"{"state":"confirmed","reference":"A-1"}"#)
}
