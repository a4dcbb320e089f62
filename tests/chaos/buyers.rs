//! The buyers: half over HTTP posts, half over WebSockets, each with the next edge when one fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::fleet::ROOM;
use crate::{Book, Line};

/// As long as an edge waits for an origin, and some more.
const ANSWER: Duration = Duration::from_secs(12);

/// Between attempts of one order.
const PAUSE: Duration = Duration::from_millis(200);

/// How far all have come.
#[derive(Debug, Default)]
pub struct Progress {
    /// Orders answered with 202 or 200.
    pub acknowledged: AtomicUsize,
    /// Attempts that failed.
    pub retries: AtomicUsize,
    /// Decisions that came by an event, unasked.
    pub told: AtomicUsize,
}

/// All buyers.
pub struct Buyers {
    edges: Vec<String>,
    buyers: usize,
    orders: usize,
    progress: Arc<Progress>,
}

impl Buyers {
    /// `orders` orders of `buyers` buyers, over `edges`.
    pub fn new(edges: Vec<String>, buyers: usize, orders: usize, progress: Arc<Progress>) -> Self {
        Self {
            edges,
            buyers,
            orders,
            progress,
        }
    }

    /// Buys, until each order is acknowledged and decided; what buyers know in the end.
    pub async fn buy(self) -> Book {
        let http = reqwest::Client::builder().timeout(ANSWER).build();
        let http = http.expect("a client");
        let mut buying = JoinSet::new();
        for number in 0..self.buyers {
            let buyer = Buyer {
                name: format!("u{number:05}"),
                edges: self.edges.clone(),
                edge: number % self.edges.len(),
                http: http.clone(),
                socket: None,
                over_socket: number % 2 == 1,
                progress: self.progress.clone(),
                book: Book::new(),
            };
            // The remainder goes to the first ones.
            let orders = (self.orders + self.buyers - 1 - number) / self.buyers;
            buying.spawn(buyer.buy(orders));
        }
        let mut all = Book::new();
        while let Some(book) = buying.join_next().await {
            all.extend(book.expect("a buyer does not fail"));
        }
        all
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One of them.
struct Buyer {
    name: String,
    edges: Vec<String>,
    edge: usize,
    http: reqwest::Client,
    socket: Option<Socket>,
    over_socket: bool,
    progress: Arc<Progress>,
    book: Book,
}

impl Buyer {
    async fn buy(mut self, orders: usize) -> Book {
        for number in 0..orders {
            let key = format!("{}-{number:06}", self.name);
            let quantity = 1 + number % 3;
            self.place(&key, quantity).await;
            self.progress.acknowledged.fetch_add(1, Ordering::Relaxed);
            // One that came before its own answer stands.
            self.book.entry(key).or_insert_with(|| Line {
                wish: String::new(),
                state: "accepted".into(),
            });
        }
        let keys: Vec<String> = self.book.keys().cloned().collect();
        for key in keys {
            self.see_decided(&key).await;
        }
        let name = &self.name;
        for (key, line) in &mut self.book {
            let number: usize = key
                .rsplit('-')
                .next()
                .expect("a number")
                .parse()
                .expect("one");
            line.wish = format!("{name} {}", 1 + number % 3);
        }
        self.book
    }

    /// Sends the order, under its key, until it is acknowledged.
    async fn place(&mut self, key: &str, quantity: usize) {
        loop {
            let status = if self.over_socket {
                timeout(ANSWER, self.send(key, quantity))
                    .await
                    .unwrap_or(None)
            } else {
                self.post(key, quantity).await
            };
            match status {
                Some(200 | 202) => return,
                Some(status @ (400 | 401 | 403 | 405 | 413 | 422)) => {
                    panic!("order {key} of {}: {status}", self.name)
                }
                // Also 404: an edge that just started does not know the room yet.
                Some(_) => {}
                None => self.next_edge(),
            }
            self.progress.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The status of an answer over HTTP.
    async fn post(&self, key: &str, quantity: usize) -> Option<u16> {
        let url = self.url(&format!("orders?user={}", self.name));
        let body = json!({ "sku": "sku-9", "quantity": quantity }).to_string();
        let post = self
            .http
            .post(url)
            .header("idempotency-key", key)
            .body(body);
        Some(post.send().await.ok()?.status().as_u16())
    }

    /// The status of an answer over a WebSocket. Not cancel-safe: the socket is lost then.
    async fn send(&mut self, key: &str, quantity: usize) -> Option<u16> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let url = self
                    .url(&format!("ws?user={}", self.name))
                    .replace("http", "ws");
                connect_async(url).await.ok()?.0
            }
        };
        let body = json!({ "key": key, "sku": "sku-9", "quantity": quantity });
        let command = json!({ "v": 1, "type": "order", "ref": key, "body": body });
        socket.send(Message::text(command.to_string())).await.ok()?;
        loop {
            let Message::Text(text) = socket.next().await?.ok()? else {
                continue;
            };
            let event: Value = serde_json::from_str(&text).expect("JSON");
            if event["type"] == "order" && event["ref"].is_null() {
                self.hear(&event["body"]);
            }
            if event["ref"] == key {
                self.socket = Some(socket);
                let status = event["body"]["status"].as_u64();
                return status.and_then(|status| u16::try_from(status).ok());
            }
        }
    }

    /// News of an order.
    fn hear(&mut self, body: &Value) {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (key, state) = (text("key"), text("state"));
        if state != "confirmed" && state != "rejected" {
            return;
        }
        let wish = String::new();
        if self
            .book
            .insert(key, Line { wish, state })
            .is_none_or(|line| line.state == "accepted")
        {
            self.progress.told.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks for the order's state until it is decided.
    async fn see_decided(&mut self, key: &str) {
        while self
            .book
            .get(key)
            .is_none_or(|line| line.state == "accepted")
        {
            let url = self.url(&format!("orders/{key}?user={}", self.name));
            let answer = match self.http.get(url).send().await {
                Ok(answer) if answer.status() == 200 => answer.text().await.ok(),
                Ok(_) => None,
                Err(_) => {
                    self.next_edge();
                    None
                }
            };
            let body: Value = answer
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            let state = body["state"].as_str().unwrap_or_default();
            if state == "confirmed" || state == "rejected" {
                let (wish, state) = (String::new(), state.to_owned());
                self.book.insert(key.to_owned(), Line { wish, state });
            } else {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn next_edge(&mut self) {
        self.edge = (self.edge + 1) % self.edges.len();
        self.socket = None;
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/rooms/{ROOM}/{path}", self.edges[self.edge])
    }
}
