//! How long a question and an event take over two hops on loopback: figures to look at, not a test.
//! `cargo test --release --lib -- --ignored --nocapture relay::tests::latency`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use crate::live::track::Event;
use crate::media::Class;
use crate::net::tls::Authority;
use crate::relay::tests::events::{Events, event, reader};
use crate::relay::tests::host::Host;
use crate::relay::tests::peers::*;
use crate::relay::tests::questions::two_hops;
use crate::runtime::clock;

const ROUNDS: usize = 2000;

/// Between two measurements: as when a few hundred events a second pass.
const PAUSE: Duration = Duration::from_millis(3);

/// Comments that are said at once, and how often.
const FLOOD: usize = 30;
const FLOOD_PACE: Duration = Duration::from_millis(10);

/// One line with the percentiles.
fn figures(what: &str, mut all: Vec<Duration>) -> String {
    all.sort();
    let at = |permille: usize| {
        let index = (all.len() * permille / 1000).min(all.len() - 1);
        all[index].as_micros()
    };
    let (p50, p90, p99) = (at(500), at(900), at(990));
    format!(
        "{what}: p50 {p50} us, p90 {p90} us, p99 {p99} us, max {} us",
        at(1000)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn of_a_question_over_two_hops() {
    let authority = Authority::create("test");
    let [_origin, _middle, leaf] = two_hops(&authority, &Host::open()).await;
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        let begun = clock::now();
        leaf.ask(Class::Order, "order-1").await.unwrap();
        all.push(begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    report(&figures("a question over two hops and back", all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn of_an_event_over_two_hops() {
    let authority = Authority::create("test");
    let [origin, _middle, leaf] = two_hops(&authority, &Host::open()).await;
    let events = Events::new(origin.store(), Class::Order);
    let mut reader = reader(&leaf).await;
    let mut group = events.open(0, 0);
    read(&mut reader, 2).await;
    let mut all = Vec::new();
    for at in 1..ROUNDS {
        let is_new = at % 100 == 0;
        let begun = clock::now();
        if is_new {
            group.finish();
            group = events.open((at / 100) as u64, at as i64);
        } else {
            group.append(event(at as i64, 300));
        }
        while !matches!(read(&mut reader, 1).await[..], [Event::Frame(_)]) {}
        all.push(begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    report(&figures("an event over two hops", all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn of_an_order_beside_a_flood_of_comments() {
    let authority = Authority::create("test");
    let [_origin, _middle, leaf] = two_hops(&authority, &Host::open()).await;
    let comments = AtomicUsize::new(0);
    let flood = (0..FLOOD).map(async |_| {
        let mut pace = tokio::time::interval(FLOOD_PACE);
        loop {
            pace.tick().await;
            leaf.ask(Class::Comment, "hello").await.unwrap();
            comments.fetch_add(1, Ordering::Relaxed);
        }
    });
    let begun = clock::now();
    let orders = async {
        let mut all = Vec::new();
        for _ in 0..ROUNDS {
            let begun = clock::now();
            leaf.ask(Class::Order, "order-1").await.unwrap();
            all.push(begun.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        all
    };
    let all = tokio::select! {
        all = orders => all,
        _ = join_all(flood) => unreachable!("the flood has no end"),
    };
    let rate = comments.into_inner() as f64 / begun.elapsed().as_secs_f64();
    report(&figures(
        &format!("an order over two hops beside {rate:.0} comments a second"),
        all,
    ));
}

#[expect(clippy::print_stdout, reason = "the figures are for a person")]
fn report(line: &str) {
    println!("{line}");
}
