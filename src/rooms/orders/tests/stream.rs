//! A merchant who reads orders from a stream.

use async_nats::jetstream::stream::Config as StreamConfig;
use serde_json::Value;

use super::{Shop, body, pair, room};
use crate::nats;
use crate::nats::server::{Server, WAIT};
use crate::rooms::orders::{Config, Decision, Nats, State};

fn config(server: &Server) -> Config {
    Config {
        nats: Some(Nats {
            servers: server.servers(),
            subject: "shop.orders".into(),
        }),
        retry_ms: 10,
        retry_max_ms: 100,
        ..Config::default()
    }
}

#[tokio::test]
async fn order_stands_once_in_the_stream_of_the_merchant() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0).await;
    let mut shop = Shop::open(&config(&server), None).await;
    // Without a stream nobody acknowledges: the order waits.
    let answer = shop.submit("key-0001").await;
    assert_eq!(answer.status, 202);

    let merchant = nats::connect(&server.servers()).await.expect("a cluster");
    let orders = StreamConfig {
        name: "shop".into(),
        subjects: vec!["shop.orders".into()],
        ..StreamConfig::default()
    };
    let made = async {
        loop {
            match merchant.get_or_create_stream(orders.clone()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(WAIT / 400).await,
            }
        }
    };
    let mut stream = tokio::time::timeout(WAIT, made)
        .await
        .expect("a stream in time");
    assert_eq!(shop.next().await, pair("key-0001", "forwarded"));
    let message = stream
        .get_last_raw_message_by_subject("shop.orders")
        .await
        .expect("an order");
    let order: Value = serde_json::from_slice(&message.payload).expect("JSON");
    assert_eq!(
        (&order["key"], &order["at"]),
        (&"key-0001".into(), &body(&answer)["at"])
    );
    let id = message
        .headers
        .get("Nats-Msg-Id")
        .map(|id| id.as_str().to_owned());
    assert_eq!(id.as_deref(), Some("sale.key-0001"));

    // Driven again under the same key, it is no second message.
    let forwarded = crate::rooms::orders::Filter {
        state: Some(State::Forwarded),
        ..Default::default()
    };
    assert_eq!(shop.desk.redrive(&forwarded).await, Ok(1));
    assert_eq!(shop.next().await, pair("key-0001", "accepted"));
    assert_eq!(shop.next().await, pair("key-0001", "forwarded"));
    let info = stream.info().await.expect("figures of the stream");
    assert_eq!(info.state.messages, 1);

    let decision = Decision {
        state: State::Confirmed,
        reason: None,
        reference: None,
    };
    shop.desk
        .answer(&room(), "key-0001", decision)
        .await
        .expect("a decision");
    assert_eq!(shop.next().await, pair("key-0001", "confirmed"));
    shop.close().await;
}
