//! Orders as they should go.

use serde_json::json;

use super::merchant::{Deed, Merchant, willing};
use super::{Shop, body, li, member, pair, room, wish, with};
use crate::rooms::orders::{AnswerError, Config, Decision, Filter, State};

fn decision(state: State) -> Decision {
    Decision {
        state,
        reason: None,
        reference: None,
    }
}

#[tokio::test]
async fn order_is_acknowledged_passed_on_and_its_decision_told() {
    let merchant = Merchant::open(willing).await;
    let mut shop = Shop::open(&with(&merchant), None).await;
    let answer = shop.submit("key-0001").await;
    assert_eq!((answer.status, answer.retry_after_s), (202, None));
    assert_eq!(body(&answer)["state"], "accepted");
    assert_eq!(body(&answer)["key"], "key-0001");

    let change = shop.changes.recv().await.expect("news");
    assert_eq!((&change.room, &*change.buyer), (&room(), "u_li"));
    let event = change.event;
    assert_eq!(
        (event.seq, event.to.as_deref(), &*event.id),
        (None, Some("u_li"), "key-0001")
    );
    assert_eq!(event.body["state"], "confirmed");
    assert_eq!(event.body["reference"], "A-1");
    assert_eq!(event.body.get("attributes"), None);

    let requests = merchant.requests("key-0001");
    let at = body(&answer)["at"].clone();
    let expected = json!({
        "key": "key-0001", "room": "sale", "buyer": "u_li", "sku": "sku-9", "quantity": 1,
        "attributes": { "size": 42 }, "at": at, "attempt": 1,
    });
    assert_eq!(requests, [expected]);
    shop.close().await;
}

#[tokio::test]
async fn same_key_gets_the_stored_bytes_and_another_order_is_refused() {
    let merchant = Merchant::open(willing).await;
    let mut shop = Shop::open(&with(&merchant), None).await;
    let first = shop.submit("key-0001").await;
    shop.next().await;
    let again = shop.submit("key-0001").await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let other = shop
        .desk
        .submit(&room(), &li(), &wish("key-0001", 2), false)
        .await;
    assert_eq!(
        (other.status, body(&other)["code"].as_str()),
        (422, Some("key_reused"))
    );
    let thief = member("u_thief");
    let stolen = shop
        .desk
        .submit(&room(), &thief, &wish("key-0001", 1), false)
        .await;
    assert_eq!(stolen.status, 422);
    let bad = shop.submit("short").await;
    assert_eq!((bad.status, bad.retry_after_s), (400, None));
    assert_eq!(merchant.requests("key-0001").len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn same_key_at_the_same_time_is_one_order() {
    let merchant = Merchant::open(willing).await;
    let mut shop = Shop::open(&with(&merchant), None).await;
    let (one, two) = tokio::join!(shop.submit("key-0001"), shop.submit("key-0001"));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409]);
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    assert_eq!(merchant.requests("key-0001").len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn buyer_alone_finds_his_orders_again() {
    let merchant = Merchant::open(willing).await;
    let mut shop = Shop::open(&with(&merchant), None).await;
    for key in ["key-0001", "key-0002"] {
        shop.submit(key).await;
        shop.next().await;
    }
    let state = shop.desk.state(&room(), &li(), "key-0001").await;
    assert_eq!(
        (state.status, body(&state)["state"].as_str()),
        (200, Some("confirmed"))
    );
    let thief = shop
        .desk
        .state(&room(), &member("u_thief"), "key-0001")
        .await;
    let nobody = shop.desk.state(&room(), &li(), "key-none").await;
    assert_eq!((thief.status, nobody.status), (404, 404));

    let recent = shop.desk.recent(&room(), "u_li").await;
    let keys: Vec<&str> = recent.iter().map(|event| &*event.id).collect();
    assert_eq!(keys, ["key-0001", "key-0002"]);
    assert!(shop.desk.recent(&room(), "u_thief").await.is_empty());
    shop.close().await;
}

#[tokio::test]
async fn merchant_who_takes_it_first_decides_later_and_once() {
    let merchant = Merchant::open(|_, _| Deed::Answer(202, "")).await;
    let mut shop = Shop::open(&with(&merchant), None).await;
    shop.submit("key-0001").await;
    assert_eq!(shop.next().await, pair("key-0001", "forwarded"));

    let (desk, sale) = (&shop.desk, &room());
    let answer = |state| desk.answer(sale, "key-0001", decision(state));
    let early = answer(State::Forwarded).await;
    assert_eq!(early, Err(AnswerError::NoDecision(State::Forwarded)));
    let view = answer(State::Rejected).await.expect("the first decision");
    assert_eq!(view.state, State::Rejected);
    answer(State::Rejected).await.expect("the same again");
    let against = answer(State::Confirmed).await;
    assert_eq!(against, Err(AnswerError::Decided(State::Rejected)));
    assert_eq!(shop.metric("rushlane_orders_contradictions_total"), "1");
    let missing = shop
        .desk
        .answer(&room(), "key-none", decision(State::Rejected))
        .await;
    assert_eq!(missing, Err(AnswerError::NoOrder));
    assert_eq!(shop.next().await, pair("key-0001", "rejected"));
    shop.close().await;
}

#[tokio::test]
async fn orders_without_a_merchant_wait_for_an_answer() {
    let mut shop = Shop::open(&Config::default(), None).await;
    assert_eq!(shop.submit("key-0001").await.status, 202);
    let listed = shop.desk.list(&Filter::default()).await.expect("a list");
    let found: Vec<_> = listed
        .iter()
        .map(|view| (&*view.key, view.state, view.due))
        .collect();
    assert_eq!(found, [("key-0001", State::Accepted, None)]);
    let answered = shop
        .desk
        .answer(&room(), "key-0001", decision(State::Confirmed))
        .await;
    answered.expect("a decision");
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    shop.close().await;
}

#[tokio::test]
async fn orders_of_load_tests_never_reach_the_merchant() {
    let merchant = Merchant::open(willing).await;
    for config in [with(&merchant), Config::default()] {
        let mut shop = Shop::open(&config, None).await;
        let answer = shop
            .desk
            .submit(&room(), &li(), &wish("key-load", 1), true)
            .await;
        assert_eq!(answer.status, 202);
        assert_eq!(shop.next().await, pair("key-load", "confirmed"));
        assert_eq!(shop.metric("rushlane_orders_load_orders_total"), "1");
        assert!(merchant.requests("key-load").is_empty());
        shop.close().await;
    }
}
