//! Merchants, disks and processes that fail.

use super::merchant::{Deed, Merchant, willing};
use super::{Shop, WAIT, body, pair, with};
use crate::rooms::orders::{Config, Filter, State};

const CONFIRMED: Deed = Deed::Answer(200, r#"{"state":"confirmed"}"#);

#[tokio::test]
async fn failing_merchant_is_tried_again_under_the_same_key() {
    let manner = |_: &str, attempt| match attempt {
        1 => Deed::Answer(500, ""),
        2 => Deed::Answer(409, ""),
        _ => CONFIRMED,
    };
    let merchant = Merchant::open(manner).await;
    let mut shop = Shop::open(&with(&merchant), None).await;
    shop.submit("key-0001").await;
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    let requests = merchant.requests("key-0001");
    let attempts: Vec<_> = requests
        .iter()
        .map(|request| request["attempt"].as_u64())
        .collect();
    assert_eq!(attempts, [Some(1), Some(2), Some(3)]);
    shop.close().await;
}

#[tokio::test]
async fn merchant_who_is_not_there_is_told_of_before_the_first_order() {
    let mut config = with(&Merchant::open(|_: &str, _| CONFIRMED).await);
    if let Some(webhook) = &mut config.webhook {
        // The reserved port, at which nobody listens.
        webhook.url = "http://127.0.0.1:1/orders".into();
    }
    let shop = Shop::open(&config, None).await;
    let told = shop.condition("merchant").await;
    assert!(told.contains("no connection"), "{told}");
    shop.close().await;
}

#[tokio::test]
async fn merchant_who_takes_nothing_is_told_of_until_he_does() {
    let manner = |_: &str, attempt| match attempt {
        1..=7 => Deed::Answer(503, ""),
        _ => CONFIRMED,
    };
    let merchant = Merchant::open(manner).await;
    let mut config = with(&merchant);
    config.retry_ms = 50;
    let mut shop = Shop::open(&config, None).await;
    shop.submit("key-0001").await;
    let told = shop.condition("merchant").await;
    assert!(told.contains("HTTP 503"), "{told}");
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    assert!(shop.metrics.conditions().all().is_empty());
    shop.close().await;
}

#[tokio::test]
async fn order_that_hangs_holds_up_no_other() {
    let manner = |key: &str, attempt| match (key, attempt) {
        ("key-hang", 1) => Deed::Hang,
        _ => CONFIRMED,
    };
    let merchant = Merchant::open(manner).await;
    let mut config = with(&merchant);
    config.deliveries_max = 2;
    if let Some(webhook) = &mut config.webhook {
        // Long enough for the others to pass, even those that wait for the outbox to look.
        webhook.timeout_ms = 3000;
    }
    let mut shop = Shop::open(&config, None).await;
    shop.submit("key-hang").await;
    for number in 1..=4 {
        let key = format!("key-000{number}");
        shop.submit(&key).await;
        assert_eq!(shop.next().await, pair(&key, "confirmed"));
    }
    assert_eq!(shop.next().await, pair("key-hang", "confirmed"));
    shop.close().await;
}

#[tokio::test]
async fn order_is_left_to_the_operator_who_drives_it_again() {
    let manner = |_: &str, attempt| match attempt {
        1..=3 => Deed::Answer(503, ""),
        _ => CONFIRMED,
    };
    let merchant = Merchant::open(manner).await;
    let mut config = with(&merchant);
    config.attempts_max = 3;
    let mut shop = Shop::open(&config, None).await;
    shop.submit("key-0001").await;
    assert_eq!(shop.next().await, pair("key-0001", "unknown"));
    let dead = Filter {
        state: Some(State::Unknown),
        ..Filter::default()
    };
    let listed = shop.desk.list(&dead).await.expect("a list");
    let found: Vec<_> = listed
        .iter()
        .map(|view| (&*view.key, view.reason.as_deref()))
        .collect();
    assert_eq!(found, [("key-0001", Some("HTTP 503"))]);

    assert_eq!(shop.desk.redrive(&Filter::default()).await, Ok(1));
    assert_eq!(shop.next().await, pair("key-0001", "accepted"));
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    assert_eq!(shop.desk.redrive(&Filter::default()).await, Ok(0));
    shop.close().await;
}

#[tokio::test]
async fn merchant_who_does_not_understand_is_not_asked_twice() {
    let merchant = Merchant::open(|_, _| Deed::Answer(400, "what?")).await;
    let mut shop = Shop::open(&with(&merchant), None).await;
    shop.submit("key-0001").await;
    assert_eq!(shop.next().await, pair("key-0001", "unknown"));
    assert_eq!(merchant.requests("key-0001").len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn undelivered_orders_survive_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Some(folder.path().join("ledger.redb"));
    let deaf = Merchant::open(|_, _| Deed::Answer(503, "")).await;
    let shop = Shop::open(&with(&deaf), path.clone()).await;
    let first = shop.submit("key-0001").await;
    assert_eq!(first.status, 202);
    shop.close().await;

    let merchant = Merchant::open(willing).await;
    let mut shop = Shop::open(&with(&merchant), path.clone()).await;
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    let again = shop.submit("key-0001").await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    shop.close().await;

    // What was decided just before a death is told again.
    let mut shop = Shop::open(&with(&merchant), path).await;
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    shop.close().await;
}

#[tokio::test]
async fn orders_are_put_off_while_the_ledger_is_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.redb");
    std::fs::write(&path, "no ledger").expect("a file");
    let shop = Shop::open(&Config::default(), Some(path.clone())).await;
    let answer = shop.submit("key-0001").await;
    assert_eq!((answer.status, answer.retry_after_s), (503, Some(1)));
    assert_eq!(body(&answer)["code"], "ledger");

    std::fs::remove_file(&path).expect("the file");
    let recovers = async {
        while shop.submit("key-0001").await.status != 202 {
            tokio::time::sleep(WAIT / 50).await;
        }
    };
    tokio::time::timeout(WAIT, recovers)
        .await
        .expect("an open ledger");
    shop.close().await;
}

#[tokio::test]
async fn buyer_who_floods_is_slowed_down() {
    let config = Config {
        buyer_per_second: 2,
        ..Config::default()
    };
    let shop = Shop::open(&config, None).await;
    let mut statuses = Vec::new();
    for number in 1..=20 {
        statuses.push(shop.submit(&format!("key-{number:04}")).await.status);
    }
    assert_eq!(statuses[..2], [202, 202]);
    assert!(statuses.contains(&429), "{statuses:?}");
    shop.close().await;
}
