//! How rooms are run: one section for both halves, so that a fleet's file is the same everywhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds and rhythms of rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Comments leave the origin together, this many milliseconds apart; 0: each at once. 200: what
    /// nobody notices in a chat and saves most of the writes.
    pub batch_ms: u32,
    /// The most comments that a member is shown in a second; the best by score. 30: beyond it
    /// nobody reads (R5.7).
    pub visible_per_second: u32,
    /// Totals (likes, presence) are told this often at most, in milliseconds.
    pub like_tick_ms: u32,
    /// How long a room stays open after its show, in seconds: orders still get answers then.
    pub linger_seconds: u32,
    /// The most rooms open on an origin; further ones are refused.
    pub rooms_max: usize,
    /// The most members (connections of any door) on one worker; further ones get 503. 30,000: half
    /// again what a core is meant to serve.
    pub members_max: usize,
    /// The most bytes that wait for one slow member. 65,536: about ten seconds of a busy room
    /// (R5.8).
    pub send_queue_bytes: usize,
    /// How often a silent member is asked for a sign of life, in seconds.
    pub heartbeat_seconds: u32,
    /// A member without a sign of life for this long is gone, in seconds.
    pub offline_seconds: u32,
    /// What one member, user or address may send.
    pub limits: Limits,
}

/// Bounds on what members send; beyond them is 429.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Commands of one connection in a second, all kinds together, on average. 10: a person who
    /// taps, writes and buys at once sends three.
    pub commands_per_second: u32,
    /// Commands of one connection in one go.
    pub commands_burst: u32,
    /// Commands of one user over all his connections in a second; in one go four times as many.
    pub user_commands_per_second: u32,
    /// Commands of one address in a second; in one go four times as many. 1,000: a carrier's NAT
    /// fits.
    pub address_commands_per_second: u32,
    /// Commands refused for their rate in a row until the connection is closed (4429).
    pub refusals_max: u32,
    /// Connections of one user on one node; further ones get 429. 8: a few windows and devices.
    pub user_connections_max: u32,
    /// Connections of one address (an IPv6 /64) on one node; further ones get 429. 32,768: a
    /// carrier's NAT or a proxy in front fits.
    pub address_connections_max: u32,
    /// Comments that wait for their answer on one node; further ones get 503.
    pub comments_in_flight_max: usize,
    /// Orders that wait for their answer on one node; further ones get 503.
    pub orders_in_flight_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_ms: 200,
            visible_per_second: 30,
            like_tick_ms: 200,
            linger_seconds: 600,
            rooms_max: 10_000,
            members_max: 30_000,
            send_queue_bytes: 64 << 10,
            heartbeat_seconds: 30,
            offline_seconds: 90,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commands_per_second: 10,
            commands_burst: 30,
            user_commands_per_second: 20,
            address_commands_per_second: 1000,
            refusals_max: 30,
            user_connections_max: 8,
            address_connections_max: 32_768,
            comments_in_flight_max: 1024,
            orders_in_flight_max: 4096,
        }
    }
}

impl Config {
    /// [`Self::batch_ms`] as a time.
    #[must_use]
    pub fn batch(&self) -> Duration {
        Duration::from_millis(self.batch_ms.into())
    }

    /// [`Self::heartbeat_seconds`] as a time.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds.into())
    }

    /// [`Self::offline_seconds`] as a time.
    #[must_use]
    pub fn offline(&self) -> Duration {
        Duration::from_secs(self.offline_seconds.into())
    }
}
