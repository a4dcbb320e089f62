//! Who may place an order just now: bounds of orders, which nothing else uses up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::ledger::order::Id;
use crate::runtime::clock::{self, Instant};

/// The time that a buyer's orders are counted over.
const WINDOW: Duration = Duration::from_secs(1);

/// Orders that are being stored, and what buyers sent in this second.
#[derive(Debug)]
pub(super) struct Admission {
    in_flight_max: usize,
    buyer_per_second: u32,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    in_flight: HashSet<Id>,
    /// Emptied each second, and bounded by what is answered in one.
    buyers: HashMap<Arc<str>, u32>,
    since: Instant,
}

/// Why an order is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The same key is being stored.
    SameKey,
    /// Too many orders of this buyer.
    Buyer,
    /// Too many orders.
    Full,
}

/// An order's place among those that are being stored; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    id: Id,
}

impl Admission {
    pub(super) fn new(in_flight_max: usize, buyer_per_second: u32) -> Arc<Self> {
        Arc::new(Self {
            in_flight_max,
            buyer_per_second,
            inner: Mutex::new(Inner {
                in_flight: HashSet::new(),
                buyers: HashMap::new(),
                since: clock::now(),
            }),
        })
    }

    /// A place for the order `id`.
    pub(super) fn admit(self: &Arc<Self>, id: &Id, buyer: &Arc<str>) -> Result<Place, Refused> {
        let mut inner = self.inner.lock();
        if inner.since.elapsed() >= WINDOW {
            inner.since = clock::now();
            inner.buyers.clear();
        }
        if inner.in_flight.contains(id) {
            return Err(Refused::SameKey);
        }
        if inner.in_flight.len() >= self.in_flight_max {
            return Err(Refused::Full);
        }
        let sent = inner.buyers.entry(buyer.clone()).or_default();
        if *sent >= self.buyer_per_second {
            return Err(Refused::Buyer);
        }
        *sent += 1;
        inner.in_flight.insert(id.clone());
        Ok(Place {
            admission: self.clone(),
            id: id.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.inner.lock().in_flight.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::RoomName;

    fn id(key: &str) -> Id {
        Id {
            room: RoomName::parse("sale").expect("a name"),
            key: key.into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn key_is_stored_once_at_a_time() {
        let admission = Admission::new(10, 10);
        let place = admission.admit(&id("a"), &"u_li".into()).expect("a place");
        let second = admission
            .admit(&id("a"), &"u_li".into())
            .expect_err("taken");
        assert_eq!(second, Refused::SameKey);
        drop(place);
        admission.admit(&id("a"), &"u_li".into()).expect("a place");
    }

    #[tokio::test(start_paused = true)]
    async fn orders_are_bounded_each_second_and_at_once() {
        let admission = Admission::new(3, 2);
        let keys = ["a", "b", "c", "d"];
        let admit = |key: usize, buyer: &str| admission.admit(&id(keys[key]), &buyer.into());
        let _places = [
            admit(0, "u_li").expect("first"),
            admit(1, "u_li").expect("second"),
        ];
        assert_eq!(admit(2, "u_li").expect_err("a third"), Refused::Buyer);
        let _place = admit(2, "u_lin").expect("another buyer");
        assert_eq!(admit(3, "u_wu").expect_err("a fourth"), Refused::Full);
        drop(_place);
        tokio::time::advance(WINDOW).await;
        admit(2, "u_li").expect("in the next second");
    }
}
