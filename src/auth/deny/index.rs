//! Entries by what they name.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::auth::deny::{Entry, Suspect};

/// Looks up at most one list for the token, one for the user, and one for each length of a prefix
/// that some entry has.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_token: HashMap<String, Vec<Entry>>,
    by_sub: HashMap<String, Vec<Entry>>,
    by_network: HashMap<IpNet, Vec<Entry>>,
    prefixes: BTreeSet<u8>,
}

impl Index {
    pub(super) fn new<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut index = Self::default();
        for entry in entries.cloned() {
            if let Some(token) = &entry.token {
                index.by_token.entry(token.clone()).or_default().push(entry);
            } else if let Some(sub) = &entry.sub {
                index.by_sub.entry(sub.clone()).or_default().push(entry);
            } else if let Some(network) = entry.address {
                index.prefixes.insert(network.prefix_len());
                index.by_network.entry(network).or_default().push(entry);
            }
        }
        index
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_token.is_empty() && self.by_sub.is_empty() && self.by_network.is_empty()
    }

    pub(super) fn denies(&self, suspect: &Suspect<'_>, now_ms: i64) -> bool {
        let suspect = Suspect {
            address: suspect.address.to_canonical(),
            ..*suspect
        };
        let any = |found: Option<&Vec<Entry>>| {
            let mut entries = found.into_iter().flatten();
            entries.any(|entry| entry.holds(now_ms) && entry.names(&suspect))
        };
        any(self.by_token.get(suspect.token))
            || any(self.by_sub.get(suspect.sub))
            || self
                .networks(suspect.address)
                .any(|network| any(self.by_network.get(&network)))
    }

    /// The networks of `address` that entries may name.
    fn networks(&self, address: IpAddr) -> impl Iterator<Item = IpNet> {
        let networks = self.prefixes.iter();
        networks.filter_map(move |&bits| Some(IpNet::new(address, bits).ok()?.trunc()))
    }
}
