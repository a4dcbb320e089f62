//! The congestion controllers of QUIC, for viewers and for the relay.

use std::sync::Arc;

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use serde::{Deserialize, Serialize};

/// How a QUIC sender paces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// BBR: keeps its rate on lossy mobile links, where CUBIC collapses.
    #[default]
    Bbr,
    /// CUBIC: fair to TCP on shared links.
    Cubic,
}

impl Congestion {
    /// What quinn makes controllers from; `initial_window_bytes` may be in flight before the first
    /// acknowledgement, the library's default when `None`.
    pub(crate) fn factory(
        self,
        initial_window_bytes: Option<u64>,
    ) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Bbr => {
                let mut bbr = BbrConfig::default();
                initial_window_bytes.map(|bytes| bbr.initial_window(bytes));
                Arc::new(bbr)
            }
            Self::Cubic => {
                let mut cubic = CubicConfig::default();
                initial_window_bytes.map(|bytes| cubic.initial_window(bytes));
                Arc::new(cubic)
            }
        }
    }
}
