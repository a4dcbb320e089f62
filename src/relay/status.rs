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
    /// What the link does; `None` of children.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
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
    /// Shows that are published here, or below, are pushed there; or a child pushes its own here.
    Push,
    /// An origin beside this one: it follows what is published here, or this node what is there.
    Peer,
}

/// What a link to a parent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Tracks travel over it.
    Active,
    /// It is kept, so that tracks can travel at once.
    Warm,
    /// The parent has said goodbye, or is silent: tracks move elsewhere.
    Leaving,
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
            standing: None,
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
