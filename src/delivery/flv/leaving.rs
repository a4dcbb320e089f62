//! Sends the viewers of a hall away in a drain: not all at once, for each of them joins another
//! node the next moment.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::halls::Drain;

/// How often some go.
const STEP: Duration = Duration::from_millis(20);
/// How long each viewer of a hall keeps the others waiting: a thousand are gone in a second.
const EACH: Duration = Duration::from_millis(1);

/// The way out of one hall.
pub(super) struct Leaving {
    drain: Drain,
    steps: Option<Steps>,
}

struct Steps {
    ticks: Interval,
    share: usize,
}

impl Leaving {
    pub(super) fn new(drain: Drain) -> Self {
        Self { drain, steps: None }
    }

    /// Waits for the moment when some of the hall's `viewers` go; how many. Cancel-safe.
    pub(super) async fn next(&mut self, viewers: usize) -> usize {
        let steps = match &mut self.steps {
            Some(steps) => steps,
            None => {
                self.drain.begun().await;
                let steps = Steps::new(viewers, self.drain.spread());
                self.steps.insert(steps)
            }
        };
        steps.ticks.tick().await;
        steps.share
    }
}

impl Steps {
    fn new(viewers: usize, spread: Duration) -> Self {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let share = share(viewers, spread);
        Self { ticks, share }
    }
}

/// How many of `viewers` go in each step, so that the last one goes within `spread`.
fn share(viewers: usize, spread: Duration) -> usize {
    let wanted = EACH.saturating_mul(u32::try_from(viewers).unwrap_or(u32::MAX));
    let steps = wanted.min(spread).as_millis() / STEP.as_millis();
    let steps = usize::try_from(steps).unwrap_or(usize::MAX);
    viewers.div_ceil(steps.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_hall_empties_within_the_spread_and_a_small_one_at_once() {
        let second = Duration::from_secs(1);
        assert_eq!(share(0, second), 1);
        assert_eq!(share(15, second), 15);
        assert_eq!(share(1000, 3 * second), 20);
        assert_eq!(share(10_000, second), 200);
        assert_eq!(share(10_000, Duration::ZERO), 10_000);
    }
}
