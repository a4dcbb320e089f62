//! The relay against itself, over real QUIC on loopback.

mod events;
mod failover;
mod faults;
mod flood;
mod flow;
mod host;
mod latency;
mod liar;
mod netem;
pub(super) mod peers;
mod push;
mod questions;
mod requests;
mod stranger;
mod versions;
