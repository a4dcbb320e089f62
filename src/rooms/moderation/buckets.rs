//! How often a user may speak: a bucket of comments for each, that fills at a steady rate.

use std::sync::Arc;
use std::time::Duration;

use crate::rooms::moderation::recent::Recent;
use crate::runtime::clock::Instant;

/// Users remembered at a time, twice. When more speak within the time that a bucket takes to fill,
/// the first of them begin with a full one again.
const USERS_MAX: usize = 100_000;

/// The buckets of all users of a node.
#[derive(Debug)]
pub(super) struct Buckets {
    per_second: f64,
    burst: f64,
    users: Recent<Arc<str>, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    spent: f64,
    at: Option<Instant>,
}

impl Buckets {
    pub(super) fn new(per_second: f64, burst: u32) -> Self {
        let burst = f64::from(burst);
        Self {
            per_second,
            burst,
            users: Recent::new(Duration::from_secs_f64(burst / per_second), USERS_MAX),
        }
    }

    /// Takes one from the bucket of `user`, or tells when there will be one.
    pub(super) fn take(&mut self, now: Instant, user: &Arc<str>) -> Result<(), Duration> {
        let bucket = self.users.entry(now, user);
        let since = bucket
            .at
            .map_or(Duration::ZERO, |at| now.duration_since(at));
        bucket.spent = (bucket.spent - since.as_secs_f64() * self.per_second).max(0.0);
        bucket.at = Some(now);
        let missing = bucket.spent + 1.0 - self.burst;
        // A hair's breadth of rounding keeps nobody waiting.
        if missing > 1e-6 {
            return Err(Duration::from_secs_f64(missing / self.per_second));
        }
        bucket.spent += 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    #[test]
    fn user_speaks_thrice_at_once_and_then_once_a_second() {
        let start = clock::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (li, mei): (Arc<str>, Arc<str>) = ("li".into(), "mei".into());
        let mut buckets = Buckets::new(1.0, 3);
        for _ in 0..3 {
            assert_eq!(buckets.take(at(0), &li), Ok(()));
        }
        assert_eq!(buckets.take(at(0), &li), Err(Duration::from_secs(1)));
        assert_eq!(buckets.take(at(500), &li), Err(Duration::from_millis(500)));
        assert_eq!(buckets.take(at(500), &mei), Ok(()));
        assert_eq!(buckets.take(at(1000), &li), Ok(()));
        assert!(buckets.take(at(1000), &li).is_err());
        for _ in 0..3 {
            assert_eq!(buckets.take(at(60_000), &li), Ok(()));
        }
    }
}
