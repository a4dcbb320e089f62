//! How late a thread's tasks run: what its runtime, its core or its machine is short of.

use std::time::Duration;

use crate::runtime::clock;

/// How often it is looked.
pub const EVERY: Duration = Duration::from_millis(25);

/// Sleeps [`EVERY`] again and again and reports how much longer it took, for ever. What would have
/// been slept meanwhile counts too: half a second of standstill is twenty late wakes, not one
/// (coordinated omission).
pub async fn probe(report: impl Fn(Duration)) {
    loop {
        let due = clock::now() + EVERY;
        tokio::time::sleep_until(due).await;
        let mut late = clock::now().saturating_duration_since(due);
        report(late);
        while let Some(rest) = late.checked_sub(EVERY) {
            late = rest;
            report(late);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_standstill_counts_for_all_wakes_that_it_hides() {
        let seen = RefCell::new(Vec::new());
        let work = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            // The only thread is busy for a while.
            tokio::time::advance(Duration::from_millis(105)).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        tokio::select! {
            () = probe(|late| seen.borrow_mut().push(late.as_millis())) => {}
            () = work => {}
        }
        let seen = seen.into_inner();
        assert_eq!(seen.first(), Some(&100));
        assert_eq!(seen.len(), 5, "{seen:?}");
    }
}
