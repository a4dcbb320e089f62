//! The fleet's store: three streams of a NATS cluster.
//!
//! | stream | subject | message |
//! |---|---|---|
//! | `PREFIX_orders` | `PREFIX.orders.ROOM.KEY` | the order as JSON; the last one stays |
//! | `PREFIX_rooms` | `PREFIX.rooms.ROOM` | the room's state; the last one stays |
//! | `PREFIX_audit` | `PREFIX.audit.ROOM` | decisions as a JSON list |
//!
//! The revision of an order is the sequence of its message, and a change names the one it expects,
//! so of two writers one succeeds wherever they are. What is due, whose and in which state is
//! found in an index in memory, which follows the stream of orders; the orders themselves are read
//! from the cluster's leader.
//!
//! An ack means that a majority of the replicas has the order. NATS writes it to the disk itself
//! some time later, so a loss of power of all of them at once loses what they acknowledged last;
//! the embedded store does not have this gap.

mod book;
mod index;
mod streams;

pub(super) use book::Book;
