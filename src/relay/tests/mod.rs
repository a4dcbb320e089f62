//! The relay against itself, over real QUIC on loopback.

mod flow;
mod peers;
