//! How much one connection, user or address may take of the node.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::protocol::interact::question::Refusal;
use crate::rooms::Settings;
use crate::rooms::doors::origin::refusal;
use crate::runtime::Sweep;
use crate::runtime::clock::Instant;

/// In one go, a user or an address may send so many seconds' worth.
const BURST_SECONDS: u32 = 4;

/// What has been sent lately.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    tokens: f32,
    at: Instant,
}

/// The tallies of a node. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    users: Mutex<Tallies<Arc<str>>>,
    addresses: Mutex<Tallies<IpAddr>>,
}

/// A connection's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    user: Arc<str>,
    address: IpAddr,
}

/// Users or addresses. Those without a connection are forgotten when their bucket is full again, so
/// that there are at most twice as many as are there, or just were.
#[derive(Debug)]
struct Tallies<K> {
    all: HashMap<K, Tally>,
    sweep: Sweep,
}

#[derive(Debug)]
struct Tally {
    connections: u32,
    bucket: Bucket,
}

impl Bucket {
    pub(super) fn new(burst: u32, now: Instant) -> Self {
        let tokens = burst as f32;
        Self { tokens, at: now }
    }

    /// Takes one token of `per_second`, at most `burst` of which are kept.
    pub(super) fn take(&mut self, per_second: u32, burst: u32, now: Instant) -> bool {
        let seconds = now.duration_since(self.at).as_secs_f32();
        self.at = now;
        self.tokens = (self.tokens + seconds * per_second as f32).min(burst as f32);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

impl Tally {
    fn is_in_use(&self, now: Instant) -> bool {
        let rested = now.saturating_duration_since(self.bucket.at);
        self.connections > 0 || rested < Duration::from_secs(BURST_SECONDS.into())
    }
}

impl<K> Default for Tallies<K> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            sweep: Sweep::default(),
        }
    }
}

impl<K: Eq + Hash> Tallies<K> {
    fn of(&mut self, key: K, burst: u32, now: Instant) -> &mut Tally {
        if self.sweep.is_due(self.all.len()) {
            self.all.retain(|_, tally| tally.is_in_use(now));
            self.sweep.swept(self.all.len());
        }
        self.all.entry(key).or_insert_with(|| Tally {
            connections: 0,
            bucket: Bucket::new(burst, now),
        })
    }

    fn leave(&mut self, key: &K) {
        if let Some(tally) = self.all.get_mut(key) {
            tally.connections -= 1;
        }
    }
}

impl Gate {
    pub(super) fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            settings,
            users: Mutex::default(),
            addresses: Mutex::default(),
        }))
    }

    /// A place for a connection of `user` from `address`.
    pub(super) fn enter(
        &self,
        user: &Arc<str>,
        address: IpAddr,
        now: Instant,
    ) -> Result<Place, Refusal> {
        let config = self.0.settings.config();
        let limits = &config.limits;
        let address = network(address);
        let mut users = self.0.users.lock();
        let mut addresses = self.0.addresses.lock();
        let burst = limits.user_commands_per_second * BURST_SECONDS;
        let of_user = users.of(user.clone(), burst, now);
        if of_user.connections >= limits.user_connections_max {
            return Err(too_many("connections of this user"));
        }
        let burst = limits.address_commands_per_second * BURST_SECONDS;
        let of_address = addresses.of(address, burst, now);
        if of_address.connections >= limits.address_connections_max {
            return Err(too_many("connections of this address"));
        }
        of_user.connections += 1;
        of_address.connections += 1;
        Ok(Place {
            gate: self.clone(),
            user: user.clone(),
            address,
        })
    }

    /// Leave for one command.
    pub(super) fn command(
        &self,
        user: &Arc<str>,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), Refusal> {
        let config = self.0.settings.config();
        let limits = &config.limits;
        let rate = limits.user_commands_per_second;
        let burst = rate * BURST_SECONDS;
        let mut users = self.0.users.lock();
        let of_user = users.of(user.clone(), burst, now);
        if !of_user.bucket.take(rate, burst, now) {
            return Err(too_many("commands of this user"));
        }
        drop(users);
        let rate = limits.address_commands_per_second;
        let burst = rate * BURST_SECONDS;
        let mut addresses = self.0.addresses.lock();
        let of_address = addresses.of(network(address), burst, now);
        if !of_address.bucket.take(rate, burst, now) {
            return Err(too_many("commands of this address"));
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.0.users.lock().leave(&self.user);
        self.gate.0.addresses.lock().leave(&self.address);
    }
}

/// 429: too many of `what`.
pub(super) fn too_many(what: &str) -> Refusal {
    refusal(429, "too_many", format!("too many {what}"), Some(1))
}

/// What counts as one address: IPv4, or the /64 that one IPv6 customer gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{Config, Limits};
    use crate::runtime::clock;
    use crate::shed;

    fn gate(limits: Limits) -> Gate {
        let config = Config {
            limits,
            ..Config::default()
        };
        Gate::new(Settings::new(&config, shed::Gauge::default()))
    }

    #[test]
    fn places_are_given_back() {
        let gate = gate(Limits {
            user_connections_max: 2,
            address_connections_max: 3,
            ..Limits::default()
        });
        let now = clock::now();
        let enter = |user: &str, address: &str| {
            gate.enter(&user.into(), address.parse().unwrap(), now)
                .map_err(|refusal| refusal.detail)
        };
        let first = enter("u", "2001:db8::1").unwrap();
        let _second = enter("u", "2001:db8::2").unwrap();
        let full = enter("u", "192.0.2.1").unwrap_err();
        assert_eq!(full, "too many connections of this user");
        let _third = enter("v", "2001:db8::3").unwrap();
        let full = enter("w", "2001:db8::4").unwrap_err();
        assert_eq!(full, "too many connections of this address");
        drop(first);
        assert!(enter("u", "2001:db8::4").is_ok());
    }

    #[test]
    fn commands_refill_with_time() {
        let gate = gate(Limits {
            user_commands_per_second: 2,
            ..Limits::default()
        });
        let start = clock::now();
        let at = |seconds| {
            let now = start + Duration::from_secs(seconds);
            let address = "192.0.2.1".parse().unwrap();
            gate.command(&"u".into(), address, now).is_ok()
        };
        assert!((0..8).all(|_| at(0)));
        assert!(!at(0));
        assert!(at(1) && at(1) && !at(1));
    }

    #[test]
    fn who_has_left_is_forgotten_when_his_bucket_is_full_again() {
        let gate = gate(Limits {
            address_connections_max: 10_000,
            ..Limits::default()
        });
        let start = clock::now();
        let here = IpAddr::from([192, 0, 2, 1]);
        let enter = |name: String, at| gate.enter(&name.as_str().into(), here, at).unwrap();
        let stays = enter("stays".to_owned(), start);
        for number in 0..5000 {
            drop(enter(format!("guest{number}"), start));
        }
        let later = start + Duration::from_secs(BURST_SECONDS.into());
        for number in 0..5000 {
            drop(enter(format!("other{number}"), later));
        }
        let users = gate.0.users.lock();
        assert!(users.all.len() < 8000, "{}", users.all.len());
        assert!(users.all.contains_key("stays"), "he is still there");
        drop(users);
        drop(stays);
    }
}
