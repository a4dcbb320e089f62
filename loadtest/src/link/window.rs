//! The congestion window of a TCP sender after Reno with SACK (RFC 5681, RFC 6675): how much may be
//! under way. It knows no segments; who uses it says what was sent, noticed and lost.

use std::time::Duration;

use crate::link::SEGMENT_BYTES;

/// Where a connection begins, in bytes (RFC 6928).
const START_BYTES: f64 = 10.0 * SEGMENT_BYTES as f64;
/// The least window after a loss, in bytes (RFC 5681: two segments).
const LEAST_BYTES: f64 = 2.0 * SEGMENT_BYTES as f64;
/// The receiver's window, in bytes: the most of Linux as it comes (tcp_rmem). Beyond it the sender
/// waits.
const MOST_BYTES: f64 = 6_291_456.0;

/// How much may be under way.
#[derive(Debug, Clone)]
pub struct Window {
    bytes: f64,
    threshold_bytes: f64,
    under_way_bytes: usize,
    /// The most that was under way in this round trip: what the application made use of.
    peak_bytes: usize,
    /// What has arrived of it.
    round_bytes: usize,
    /// Losses of segments sent before this are of a window that was cut already.
    cut_at: Option<Duration>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            bytes: START_BYTES,
            threshold_bytes: MOST_BYTES,
            under_way_bytes: 0,
            peak_bytes: 0,
            round_bytes: 0,
            cut_at: None,
        }
    }
}

impl Window {
    /// True when another segment may go.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.under_way_bytes == 0 || self.under_way_bytes as f64 + 1.0 <= self.bytes
    }

    /// True when nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way_bytes == 0
    }

    /// A segment of `bytes` goes.
    pub fn sent(&mut self, bytes: usize) {
        self.under_way_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.under_way_bytes);
    }

    /// A segment of `bytes` is known to have arrived. The window grows only when it was the limit,
    /// and not the application (RFC 7661; in slow start, half of it used is enough, as in Linux).
    pub fn arrived(&mut self, bytes: usize) {
        self.under_way_bytes = self.under_way_bytes.saturating_sub(bytes);
        let (arrived, segment) = (bytes as f64, SEGMENT_BYTES as f64);
        let peak = self.peak_bytes as f64;
        if self.bytes < self.threshold_bytes {
            if self.bytes < peak * 2.0 {
                self.bytes += arrived;
            }
        } else if self.bytes < peak + segment * 2.0 {
            self.bytes += segment * arrived / self.bytes;
        }
        self.bytes = self.bytes.min(MOST_BYTES);
        self.round_bytes += bytes;
        if self.round_bytes >= self.peak_bytes {
            (self.peak_bytes, self.round_bytes) = (self.under_way_bytes, 0);
        }
    }

    /// It is noticed at `now` that a segment sent at `sent_at` was lost: half of the window, once
    /// for all losses of a window.
    pub fn lost(&mut self, now: Duration, sent_at: Duration) {
        if self.cut_at.is_some_and(|cut_at| sent_at < cut_at) {
            return;
        }
        self.cut_at = Some(now);
        self.bytes = (self.bytes / 2.0).max(LEAST_BYTES);
        self.threshold_bytes = self.bytes;
    }

    /// The retransmission timer ran out: a segment, then slow start to half of what was.
    pub fn timed_out(&mut self, now: Duration) {
        self.threshold_bytes = (self.bytes / 2.0).max(LEAST_BYTES);
        self.bytes = SEGMENT_BYTES as f64;
        self.cut_at = Some(now);
    }

    /// Nothing was sent for a retransmission timeout: what was known of the path is old.
    pub fn rested(&mut self) {
        self.threshold_bytes = self.threshold_bytes.max(self.bytes * 0.75);
        self.bytes = self.bytes.min(START_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the window and lets all of it arrive; answers how many segments that was.
    fn round(window: &mut Window) -> usize {
        let mut segments = 0;
        while window.has_room() {
            window.sent(SEGMENT_BYTES);
            segments += 1;
        }
        (0..segments).for_each(|_| window.arrived(SEGMENT_BYTES));
        segments
    }

    #[test]
    fn slow_start_doubles_and_a_loss_halves_once() {
        let mut window = Window::default();
        let rounds: Vec<usize> = (0..4).map(|_| round(&mut window)).collect();
        assert_eq!(rounds, [10, 20, 40, 80]);
        let ms = Duration::from_millis;
        window.lost(ms(100), ms(50));
        window.lost(ms(100), ms(60));
        assert_eq!(round(&mut window), 80);
        let grown = round(&mut window);
        assert!(
            (80..=82).contains(&grown),
            "a segment in a round trip: {grown}"
        );
        window.lost(ms(200), ms(150));
        assert!((40..=41).contains(&round(&mut window)));
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut window = Window::default();
        for _ in 0..100 {
            window.sent(SEGMENT_BYTES);
            window.arrived(SEGMENT_BYTES);
        }
        assert_eq!(round(&mut window), 10);
    }

    #[test]
    fn a_timeout_begins_with_one_segment() {
        let mut window = Window::default();
        window.timed_out(Duration::ZERO);
        let rounds: Vec<usize> = (0..4).map(|_| round(&mut window)).collect();
        assert_eq!(rounds, [1, 2, 4, 6]);
    }
}
