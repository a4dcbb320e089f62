//! The runtime: time, tasks, shutdown, and what the process uses. Every task and every reading of a
//! clock in the house goes through here.
//!
//! Knows nothing of media or protocols.

mod bulk;
pub mod clock;
pub mod lag;
pub mod process;
mod scope;
mod sweep;
mod turn;

pub use bulk::{Bulk, Ticket};
pub use scope::{Shutdown, TaskScope};
pub use sweep::Sweep;
pub use turn::Turn;
