//! HTTP/1.1 (and 1.0) over any byte stream (RFC 9112).
//!
//! Our own, so that a parked viewer costs a small task and no buffer, and a live viewer's
//! connection can be handed to the service (docs/decisions/0004-own-http1.md).
//!
//! Invariants:
//! - Requests are answered in order, one at a time; what a peer sends ahead is bounded by
//!   [`HEAD_BYTES_MAX`] and then left in the socket.
//! - A head has 10 s, a body 20 s, an idle connection 75 s, a write without progress 20 s.
//! - A peer that closes its sending side while its request is parked has gone.

mod body;
mod connection;
mod decoder;
mod encoder;
mod io;
mod live;
mod patience;
mod sealed;
mod turn;
mod websocket;

pub use body::{Framing, Incoming};
pub(in crate::net) use connection::serve;
pub use decoder::{Decoder, FIELDS_MAX, Fault, HEAD_BYTES_MAX, Head};
pub(super) use encoder::encode;
