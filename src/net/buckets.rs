//! How often each peer address may do something.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;

use crate::net::subnet::customer;
use crate::runtime::Sweep;
use crate::runtime::clock::Instant;

/// In one go, an address may take so many seconds' worth.
const BURST_SECONDS: f32 = 4.0;

/// Addresses that a worker remembers: 3 MB. Further ones share what one address has, until there is
/// room again; so a flood from everywhere cannot push out those who are known.
const ADDRESSES_MAX: usize = 65_536;

/// One bucket for each peer address (an IPv6 /64) of a worker.
pub(super) struct Buckets {
    per_second: f32,
    by_address: RefCell<HashMap<IpAddr, Bucket>>,
    others: Cell<Bucket>,
    sweep: RefCell<Sweep>,
    swept: Cell<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f32,
    at: Instant,
}

impl Buckets {
    /// Buckets that fill by `per_second`; 0: without a bound.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = per_second as f32;
        Self {
            per_second,
            by_address: RefCell::default(),
            others: Cell::new(Bucket::full(per_second, now)),
            sweep: RefCell::default(),
            swept: Cell::new(now),
        }
    }

    /// True when there is a bound at all, so that it is worth reading the clock.
    pub(super) fn are_bounded(&self) -> bool {
        self.per_second > 0.0
    }

    /// Takes a token of `peer`; false when there is none.
    pub(super) fn take(&self, peer: IpAddr, now: Instant) -> bool {
        if !self.are_bounded() {
            return true;
        }
        let address = customer(peer);
        let mut by_address = self.by_address.borrow_mut();
        if let Some(bucket) = by_address.get_mut(&address) {
            return bucket.take(self.per_second, now);
        }
        let mut sweep = self.sweep.borrow_mut();
        let is_due = by_address.len() >= ADDRESSES_MAX || sweep.is_due(by_address.len());
        if is_due && now.duration_since(self.swept.get()).as_secs() > 0 {
            self.swept.set(now);
            by_address.retain(|_, bucket| !bucket.is_full(self.per_second, now));
            sweep.swept(by_address.len());
        }
        if by_address.len() < ADDRESSES_MAX {
            let bucket = by_address.entry(address);
            let bucket = bucket.or_insert_with(|| Bucket::full(self.per_second, now));
            return bucket.take(self.per_second, now);
        }
        let mut others = self.others.get();
        let is_there = others.take(self.per_second, now);
        self.others.set(others);
        is_there
    }
}

impl Bucket {
    fn full(per_second: f32, now: Instant) -> Self {
        let tokens = per_second * BURST_SECONDS;
        Self { tokens, at: now }
    }

    fn is_full(&self, per_second: f32, now: Instant) -> bool {
        self.filled(per_second, now) >= per_second * BURST_SECONDS
    }

    fn filled(&self, per_second: f32, now: Instant) -> f32 {
        let seconds = now.duration_since(self.at).as_secs_f32();
        (self.tokens + seconds * per_second).min(per_second * BURST_SECONDS)
    }

    fn take(&mut self, per_second: f32, now: Instant) -> bool {
        let tokens = self.filled(per_second, now);
        let is_there = tokens >= 1.0;
        self.tokens = if is_there { tokens - 1.0 } else { tokens };
        self.at = now;
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::runtime::clock;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn an_address_has_its_burst_and_then_its_rate() {
        let now = clock::now();
        let buckets = Buckets::new(2, now);
        let taken = |at| (0..20).filter(|_| buckets.take(address(1), at)).count();
        assert_eq!(taken(now), 8);
        assert_eq!(taken(now + Duration::from_secs(1)), 2);
        assert_eq!(taken(now + Duration::from_secs(60)), 8);
        assert!(buckets.take(address(2), now));
    }

    #[test]
    fn a_flood_of_addresses_shares_one_bucket_and_pushes_nobody_out() {
        let now = clock::now();
        let buckets = Buckets::new(1, now);
        for number in 0..ADDRESSES_MAX as u32 {
            assert!(buckets.take(address(number), now));
        }
        let far = ADDRESSES_MAX as u32;
        let strangers = (far..far + 100).filter(|number| buckets.take(address(*number), now));
        assert_eq!(strangers.count(), 4);
        assert!(buckets.take(address(7), now));
        let later = now + Duration::from_secs(10);
        assert!(buckets.take(address(far + 200), later));
        assert_eq!(buckets.by_address.borrow().len(), 1);
    }

    #[test]
    fn no_rate_is_no_bound() {
        let now = clock::now();
        let buckets = Buckets::new(0, now);
        assert!((0..1000).all(|number| buckets.take(address(number), now)));
        assert!(buckets.by_address.borrow().is_empty());
    }
}
