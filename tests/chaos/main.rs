//! Orders under fire: real processes are killed while buyers order, and then three books are laid
//! side by side: the ledger's, the merchant's and the buyers'.
//!
//! `make test` runs the short form, `make chaos-orders` the whole one; `CHAOS_ORDERS` and
//! `CHAOS_BUYERS` set the size.

mod books;
mod buyers;
mod fleet;
mod merchant;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use books::Books;
use buyers::{Buyers, Progress};
use fleet::Fleet;
use merchant::Merchant;
use rushlane::runtime::clock;

/// How long all may take, in seconds, beyond one for each hundred orders.
const SECONDS_MAX: u64 = 240;

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
struct Size {
    orders: usize,
    buyers: usize,
    /// Kills of an edge, and of the origin, spread over the orders.
    edge_kills: usize,
    origin_kills: usize,
}

impl Size {
    fn asked_for() -> Self {
        let number = |name, default| {
            let text = std::env::var(name).unwrap_or_default();
            text.parse().unwrap_or(default)
        };
        let orders = number("CHAOS_ORDERS", 2_000);
        let whole = orders >= 50_000;
        Self {
            orders,
            buyers: number("CHAOS_BUYERS", 100).clamp(1, orders),
            edge_kills: if whole { 30 } else { 3 },
            origin_kills: if whole { 3 } else { 1 },
        }
    }

    /// After how many acknowledged orders something is killed; true for the origin.
    fn kills(&self) -> Vec<(usize, bool)> {
        let spread = |kills: usize, origin| {
            (1..=kills).map(move |kill| (self.orders * kill / (kills + 1), origin))
        };
        let mut kills: Vec<_> = spread(self.edge_kills, false).collect();
        // A little later, so that the two never fall together.
        kills.extend(spread(self.origin_kills, true).map(|(at, origin)| (at + 7, origin)));
        kills.sort_unstable();
        kills
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_is_lost_or_doubled_when_nodes_are_killed() {
    let size = Size::asked_for();
    let longest = Duration::from_secs(SECONDS_MAX + size.orders as u64 / 100);
    tokio::time::timeout(longest, run(size))
        .await
        .expect("an end in time");
}

async fn run(size: Size) {
    let started = clock::now();
    let merchant = Merchant::open().await;
    let mut fleet = Fleet::start(&merchant.url).await;
    let progress = Arc::new(Progress::default());
    let buyers = Buyers::new(fleet.edges(), size.buyers, size.orders, progress.clone());
    let killing = async {
        for (at, origin) in size.kills() {
            while progress.acknowledged.load(Ordering::Relaxed) < at {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if origin {
                fleet.kill_origin().await;
            } else {
                fleet.kill_an_edge().await;
            }
        }
    };
    let (bought, ()) = tokio::join!(buyers.buy(), killing);
    let told = progress.told.load(Ordering::Relaxed);
    let retries = progress.retries.load(Ordering::Relaxed);
    let ledger = fleet.stop_and_read(bought.keys()).await;

    let books = Books::compare(&ledger, &merchant.book(), &bought);
    let kills = (size.edge_kills, size.origin_kills);
    let seconds = started.elapsed().as_secs_f64();
    books.print(&format!(
        "{} orders of {} buyers, {} edges and {} origins killed, {retries} retries, \
         {told} told by event, {seconds:.1} s",
        size.orders, size.buyers, kills.0, kills.1
    ));
    assert_eq!(bought.len(), size.orders, "all orders were placed");
    books.check();
}

/// What a book says of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Who wants how many: tells another order under the same key.
    pub(crate) wish: String,
    /// `confirmed`, `rejected` or what else is known.
    pub(crate) state: String,
}

/// A book: lines by key.
pub(crate) type Book = HashMap<String, Line>;
