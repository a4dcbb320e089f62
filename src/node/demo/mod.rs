//! What `rushlane dev` shows: a host who pushes a clip and offers things, and a merchant who takes
//! the orders. All three are ordinary peers of the node, over the same doors as anybody.

mod host;
mod merchant;
mod program;

pub(super) use host::run as host;
pub(super) use merchant::Merchant;
pub(super) use program::run as program;

/// The room of the demo.
const ROOM: &str = "demo";
