//! The merchant: he keeps a book, does an order once for each key, and is not always well.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{Book, Line};

/// The merchant.
pub struct Merchant {
    /// Where he takes orders.
    pub url: String,
    shop: Arc<Shop>,
    _open: JoinSet<std::io::Result<()>>,
}

#[derive(Default)]
struct Shop {
    book: Mutex<Book>,
    /// What should never be.
    figures: Mutex<Figures>,
    chance: RandomState,
}

/// What the merchant saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Requests in all.
    pub requests: usize,
    /// Requests under a key that he had.
    pub repeated: usize,
    /// Other orders under a key that he had.
    pub contradicting: usize,
}

/// What the merchant has in the end.
pub struct Result {
    /// His book.
    pub book: Book,
    /// What he saw.
    pub figures: Figures,
}

impl Merchant {
    /// Opens the shop on a free port.
    pub async fn open() -> Self {
        let shop = Arc::new(Shop::default());
        let app = Router::new()
            .route("/", post(take))
            .with_state(shop.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", socket.local_addr().expect("an address"));
        let mut open = JoinSet::new();
        open.spawn(async move { axum::serve(socket, app).await });
        Self {
            url,
            shop,
            _open: open,
        }
    }

    /// What he has.
    pub fn book(&self) -> Result {
        Result {
            book: self.shop.book.lock().clone(),
            figures: *self.shop.figures.lock(),
        }
    }
}

async fn take(State(shop): State<Arc<Shop>>, body: Bytes) -> (StatusCode, String) {
    let order: Value = serde_json::from_slice(&body).expect("JSON");
    let key = order["key"].as_str().expect("a key").to_owned();
    let chance = shop.chance.hash_one((&key, &order["attempt"].as_u64())) % 1000;
    match chance {
        // Fails before the work is done.
        0..20 => return (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        20..60 => tokio::time::sleep(Duration::from_millis(300)).await,
        _ => {}
    }
    let state = shop.sell(key, &order);
    match chance {
        // Fails after the work is done: the order comes again.
        60..80 => (StatusCode::BAD_GATEWAY, String::new()),
        80..83 => std::future::pending().await,
        _ => (StatusCode::OK, format!("{{\"state\":\"{state}\"}}")),
    }
}

impl Shop {
    fn sell(&self, key: String, order: &Value) -> String {
        let wish = format!(
            "{} {}",
            order["buyer"].as_str().expect("a buyer"),
            order["quantity"]
        );
        let mut figures = self.figures.lock();
        figures.requests += 1;
        let mut book = self.book.lock();
        if let Some(line) = book.get(&key) {
            figures.repeated += 1;
            figures.contradicting += usize::from(line.wish != wish);
            return line.state.clone();
        }
        let sold = order["quantity"].as_u64() != Some(3);
        let state = if sold { "confirmed" } else { "rejected" }.to_owned();
        let line = Line {
            wish,
            state: state.clone(),
        };
        book.insert(key, line);
        state
    }
}

/// Counts of states, for the table.
pub fn states(book: &Book) -> HashMap<&str, usize> {
    let mut states = HashMap::new();
    for line in book.values() {
        *states.entry(line.state.as_str()).or_default() += 1;
    }
    states
}
