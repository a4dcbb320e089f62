//! The desk between buyers, a ledger and a merchant's web service.

mod flow;
mod merchant;
mod samples;
mod stream;
mod trouble;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Change, Config, Desk, Webhook};
use crate::ledger::{self, Ledger};
use crate::media::RoomName;
use crate::protocol::interact::question::OrderAnswer;
use crate::protocol::interact::{Member, Role, command};
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry::Metrics;
use merchant::Merchant;

/// Whatever is waited for comes sooner, or never.
const WAIT: Duration = Duration::from_secs(10);

const SECRET: &str = "a secret of merchant and node";

/// A desk with its ledger.
struct Shop {
    desk: Desk,
    changes: mpsc::Receiver<Change>,
    metrics: Metrics,
    scope: TaskScope,
}

impl Shop {
    /// Over a ledger in memory, or in a file.
    async fn open(config: &Config, path: Option<PathBuf>) -> Self {
        let scope = TaskScope::under(&Shutdown::new());
        let metrics = Metrics::default();
        let book = ledger::Config {
            path,
            ..ledger::Config::default()
        };
        let ledger = Ledger::open(&book, &metrics, &scope)
            .await
            .expect("a ledger");
        let (desk, changes) = Desk::start(config, ledger, &metrics, &scope);
        Self {
            desk,
            changes,
            metrics,
            scope,
        }
    }

    async fn close(self) {
        drop(self.desk);
        self.scope.finish(WAIT).await;
    }

    async fn submit(&self, key: &str) -> OrderAnswer {
        self.desk.submit(&room(), &li(), &wish(key, 1), false).await
    }

    /// The next news: key and state.
    async fn next(&mut self) -> (String, String) {
        let change = timeout(WAIT, self.changes.recv())
            .await
            .expect("news in time");
        let event = change.expect("the desk lives").event;
        let text = |name: &str| event.body[name].as_str().expect("a text").to_owned();
        (text("key"), text("state"))
    }

    /// What is said of a condition, once it is raised.
    async fn condition(&self, name: &str) -> String {
        let raised = async {
            loop {
                let all = self.metrics.conditions().all();
                if let Some(found) = all.into_iter().find(|found| found.name == name) {
                    return found.detail;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(WAIT, raised).await.expect("a condition in time")
    }

    /// The value of a metric without labels.
    fn metric(&self, name: &str) -> String {
        let text = self.metrics.encode();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_default().to_owned()
    }
}

fn with(merchant: &Merchant) -> Config {
    Config {
        webhook: Some(Webhook {
            url: merchant.url.clone(),
            secret: SECRET.into(),
            timeout_ms: 2000,
        }),
        retry_ms: 1,
        retry_max_ms: 20,
        ..Config::default()
    }
}

fn room() -> RoomName {
    RoomName::parse("sale").expect("a name")
}

fn member(id: &str) -> Member {
    Member {
        id: id.into(),
        name: id.into(),
        role: Role::Viewer,
    }
}

fn li() -> Member {
    member("u_li")
}

fn wish(key: &str, quantity: u32) -> command::Order {
    command::Order {
        key: key.into(),
        sku: "sku-9".into(),
        quantity,
        attributes: serde_json::Map::from_iter([("size".to_owned(), Value::from(42))]),
    }
}

fn body(answer: &OrderAnswer) -> Value {
    serde_json::from_str(&answer.body).expect("JSON")
}

fn pair(key: &str, state: &str) -> (String, String) {
    (key.to_owned(), state.to_owned())
}
