//! The relay against itself, over real QUIC on loopback.

mod events;
mod faults;
mod flow;
mod host;
mod latency;
mod netem;
pub(super) mod peers;
mod questions;
mod requests;
mod stranger;
