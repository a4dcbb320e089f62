//! A viewer: comes, plays, goes on at the next edge when his breaks, goes, comes again.

use std::time::Duration;

use crate::actors::screen::Screen;
use crate::actors::{Ground, flv, hls};
use crate::pace::spread;
use crate::scenario::{Arrival, Protocol, Viewers};
use crate::tally::Count;

/// The wait before the first new connection; twice as long each time.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Sends this machine's viewers of a group.
pub fn watch(ground: &Ground, group: &Viewers) {
    for index in ground.share.indices(group.count.into()) {
        let (ground, group) = (ground.of(index), group.clone());
        let scope = ground.scope.clone();
        scope.spawn("viewer", async move {
            live(&ground, &group, index).await;
        });
    }
}

async fn live(ground: &Ground, group: &Viewers, index: u64) {
    let mut at = group.arrival.of(index, group.count);
    for visit in 0_u64.. {
        if !ground.pace.until(at).await {
            return;
        }
        let end = group
            .arrival
            .end(at, index + visit * u64::from(group.count));
        let end = end.min(ground.pace.length());
        let mut screen = Screen::new(ground.tally.clone(), ground.pace.unix_us(at));
        let rest = end.saturating_sub(ground.pace.now());
        let play = play(ground, group, index + visit, &mut screen);
        let _over = tokio::time::timeout(rest, play).await;
        screen.leaves();
        at = end;
    }
}

async fn play(ground: &Ground, group: &Viewers, index: u64, screen: &mut Screen) {
    let mut pause = PAUSE;
    for attempt in 0.. {
        if !ground.pace.allows_one() {
            tokio::time::sleep(PAUSE_MAX).await;
            continue;
        }
        let began = ground.pace.now();
        let edge = ground.edge(index, attempt);
        screen.joins();
        let played = match group.protocol {
            Protocol::Flv => flv::play(ground, &group.room, edge, screen).await,
            Protocol::Hls => hls::play(ground, group, edge, screen).await,
        };
        if let Err(error) = played {
            tracing::debug!(%error, group = &*ground.name, index, %edge, "a viewer goes on");
            ground.tally.one(Count::Errors);
        }
        ground.tally.one(Count::Reconnects);
        if ground.pace.now() - began > Duration::from_secs(5) {
            pause = PAUSE;
        }
        tokio::time::sleep(pause.mul_f64(0.5 + spread(index + attempt))).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

impl Arrival {
    /// When number `index` of `count` comes.
    #[must_use]
    pub fn of(&self, index: u64, count: u32) -> Duration {
        let share = index as f64 / f64::from(count.max(1));
        Duration::from_secs_f64(self.at_seconds + self.over_seconds * share)
    }

    /// When visit number `index`, begun `at`, ends.
    #[must_use]
    pub fn end(&self, at: Duration, index: u64) -> Duration {
        if self.stay_seconds == 0.0 {
            return Duration::MAX;
        }
        at + Duration::from_secs_f64(self.stay_seconds * (0.5 + spread(index)))
    }
}
