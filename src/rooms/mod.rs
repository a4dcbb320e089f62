//! Rooms: what members do beside the picture. Comments, likes, cards, orders, presence.
//!
//! [`Doors`](doors) are the edge's half: sockets, checks, batches, fan-out. The
//! [`Authority`](authority) is the origin's half: sequence, history, totals, and
//! [`orders`] up to the merchant. They meet over `live`: events travel down as data tracks,
//! questions up through `live::Exchange`; so a node in between is neither.
//!
//! Deliberately knows no QUIC, no HTTP version, no codec and no playlist.
//!
//! Invariants:
//! - An order is stored before it is acknowledged, and nothing else ever delays it.
//! - An event is encoded once for each format and node, whatever the number of members.
//! - What one socket sends or withholds costs bounded memory, and costs the others nothing.
//!
//! Spec: docs/INTERACTION.md.

pub mod authority;
mod config;
pub mod doors;
pub mod moderation;
pub mod orders;
mod settings;
mod sketch;

pub use config::{Config, Limits};
pub use doors::Doors;
pub use settings::Settings;
pub use sketch::{SKETCH_TEXT_BYTES_MAX, Sketch, SketchError};
