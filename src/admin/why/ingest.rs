//! How late frames come against their own timestamps: what host and uplink add, whatever the
//! distance of their clock from ours.

use std::collections::VecDeque;

/// How long the most punctual frame is remembered, in seconds: longer than most stalls, short
/// enough to follow a clock and to forgive a host that once lost time for good.
const FLOOR_SECONDS: usize = 20;

/// The least time from a frame's own timestamp to its arrival, over the last seconds.
#[derive(Debug, Default)]
pub(super) struct Punctual {
    seconds: VecDeque<i64>,
    current: Option<i64>,
}

impl Punctual {
    /// How late a frame of `media_us`, which arrived at `arrived_us`, is against the most punctual
    /// one, in microseconds.
    pub(super) fn lateness_us(&mut self, media_us: i64, arrived_us: i64) -> i64 {
        let lead = arrived_us.saturating_sub(media_us);
        let current = self.current.map_or(lead, |least| least.min(lead));
        self.current = Some(current);
        let before = self.seconds.iter().copied().min();
        let floor = before.map_or(current, |least| least.min(current));
        lead.saturating_sub(floor)
    }

    /// A second is over.
    pub(super) fn step(&mut self) {
        if let Some(least) = self.current.take() {
            if self.seconds.len() == FLOOR_SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_and_what_was_kept_during_it_are_late() {
        let mut punctual = Punctual::default();
        for frame in 0..60 {
            let media_us = frame * 33_000;
            assert_eq!(punctual.lateness_us(media_us, 7_000_000 + media_us), 0);
        }
        punctual.step();
        // 400 ms of frames come at once.
        let late: Vec<i64> = (60..72)
            .map(|frame| punctual.lateness_us(frame * 33_000, 7_000_000 + 72 * 33_000))
            .collect();
        assert_eq!(late.first(), Some(&396_000));
        assert_eq!(late.last(), Some(&33_000));
    }

    #[test]
    fn time_lost_for_good_is_forgiven() {
        let mut punctual = Punctual::default();
        punctual.lateness_us(0, 0);
        for second in 1..=FLOOR_SECONDS as i64 + 1 {
            punctual.step();
            let late = punctual.lateness_us(second * 1_000_000, second * 1_000_000 + 500_000);
            let expected = if second <= FLOOR_SECONDS as i64 {
                500_000
            } else {
                0
            };
            assert_eq!(late, expected, "after {second} s");
        }
    }
}
