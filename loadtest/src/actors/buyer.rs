//! Buyers: each order has a key, goes out when planned, and again under the same key until it is
//! answered. At the end the fleet's book is read, order by order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use reqwest::Url;
use rushlane::runtime::clock;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::actors::Ground;
use crate::scenario::Buyers;
use crate::tally::{Count, Measure};

/// Orders under way at once; beyond it this program, not the fleet, would be the limit.
const UNDER_WAY_MAX: usize = 20_000;
/// Questions at once when the books are compared.
const QUESTIONS_MAX: usize = 32;
/// How long a question may be asked anew while the fleet comes back.
const QUESTION_SECONDS_MAX: u64 = 20;
/// How long an answer may take before the question goes to the next edge.
const ANSWER: Duration = Duration::from_secs(5);

/// What the buyers remember.
#[derive(Debug, Default, Clone)]
pub struct Orders(Arc<Mutex<Vec<Receipt>>>);

/// An order that was acknowledged.
#[derive(Debug, Clone)]
struct Receipt {
    room: String,
    key: String,
    user: String,
    sku: String,
}

/// What the comparison of the books found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Books {
    /// Orders that buyers hold a receipt for.
    pub acknowledged: u64,
    /// Of these, not in the fleet's book.
    pub lost: u64,
    /// Of these, in the book as another order than the buyer's.
    pub changed: u64,
}

impl Books {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged.saturating_add(other.acknowledged),
            lost: self.lost.saturating_add(other.lost),
            changed: self.changed.saturating_add(other.changed),
        }
    }
}

/// Sends this machine's orders of a group.
pub fn buy(ground: &Ground, group: &Buyers, orders: &Orders) -> anyhow::Result<()> {
    let http = ground.web.client(ANSWER)?;
    let (ground, group, orders) = (ground.clone(), group.clone(), orders.clone());
    let scope = ground.scope.clone();
    let slots = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    scope.spawn("buyers", async move {
        let count = group.orders() as u64;
        for number in ground.share.indices(count) {
            let after = number as f64 / group.orders_per_second;
            let at = Duration::from_secs_f64(group.at_seconds + after);
            if !ground.pace.until(at).await {
                return;
            }
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            if !ground.pace.allows_one() {
                continue;
            }
            let (ground, group, orders) = (ground.clone(), group.clone(), orders.clone());
            let http = http.clone();
            let scope = ground.scope.clone();
            scope.spawn("order", async move {
                order(&ground, &group, &http, (number, at), &orders).await;
                drop(slot);
            });
        }
    });
    Ok(())
}

async fn order(
    ground: &Ground,
    group: &Buyers,
    http: &reqwest::Client,
    (number, at): (u64, Duration),
    orders: &Orders,
) {
    let planned_us = ground.pace.unix_us(at);
    let receipt = Receipt {
        room: group.room.clone(),
        key: format!("load-{}-{planned_us}-{number}", ground.name),
        user: format!("load-{}-{}", ground.name, number % u64::from(group.count)),
        sku: format!("sku-{}", number % 97),
    };
    let query = ground.signer.member(&group.room, &receipt.user);
    let path = format!("/rooms/{}/orders{query}", group.room);
    let body = json!({ "sku": receipt.sku, "quantity": 1, "attributes": { "n": number } });
    let mark = ground.signer.mark();
    let patience = Duration::from_secs_f64(group.patience_seconds);
    ground.tally.one(Count::Orders);
    let deadline = clock::now() + patience;
    for attempt in 0.. {
        if clock::now() >= deadline {
            break;
        }
        if attempt > 0 {
            ground.tally.one(Count::OrderRetries);
        }
        ground.tally.one(Count::Requests);
        let Ok(url) = ground.edge(number, attempt).join(&path) else {
            break;
        };
        let mut post = http.post(url).header("idempotency-key", &receipt.key);
        if let Some(mark) = &mark {
            post = post.header("rushlane-load", mark);
        }
        let pause = match post.body(body.to_string()).send().await {
            Ok(answer) if matches!(answer.status().as_u16(), 200 | 202) => {
                let waited_us = ground.tally.now_us() - planned_us;
                ground.tally.time(Measure::Ack, waited_us);
                ground.tally.one(Count::OrdersAcked);
                orders.0.lock().push(receipt);
                return;
            }
            Ok(answer) if matches!(answer.status().as_u16(), 409 | 429 | 503) => {
                let field = answer.headers().get("retry-after");
                let seconds = field.and_then(|f| f.to_str().ok()?.parse().ok());
                Duration::from_secs(seconds.unwrap_or(1))
            }
            Ok(answer) => {
                let status = answer.status();
                let text = answer.text().await.unwrap_or_default();
                tracing::warn!(%status, text, key = receipt.key, "an order was refused");
                ground.tally.one(Count::Errors);
                break;
            }
            Err(error) => {
                tracing::debug!(%error, key = receipt.key, "an order goes out again");
                ground.tally.one(Count::Errors);
                Duration::from_millis(300)
            }
        };
        tokio::time::sleep(pause.min(patience)).await;
    }
    ground.tally.one(Count::OrdersGivenUp);
}

impl Orders {
    /// Asks the fleet for every order that has a receipt.
    pub async fn compare(&self, ground: &Ground) -> anyhow::Result<Books> {
        let receipts = std::mem::take(&mut *self.0.lock());
        let http = ground.web.client(ANSWER)?;
        let mut books = Books {
            acknowledged: receipts.len() as u64,
            ..Books::default()
        };
        for some in receipts.chunks(QUESTIONS_MAX) {
            let asked = some.iter().map(|receipt| find(ground, &http, receipt));
            for found in futures_util::future::join_all(asked).await {
                match found? {
                    None => books.lost += 1,
                    Some(true) => {}
                    Some(false) => books.changed += 1,
                }
            }
        }
        Ok(books)
    }
}

/// `None`: the fleet knows no such order; `Some(false)`: it is another one.
async fn find(
    ground: &Ground,
    http: &reqwest::Client,
    receipt: &Receipt,
) -> anyhow::Result<Option<bool>> {
    let Receipt { room, key, .. } = receipt;
    let query = ground.signer.member(room, &receipt.user);
    let path = format!("/rooms/{room}/orders/{key}{query}");
    let deadline = clock::now() + Duration::from_secs(QUESTION_SECONDS_MAX);
    for attempt in 0.. {
        let url: Url = ground.edge(0, attempt).join(&path)?;
        if let Ok(answer) = http.get(url).send().await {
            match answer.status().as_u16() {
                200 => {
                    let order: Value = serde_json::from_slice(&answer.bytes().await?)?;
                    let order = order.get("body").unwrap_or(&order);
                    return Ok(Some(order.get("sku") == Some(&json!(receipt.sku))));
                }
                404 => return Ok(None),
                _ => {}
            }
        }
        if clock::now() >= deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    None.with_context(|| format!("the book cannot be read: no answer about {}", receipt.key))
}
