//! The relay: frames from one node's live store to another's, over QUIC (`rushlane/1`).
//!
//! The parent end is [`Server`], the child end [`Puller`]; a node that runs both over one store is
//! an edge that feeds further edges. Knows tracks, groups, frames and questions; deliberately knows
//! no codec, no playlist, no viewer, nor what is asked. QUIC types do not leave this room.
//!
//! Invariants:
//! - One subscription a track and link, however many readers the child has.
//! - A child that reads slowly loses groups; its siblings and the store notice nothing.
//! - Frames are shared: the parent copies no payload, the child copies each once, off the wire.
//! - What members ask travels up, one stream for each class: no class waits for another.
//!
//! Spec: docs/RELAY.md, docs/decisions/0003-relay-protocol.md.

mod clock;
mod control;
mod error;
mod metrics;
mod priority;
pub mod pull;
mod question;
pub mod serve;
mod status;
mod transport;
pub mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::live::{Exchange, Store};
use crate::net::Congestion;
use crate::net::tls::Identity;
use crate::telemetry;

pub use error::Error;
pub use pull::Puller;
pub use serve::Server;
pub use status::{Role, Standing, Status};

/// Both ends of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where children dial in, over UDP; `"off"` on a node without children.
    #[serde(with = "crate::net::listen")]
    pub listen: Option<SocketAddr>,
    /// Parents as `HOST:PORT`, in order of preference. Empty on an origin.
    pub parents: Vec<String>,
    /// Origins beside this one, as `HOST:PORT`: what is published there is followed here, so that
    /// this node can go on with it.
    pub peers: Vec<String>,
    /// Links to parents that are kept at once. 2: one that frames come over, and one that is warm.
    pub links_max: usize,
    /// How long a better parent is up before tracks move back to it, in seconds; 0: never. 60: a
    /// parent that comes and goes is not worth the moves.
    pub return_seconds: u32,
    /// How long a parent that breaks the protocol is not dialled, in seconds.
    pub shun_seconds: u32,
    /// The name that the parents' certificates carry; by default the host part of each parent.
    pub server_name: Option<String>,
    /// PEM file of the relay's certificate authority: who may be a parent or a child.
    pub ca: Option<PathBuf>,
    /// PEM file of this node's certificate chain.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// How the sender paces itself.
    pub congestion: Congestion,
    /// How long a track is still pulled when its last reader has left, in seconds. 10: a viewer who
    /// reloads or switches renditions finds it warm.
    pub linger_seconds: u32,
    /// How long rooms outlive a lost parent, in seconds. 30: a restart of the parent, or the dial
    /// of the next one, with room to spare.
    pub orphan_seconds: u32,
    /// The most children at once; further ones are refused.
    pub children_max: usize,
    /// The most tracks that one child may pull at once.
    pub subscriptions_max: usize,
    /// Group streams that the parent may have open towards this node. Each track that is pulled
    /// takes one, so this bounds the watched tracks: two of a show and four of a room's events. A
    /// stream that was used costs about 9 KB.
    pub streams_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([0, 0, 0, 0], 4430))),
            parents: Vec::new(),
            peers: Vec::new(),
            links_max: 2,
            return_seconds: 60,
            shun_seconds: 60,
            server_name: None,
            ca: None,
            certificate: None,
            key: None,
            congestion: Congestion::default(),
            linger_seconds: 10,
            orphan_seconds: 30,
            children_max: 256,
            subscriptions_max: 4096,
            streams_max: 4096,
        }
    }
}

/// What both ends need of the node they belong to.
#[derive(Debug, Clone)]
pub struct Local {
    /// The node's name, shown to peers: printable ASCII without spaces, at most 64 bytes.
    pub node: Arc<str>,
    /// The certificate shown to peers.
    pub identity: Identity,
    /// Who signs the certificates of peers.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What is served, and where pulled frames go.
    pub store: Store,
    /// Where children's questions go. On a node with parents they are its authority.
    pub exchange: Exchange,
    /// How this node fares, for its parents: opaque here. Empty: nothing yet.
    pub report: watch::Receiver<Bytes>,
    /// What holds in the fleet, for children: opaque here. Empty: nothing.
    pub policy: watch::Receiver<Bytes>,
    /// Where every policy goes that a parent has sent. When it is full, the link waits.
    pub policy_in: mpsc::Sender<Bytes>,
    /// Where the relay's figures are registered.
    pub metrics: telemetry::Metrics,
}

#[cfg(test)]
mod tests;
