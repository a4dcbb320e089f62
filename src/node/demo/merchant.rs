//! The demo's merchant: a web service that confirms orders, but for what is sold out.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rooms::orders::Webhook;
use crate::runtime::Shutdown;

/// How long it thinks: as a real one does.
const THINKS: Duration = Duration::from_millis(300);

/// A merchant that has its port.
pub(in crate::node) struct Merchant {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
}

#[derive(Debug, Deserialize)]
struct Wish {
    key: String,
    sku: String,
}

impl Merchant {
    /// Takes a free port on loopback.
    pub(in crate::node) async fn bind() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where orders are sent to. The signature is not looked at, so the secret is none.
    pub(in crate::node) fn webhook(&self) -> Webhook {
        Webhook {
            url: format!("http://{}/orders", self.address),
            secret: "the demo's merchant believes everybody".into(),
            timeout_ms: 5000,
        }
    }

    /// Answers until `shutdown`.
    pub(in crate::node) async fn run(self, shutdown: Shutdown) {
        let router = Router::new().route("/orders", post(decide));
        let stop = async move { shutdown.requested().await };
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop);
        if let Err(error) = served.await {
            tracing::warn!(%error, "the demo's merchant is gone");
        }
    }
}

async fn decide(Json(wish): Json<Wish>) -> Json<Value> {
    tokio::time::sleep(THINKS).await;
    if wish.sku == "sold-out" {
        return Json(json!({ "state": "rejected", "reason": "sold out" }));
    }
    let reference = format!("DEMO-{}", wish.key);
    Json(json!({ "state": "confirmed", "reference": reference }))
}
