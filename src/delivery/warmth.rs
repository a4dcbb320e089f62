//! What is read for viewers, for a process that takes this one's place.

use std::collections::HashSet;

use crate::delivery::Delivery;

impl Delivery {
    /// The names of the tracks that somebody watches by HLS; for [`Self::warm_up`] elsewhere.
    #[must_use]
    pub fn warm(&self) -> Vec<String> {
        self.0.shelves.warm()
    }

    /// Reads the tracks of `names` ahead of their viewers; true once those that are here have
    /// something to show. Ask again until it is.
    #[must_use]
    pub fn warm_up(&self, names: &HashSet<String>) -> bool {
        self.0.shelves.warm_up(names)
    }
}
