//! The edge's half of a room: sockets, checks, batches, fan-out.
