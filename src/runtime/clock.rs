//! The one source of time.

use std::time::{SystemTime, UNIX_EPOCH};

pub use tokio::time::Instant;

/// The monotonic clock (tokio's, so that tests can pause it).
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock time in microseconds since 1970.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
pub fn unix_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
