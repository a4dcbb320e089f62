//! How many connections there may be, in all and per address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The slots of one listener group. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all_max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's slot; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    address: IpAddr,
}

impl Slots {
    pub(super) fn new(all_max: usize, per_address_max: usize) -> Self {
        Self(Arc::new(Shared {
            all_max,
            per_address_max,
            taken: Mutex::default(),
        }))
    }

    /// A slot for a peer; `None` when its address or the whole listener has no more.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Slot> {
        let address = network(peer);
        let mut taken = self.0.taken.lock();
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= self.0.all_max || of_address >= self.0.per_address_max {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, of_address + 1);
        drop(taken);
        Some(Slot {
            slots: self.clone(),
            address,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.taken.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: a host gets a whole /64 in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_and_come_back() {
        let slots = Slots::new(3, 2);
        let address = |text: &str| text.parse().unwrap();
        let first = slots.take(address("2001:db8::1")).unwrap();
        let _second = slots.take(address("2001:db8::2")).unwrap();
        assert!(slots.take(address("2001:db8::3")).is_none(), "same /64");
        let _third = slots.take(address("192.0.2.1")).unwrap();
        assert!(slots.take(address("192.0.2.2")).is_none(), "all taken");
        drop(first);
        let _fourth = slots.take(address("::ffff:192.0.2.1")).unwrap();
        assert_eq!(slots.0.taken.lock().by_address.len(), 2);
    }
}
