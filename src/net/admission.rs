//! Which connections a worker takes: a bound in all, and for each peer address a bound and a rate.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::net::buckets::Buckets;
use crate::net::http::Config;
use crate::net::subnet::customer;
use crate::runtime::clock::Instant;

/// Counts the open connections of one worker.
pub(super) struct Admission {
    connections_max: usize,
    connections_per_address_max: usize,
    open: Cell<usize>,
    /// Never more entries than open connections.
    by_address: RefCell<HashMap<IpAddr, usize>>,
    connections: Buckets,
    handshakes: Buckets,
    emptied: Notify,
}

/// A connection's place; dropping it frees the place.
pub(super) struct Admitted {
    admission: Rc<Admission>,
    address: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(config: &Config, now: Instant) -> Rc<Self> {
        Rc::new(Self {
            connections_max: config.connections_max,
            connections_per_address_max: config.connections_per_address_max,
            open: Cell::new(0),
            by_address: RefCell::default(),
            connections: Buckets::new(config.limits.connections_per_second, now),
            handshakes: Buckets::new(config.limits.handshakes_per_second, now),
            emptied: Notify::new(),
        })
    }

    /// A place for a connection of nobody known yet; `None` when all are taken.
    pub(super) fn admit(self: &Rc<Self>) -> Option<Admitted> {
        if self.open.get() >= self.connections_max {
            return None;
        }
        self.open.set(self.open.get() + 1);
        Some(Admitted {
            admission: self.clone(),
            address: None,
        })
    }

    /// Leave for a handshake with `peer`.
    pub(super) fn may_shake_hands(&self, peer: IpAddr, now: Instant) -> bool {
        self.handshakes.take(peer, now)
    }

    /// Open connections.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// Waits until no connection is open.
    pub(super) async fn emptied(&self) {
        while self.open.get() > 0 {
            self.emptied.notified().await;
        }
    }
}

impl Admitted {
    /// The same place, for `peer`; `None` at a bound of its address.
    pub(super) fn of(mut self, peer: IpAddr, now: Instant) -> Option<Self> {
        let admission = self.admission.clone();
        if !admission.connections.take(peer, now) {
            return None;
        }
        let address = customer(peer);
        match admission.by_address.borrow_mut().entry(address) {
            Entry::Occupied(full) if *full.get() >= admission.connections_per_address_max => {
                return None;
            }
            entry => *entry.or_default() += 1,
        }
        self.address = Some(address);
        Some(self)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let admission = &self.admission;
        admission.open.set(admission.open.get() - 1);
        if admission.open.get() == 0 {
            admission.emptied.notify_waiters();
        }
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut count) = admission.by_address.borrow_mut().entry(address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::Limits;
    use crate::runtime::clock;

    fn admission(limits: Limits) -> Rc<Admission> {
        let config = Config {
            connections_max: 3,
            connections_per_address_max: 2,
            limits,
            ..Config::default()
        };
        Admission::new(&config, clock::now())
    }

    fn admit(admission: &Rc<Admission>, address: &str) -> Option<Admitted> {
        admission
            .admit()?
            .of(address.parse().unwrap(), clock::now())
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let admission = admission(Limits::default());
        let first = admit(&admission, "2001:db8::1").unwrap();
        let _second = admit(&admission, "2001:db8::2").unwrap();
        assert!(admit(&admission, "2001:db8::3").is_none());
        let _third = admit(&admission, "::ffff:192.0.2.1").unwrap();
        assert!(admit(&admission, "192.0.2.2").is_none());
        drop(first);
        assert!(admit(&admission, "2001:db8::4").is_some());
        assert_eq!(admission.open(), 2);
        assert_eq!(admission.by_address.borrow().len(), 2);
    }

    #[test]
    fn one_address_cannot_knock_for_ever() {
        let admission = admission(Limits {
            connections_per_second: 1,
            ..Limits::default()
        });
        let knocks = (0..10).filter(|_| admit(&admission, "192.0.2.1").is_some());
        assert_eq!(knocks.count(), 4);
        assert!(admit(&admission, "192.0.2.2").is_some());
        assert_eq!(admission.open(), 0);
    }
}
