//! The settings in force: what the operator says, at the pace that the node can take. They change
//! under those who read them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::rooms::Config;
use crate::shed::Gauge;

/// How rooms are run just now. Clones share it.
#[derive(Debug, Clone)]
pub struct Settings {
    config: Arc<ArcSwap<Config>>,
    shedding: Gauge,
}

/// How often a room tells its totals and comments, and how many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) batch_ms: u32,
    pub(super) like_tick_ms: u32,
    pub(super) visible_per_second: u32,
}

impl Settings {
    /// What `config` says, coarser where `shedding` asks for it.
    #[must_use]
    pub fn new(config: &Config, shedding: Gauge) -> Self {
        Self {
            config: Arc::new(ArcSwap::from_pointee(config.clone())),
            shedding,
        }
    }

    /// Puts `config` in force. What sizes something at the start stays: `orders_in_flight_max`,
    /// `comments_in_flight_max`.
    pub fn apply(&self, config: &Config) {
        self.config.store(Arc::new(config.clone()));
    }

    /// What the operator says.
    #[must_use]
    pub fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// The pace of now.
    pub(super) fn pace(&self) -> Pace {
        let config = self.config.load();
        let visible = config.visible_per_second;
        let tick = self.like_tick();
        Pace {
            batch_ms: config.batch_ms,
            like_tick_ms: u32::try_from(tick.as_millis()).unwrap_or(u32::MAX),
            visible_per_second: self.shedding.level().visible_per_second(visible),
        }
    }

    /// How often totals are told.
    pub(super) fn like_tick(&self) -> Duration {
        let usual = Duration::from_millis(self.config.load().like_tick_ms.into());
        self.shedding.level().like_tick(usual)
    }

    /// How many comments a second members are shown, when that is less than the origin lets pass.
    pub(super) fn sampled_per_second(&self) -> Option<u32> {
        let visible = self.config.load().visible_per_second;
        let shown = self.shedding.level().visible_per_second(visible);
        (shown < visible).then_some(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shed::Level;

    #[test]
    fn pace_slows_with_the_level_and_follows_the_operator() {
        let usual = Settings::new(&Config::default(), Gauge::default());
        assert_eq!(usual.sampled_per_second(), None);
        let overloaded = Settings::new(&Config::default(), Gauge::at(Level::SampleComments));
        let slow = overloaded.pace();
        assert_eq!((slow.like_tick_ms, slow.visible_per_second), (5000, 10));
        assert_eq!(overloaded.sampled_per_second(), Some(10));
        let shared = usual.clone();
        usual.apply(&Config {
            batch_ms: 0,
            visible_per_second: 60,
            ..Config::default()
        });
        let pace = shared.pace();
        assert_eq!((pace.batch_ms, pace.visible_per_second), (0, 60));
    }
}
