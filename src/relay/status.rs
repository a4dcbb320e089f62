//! What the admin API shows of the links.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::relay::wire::control::Estimate;

/// One link of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Which way the frames go.
    pub role: Role,
    /// The other node's name.
    pub peer: Arc<str>,
    /// Its address.
    pub address: SocketAddr,
    /// Round trip time as the connection smooths it, in microseconds.
    pub rtt_us: u64,
    /// Child's clock minus parent's clock, in microseconds; `None` before the first ping returns.
    pub offset_us: Option<i64>,
    /// How far the offset may be wrong, in microseconds.
    pub offset_error_us: Option<u64>,
    /// Packets that this end sent and lost.
    pub lost_packets: u64,
    /// Tracks that travel now.
    pub subscriptions: usize,
    /// Bytes sent in UDP payloads.
    pub sent_bytes: u64,
    /// Bytes received in UDP payloads.
    pub received_bytes: u64,
}

/// What the peer is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Frames come from there.
    Parent,
    /// Frames go there.
    Child,
}

impl Status {
    pub(super) fn of(
        role: Role,
        peer: Arc<str>,
        connection: &quinn::Connection,
        estimate: Option<Estimate>,
        subscriptions: usize,
    ) -> Self {
        let stats = connection.stats();
        Self {
            role,
            peer,
            address: connection.remote_address(),
            rtt_us: u64::try_from(stats.path.rtt.as_micros()).unwrap_or(u64::MAX),
            offset_us: estimate.map(|estimate| estimate.offset_us),
            offset_error_us: estimate.map(|estimate| estimate.error_us),
            lost_packets: stats.path.lost_packets,
            subscriptions,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
        }
    }
}
