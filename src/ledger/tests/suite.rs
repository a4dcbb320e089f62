//! What every store keeps to. Each check has a room of its own, so that they share a store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Open, decided, decision, id, order, put, room};
use crate::ledger::order::{Entry, Filter, State};
use crate::ledger::{Config, Ledger, Put};
use crate::runtime::clock;

/// Indexes of a shared store follow its orders; they are waited for.
const WAIT_SECONDS: u64 = 10;

/// All checks, in a store that is opened with `config`.
pub(super) async fn all(config: &Config) {
    // The checks' orders are all of long ago.
    let config = Config {
        dedupe_hours: u32::MAX,
        ..config.clone()
    };
    let open = Open::new(&config).await;
    let ledger = &open.ledger;
    assert_eq!(ledger.is_healthy(), Ok(()));
    order_is_found_as_it_was_stored(ledger).await;
    of_many_writers_of_one_key_one_wins(ledger).await;
    change_needs_the_version_it_is_made_from(ledger).await;
    due_orders_come_longest_due_first(ledger).await;
    orders_of_a_buyer_come_newest_first(ledger).await;
    lists_are_by_room_and_state(ledger).await;
    depth_counts_what_waits(ledger).await;
    rooms_are_loaded_as_saved(ledger).await;
    audit_trail_is_read_backwards(ledger).await;
    open.close().await;
}

/// What is left of old orders when a store is opened anew.
pub(super) async fn sweep(config: &Config) {
    let open = Open::new(config).await;
    let now = clock::unix_us() / 1000;
    let long_ago = now - i64::from(config.dedupe_hours) * 3_600_000 - 60_000;
    let orders = [
        ("key-sold", State::Confirmed, long_ago),
        ("key-sent", State::Rejected, long_ago),
        ("key-open", State::Accepted, long_ago),
        ("key-dead", State::Unknown, long_ago),
        ("key-late", State::Confirmed, now - 60_000),
    ];
    for (key, state, at) in orders {
        let order = order("sweep", key, at);
        put(&open.ledger, &decided(&order, state, at), 0).await;
    }
    open.close().await;

    let open = Open::new(config).await;
    let (ledger, name) = (&open.ledger, room("sweep"));
    let ask = || async {
        ledger
            .by_buyer(&name, "u_li", 10)
            .await
            .expect("a store that works")
    };
    until("what is left", ask, |found| found.len() == 3).await;
    for (key, _, _) in orders {
        let found = ledger
            .order(&id("sweep", key))
            .await
            .expect("a store that works");
        let old = key == "key-sold" || key == "key-sent";
        assert_eq!(found.is_none(), old, "{key}");
    }
    open.close().await;
}

