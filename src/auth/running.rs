//! Who watches with a token that expires in the middle: players that ask for one thing after the
//! other keep what a connection keeps that stays open.
//!
//! Only tokens in their last minute are remembered, so that a show full of viewers costs nothing.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::runtime::Sweep;

/// How long somebody who asks for nothing is still there, in seconds: a playlist is asked for every
/// few of them, also over a bad line.
const ABSENCE_SECONDS_MAX: i64 = 60;
/// Viewers that are remembered. 16,384: some 10 MB, and more than one node has whose tokens end in
/// the same minute. Past it they end at their expiry.
const VIEWERS_MAX: usize = 16_384;

/// Viewers whose tokens expire, or have expired while they watched.
#[derive(Default)]
pub(super) struct Running(Mutex<Viewers>);

#[derive(Default)]
struct Viewers {
    all: HashMap<Viewer, Seen>,
    sweep: Sweep,
}

/// A token at an address: who picks up an expired one elsewhere does not go on with it.
type Viewer = (Box<str>, IpAddr);

#[derive(Debug, Clone, Copy)]
struct Seen {
    exp_s: i64,
    last_s: i64,
}

impl Running {
    /// Notes that `token`, good until `exp_s`, was used at `now_s`.
    pub(super) fn note(&self, token: &str, address: IpAddr, exp_s: i64, now_s: i64) {
        if now_s < exp_s.saturating_sub(ABSENCE_SECONDS_MAX) {
            return;
        }
        let mut viewers = self.0.lock();
        let Viewers { all, sweep } = &mut *viewers;
        if all.len() >= VIEWERS_MAX || sweep.is_due(all.len()) {
            all.retain(|_, seen| seen.is_there(now_s));
            sweep.swept(all.len());
        }
        let viewer = (token.into(), address);
        if all.len() < VIEWERS_MAX || all.contains_key(&viewer) {
            let last_s = now_s;
            all.insert(viewer, Seen { exp_s, last_s });
        }
    }

    /// Until when `token` was good, if somebody at `address` was watching with it when it expired,
    /// and still does at `now_s`.
    pub(super) fn expired_under(&self, token: &str, address: IpAddr, now_s: i64) -> Option<i64> {
        let viewers = &mut self.0.lock().all;
        let viewer = (token.into(), address);
        let seen = *viewers.get(&viewer)?;
        if !seen.is_there(now_s) {
            viewers.remove(&viewer);
            return None;
        }
        Some(seen.exp_s)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.0.lock().all.len())
    }
}

impl Seen {
    fn is_there(self, now_s: i64) -> bool {
        now_s.saturating_sub(self.last_s) <= ABSENCE_SECONDS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn who_watches_at_the_end_of_a_token_goes_on_while_he_stays() {
        let running = Running::default();
        running.note("t", HOME, 1000, 900);
        assert_eq!(running.expired_under("t", HOME, 1001), None, "long before");
        running.note("t", HOME, 1000, 950);
        assert_eq!(running.expired_under("t", HOME, 1001), Some(1000));
        assert_eq!(running.expired_under("t", AWAY, 1001), None);
        assert_eq!(running.expired_under("u", HOME, 1001), None);
        running.note("t", HOME, 1000, 1005);
        assert_eq!(running.expired_under("t", HOME, 1065), Some(1000));
        assert_eq!(running.expired_under("t", HOME, 1066), None, "he was away");
        assert!(running.0.lock().all.is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let running = Running::default();
        for number in 0..VIEWERS_MAX + 100 {
            running.note(&number.to_string(), HOME, 1000, 990);
        }
        assert_eq!(running.0.lock().all.len(), VIEWERS_MAX);
        running.note("0", HOME, 1000, 1050);
        assert_eq!(running.expired_under("0", HOME, 1100), Some(1000));
        running.note("new", HOME, 2000, 1990);
        assert_eq!(running.expired_under("new", HOME, 2001), Some(2000));
        assert_eq!(running.0.lock().all.len(), 1);
    }
}
