//! What a session counts: bytes to acknowledge, and commands that cost work.

use std::time::Duration;

use crate::protocol::rtmp::CloseReason;

/// Commands and pings at once. Encoders send up to 10 to get going.
pub(super) const COMMANDS_BURST: u32 = 64;
/// Commands and pings per second after that.
pub(super) const COMMANDS_PER_SECOND: u64 = 8;

/// What the peer wants acknowledged (5.4.3).
#[derive(Debug, Default)]
pub(super) struct Acknowledgement {
    pub(super) window_bytes: Option<u32>,
    received_bytes: u64,
    acknowledged_bytes: u64,
}

/// A token bucket for everything that makes us work without carrying media.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    refilled_at: Duration,
}

// === impl Acknowledgement ===

impl Acknowledgement {
    /// Counts bytes; returns the sequence number when one is due.
    pub(super) fn received(&mut self, bytes: usize) -> Option<u32> {
        self.received_bytes += bytes as u64;
        let window = u64::from(self.window_bytes?);
        if self.received_bytes - self.acknowledged_bytes < window {
            return None;
        }
        self.acknowledged_bytes = self.received_bytes;
        Some(self.received_bytes as u32) // 5.4.3 lets the number wrap
    }
}

// === impl Allowance ===

impl Default for Allowance {
    fn default() -> Self {
        Self {
            left: COMMANDS_BURST,
            refilled_at: Duration::ZERO,
        }
    }
}

impl Allowance {
    pub(super) fn take(&mut self, now: Duration) -> Result<(), CloseReason> {
        let passed = now.saturating_sub(self.refilled_at).as_secs();
        if passed > 0 {
            let earned = u32::try_from(passed * COMMANDS_PER_SECOND).unwrap_or(COMMANDS_BURST);
            self.left = self.left.saturating_add(earned).min(COMMANDS_BURST);
            self.refilled_at += Duration::from_secs(passed);
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(CloseReason::TooManyCommands)?;
        Ok(())
    }
}
