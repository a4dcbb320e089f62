//! Which connections a worker takes: a bound in all and a bound for each peer address.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use tokio::sync::Notify;

/// Counts the open connections of one worker.
pub(super) struct Admission {
    connections_max: usize,
    connections_per_address_max: usize,
    open: Cell<usize>,
    /// Never more entries than open connections.
    by_address: RefCell<HashMap<IpAddr, usize>>,
    emptied: Notify,
}

/// A connection's place; dropping it frees the place.
pub(super) struct Admitted {
    admission: Rc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(super) fn new(connections_max: usize, connections_per_address_max: usize) -> Rc<Self> {
        Rc::new(Self {
            connections_max,
            connections_per_address_max,
            open: Cell::new(0),
            by_address: RefCell::default(),
            emptied: Notify::new(),
        })
    }

    /// A place for a connection from `peer`; `None` at a bound.
    pub(super) fn admit(self: &Rc<Self>, peer: IpAddr) -> Option<Admitted> {
        if self.open.get() >= self.connections_max {
            return None;
        }
        let address = network(peer);
        let mut by_address = self.by_address.borrow_mut();
        match by_address.entry(address) {
            Entry::Occupied(full) if *full.get() >= self.connections_per_address_max => {
                return None;
            }
            entry => *entry.or_default() += 1,
        }
        self.open.set(self.open.get() + 1);
        Some(Admitted {
            admission: self.clone(),
            address,
        })
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

impl Drop for Admitted {
    fn drop(&mut self) {
        let admission = &self.admission;
        admission.open.set(admission.open.get() - 1);
        if admission.open.get() == 0 {
            admission.emptied.notify_waiters();
        }
        if let Entry::Occupied(mut count) = admission.by_address.borrow_mut().entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What counts as one peer: an IPv4 address, or the /64 that one IPv6 customer gets.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let admission = Admission::new(3, 2);
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let first = admit("2001:db8::1").unwrap();
        let _second = admit("2001:db8::2").unwrap();
        assert!(admit("2001:db8::3").is_none());
        let _third = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.2").is_none());
        drop(first);
        assert!(admit("2001:db8::4").is_some());
        assert_eq!(admission.open(), 2);
        assert_eq!(admission.by_address.borrow().len(), 2);
    }
}
