//! The runtime: time, tasks and shutdown. Every task and every reading of a clock in the house goes
//! through here.
//!
//! Knows nothing of media or protocols.

pub mod clock;
mod scope;

pub use scope::{Shutdown, TaskScope};