/// Asks until the answer is as it should be.
pub(super) async fn until<T, F, A>(what: &str, ask: F, holds: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
    F: Fn() -> A,
    A: Future<Output = T>,
{
    let deadline = clock::now() + Duration::from_secs(WAIT_SECONDS);
    loop {
        let found = ask().await;
        if holds(&found) {
            return found;
        }
        assert!(clock::now() < deadline, "{what}: {found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn keys(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.order.id.key).collect()
}

async fn order_is_found_as_it_was_stored(ledger: &Ledger) {
    assert_eq!(ledger.order(&id("found", "key-0001")).await, Ok(None));
    let mut order = order("found", "key-0001", 1000);
    order.attributes.insert("size".into(), "尺码 42".into());
    let revision = put(ledger, &order, 0).await;
    let found = ledger.order(&order.id).await.expect("a store that works");
    assert_eq!(found, Some(Entry { order, revision }));
}

async fn of_many_writers_of_one_key_one_wins(ledger: &Ledger) {
    let writers = (0..32).map(|number| async move {
        let mut order = order("race", "key-0001", 1000);
        order.quantity = number;
        (
            number,
            ledger.put(&order, 0).await.expect("a store that works"),
        )
    });
    let done = futures_util::future::join_all(writers).await;
    let winners: Vec<u32> = done
        .iter()
        .filter(|(_, put)| matches!(put, Put::Done(_)))
        .map(|(number, _)| *number)
        .collect();
    let stands = ledger.order(&id("race", "key-0001")).await;
    let stands = stands.expect("a store that works").expect("one was stored");
    assert_eq!(winners, [stands.order.quantity]);
    for (_, put) in done {
        if let Put::Changed(found) = put {
            assert_eq!(found.as_deref(), Some(&stands));
        }
    }
}

async fn change_needs_the_version_it_is_made_from(ledger: &Ledger) {
    let first = order("change", "key-0001", 1000);
    let one = put(ledger, &first, 0).await;
    let taken = decided(&first, State::Forwarded, 2000);
    let two = put(ledger, &taken, one).await;
    assert!(two > one);
    let late = ledger
        .put(&decided(&first, State::Unknown, 3000), one)
        .await;
    let stands = Entry {
        order: taken,
        revision: two,
    };
    assert_eq!(late, Ok(Put::Changed(Some(Box::new(stands)))));
}

async fn due_orders_come_longest_due_first(ledger: &Ledger) {
    for (key, due) in [("key-late", 30), ("key-soon", 10), ("key-then", 20)] {
        put(ledger, &order("due", key, due), 0).await;
    }
    let sold = order("due", "key-sold", 5);
    let revision = put(ledger, &sold, 0).await;
    put(ledger, &decided(&sold, State::Confirmed, 6), revision).await;
    let due = |max| async move {
        let due = ledger.due(20, max).await.expect("a store that works");
        due.into_iter()
            .map(|entry| entry.order.id.key)
            .collect::<Vec<Arc<str>>>()
    };
    until(
        "the due orders",
        || due(10),
        |due| due.iter().map(|key| &**key).eq(["key-soon", "key-then"]),
    )
    .await;
    assert_eq!(due(1).await, ["key-soon".into()]);
}

async fn orders_of_a_buyer_come_newest_first(ledger: &Ledger) {
    for (key, at) in [("key-0001", 1), ("key-0003", 3), ("key-0002", 2)] {
        put(ledger, &order("buyer", key, at), 0).await;
    }
    let mut other = order("buyer", "key-0004", 4);
    other.buyer = "u_lin".into();
    put(ledger, &other, 0).await;
    let room = room("buyer");
    let ask = || async {
        ledger
            .by_buyer(&room, "u_li", 2)
            .await
            .expect("a store that works")
    };
    until("a buyer's orders", ask, |found| {
        keys(found) == ["key-0003", "key-0002"]
    })
    .await;
}

async fn lists_are_by_room_and_state(ledger: &Ledger) {
    for (number, state) in (1..).zip(State::STORED) {
        let order = order("list", &format!("key-000{number}"), 1);
        put(ledger, &decided(&order, state, number), 0).await;
    }
    let filter = |state, max| Filter {
        room: Some(room("list")),
        state,
        max,
    };
    let list = |filter| async move { ledger.list(&filter).await.expect("a store that works") };
    until(
        "the newest",
        || list(filter(None, 3)),
        |found| keys(found) == ["key-0005", "key-0004", "key-0003"],
    )
    .await;
    let dead = list(filter(Some(State::Unknown), 3)).await;
    assert_eq!(keys(&dead), ["key-0005"]);
    let nothing = Filter {
        room: Some(room("list-2")),
        ..filter(None, 3)
    };
    assert_eq!(list(nothing).await, []);
}

async fn depth_counts_what_waits(ledger: &Ledger) {
    let before = until(
        "a depth",
        || async { ledger.depth() },
        |depth| depth.unknown == 1 && depth.forwarded == 2,
    )
    .await;
    let order = order("depth", "key-0001", 1);
    let revision = put(ledger, &order, 0).await;
    until(
        "one more",
        || async { ledger.depth() },
        |depth| depth.accepted == before.accepted + 1 && depth.oldest == Some(1),
    )
    .await;
    put(ledger, &decided(&order, State::Rejected, 2), revision).await;
    until(
        "one less",
        || async { ledger.depth() },
        |depth| depth.accepted == before.accepted,
    )
    .await;
}

async fn rooms_are_loaded_as_saved(ledger: &Ledger) {
    let states = [("room-1", "old"), ("room-2", "two"), ("room-1", "one")];
    for (name, state) in states {
        let saved = ledger.save_room(&room(name), Bytes::from(state)).await;
        saved.expect("a store that works");
    }
    let mut rooms = ledger.load_rooms().await.expect("a store that works");
    rooms.sort();
    let expected = [
        (room("room-1"), "one".into()),
        (room("room-2"), "two".into()),
    ];
    assert_eq!(rooms, expected);
}

async fn audit_trail_is_read_backwards(ledger: &Ledger) {
    let name = room("audit");
    for batch in [
        vec![decision(1), decision(2)],
        vec![decision(2), decision(3)],
    ] {
        ledger
            .append_audit(&name, batch)
            .await
            .expect("a store that works");
    }
    let other = ledger
        .append_audit(&room("audit-2"), vec![decision(9)])
        .await;
    other.expect("a store that works");
    let times = |before, max| {
        let name = &name;
        async move {
            let trail = ledger.audit(name, before, max).await;
            let trail = trail.expect("a store that works");
            trail.iter().map(|record| record.at).collect::<Vec<_>>()
        }
    };
    assert_eq!(times(None, 10).await, [3, 2, 2, 1]);
    assert_eq!(times(Some(3), 2).await, [2, 2]);
    assert_eq!(times(Some(1), 2).await, Vec::<i64>::new());
}
