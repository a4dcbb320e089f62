//! How often one address may come, and whether a balancer says which it is.

use serde::{Deserialize, Serialize};

/// What one peer address (an IPv6 /64) may do on one worker, in the long run; in one go four
/// seconds' worth. 0: as often as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// New connections a second; further ones are closed at once. 4,000: a carrier's NAT comes back
    /// within its burst when another edge has gone.
    pub connections_per_second: u32,
    /// TLS and QUIC handshakes a second; further ones are closed or refused. 500: a fifth of what a
    /// core can do.
    pub handshakes_per_second: u32,
    /// Requests a second; further ones get 429. 20,000: 4,000 players behind one address.
    pub requests_per_second: u32,
}

/// Whether a balancer in front names the client before the first byte of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// Connections come from clients.
    #[default]
    Off,
    /// Each connection begins with a header; those without one are closed.
    Require,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_second: 4000,
            handshakes_per_second: 500,
            requests_per_second: 20_000,
        }
    }
}
