//! Handshakes with children: how many at once, and who has to prove the address first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::relay::serve::{Shared, child};
use crate::runtime::TaskScope;

/// Handshakes under way before strangers have to show that they own their address.
const UNPROVEN_MAX: usize = 32;

/// Handshakes under way in all.
const ALL_MAX: usize = 256;

/// Handshakes under way from one address: a fleet behind one NAT that comes back at once, but no
/// flood.
const OF_ADDRESS_MAX: usize = 64;

/// Handshakes under way, by address.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What becomes of a dial.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Admit,
    /// It has to come again with a proof of its address.
    Prove,
    Refuse,
}

impl Handshakes {
    fn judge(&self, address: IpAddr, is_proven: bool) -> Verdict {
        let counts = self.0.lock();
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        // An address that is not proven may be a stranger's: it is not held against its owner.
        match counts.all {
            UNPROVEN_MAX.. if !is_proven => Verdict::Prove,
            ALL_MAX.. => Verdict::Refuse,
            _ if of_address >= OF_ADDRESS_MAX => Verdict::Refuse,
            _ => Verdict::Admit,
        }
    }

    fn begin(&self, address: IpAddr) {
        let mut counts = self.0.lock();
        counts.all += 1;
        *counts.by_address.entry(address).or_default() += 1;
    }

    fn end(&self, address: IpAddr) {
        let mut counts = self.0.lock();
        counts.all -= 1;
        if let Some(of_address) = counts.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

impl Shared {
    /// Lets a dial in, sends it back for a proof of its address, or refuses it.
    pub(super) fn admit(self: &Arc<Self>, incoming: quinn::Incoming, scope: &TaskScope) {
        let address = incoming.remote_address().ip();
        let is_proven = incoming.remote_address_validated() || !incoming.may_retry();
        let full = self.source.children.lock().len() >= self.config.children_max;
        let leaving = self.source.drain.borrow().is_some();
        let verdict = match full || leaving {
            true => Verdict::Refuse,
            false => self.handshakes.judge(address, is_proven),
        };
        match verdict {
            Verdict::Admit => {
                let handshake = Handshake::begin(self.clone(), address);
                let grandchildren = scope.clone();
                scope.spawn("relay.serve.child", async move {
                    child::serve(handshake, incoming, &grandchildren).await;
                });
            }
            Verdict::Prove => {
                self.source.metrics.retries.inc();
                let _answered = incoming.retry().is_ok();
            }
            Verdict::Refuse => {
                self.source.metrics.refused.inc();
                incoming.refuse();
            }
        }
    }
}

/// A handshake under way; counted while it lives.
pub(super) struct Handshake(pub(super) Arc<Shared>, IpAddr);

impl Handshake {
    fn begin(shared: Arc<Shared>, address: IpAddr) -> Self {
        shared.handshakes.begin(address);
        Self(shared, address)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.end(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const CHILD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn flood_has_to_prove_its_address_and_then_takes_only_its_own_places() {
        let handshakes = Handshakes::default();
        for _ in 0..UNPROVEN_MAX {
            assert_eq!(handshakes.judge(FLOOD, false), Verdict::Admit);
            handshakes.begin(FLOOD);
        }
        assert_eq!(handshakes.judge(FLOOD, false), Verdict::Prove);
        assert_eq!(handshakes.judge(CHILD, false), Verdict::Prove);
        for _ in UNPROVEN_MAX..OF_ADDRESS_MAX {
            assert_eq!(handshakes.judge(FLOOD, true), Verdict::Admit);
            handshakes.begin(FLOOD);
        }
        assert_eq!(handshakes.judge(FLOOD, true), Verdict::Refuse);
        assert_eq!(handshakes.judge(CHILD, true), Verdict::Admit);
        for _ in 0..OF_ADDRESS_MAX {
            handshakes.end(FLOOD);
        }
        assert_eq!(handshakes.judge(FLOOD, false), Verdict::Admit);
        assert!(handshakes.0.lock().by_address.is_empty());
    }
}
