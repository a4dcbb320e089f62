//! The relay against itself, over real QUIC on loopback.

mod events;
mod faults;
mod flow;
mod netem;
pub(super) mod peers;
mod questions;
