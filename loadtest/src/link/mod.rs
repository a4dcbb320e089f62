//! The link emulator: what lies between a viewer and the fleet, made of rate, delay, loss and gaps.
//!
//! It lives in user space, needs no rights, and works on loopback as on a real network, whose own
//! delay comes on top. Knows nothing of media, HTTP or scenarios. All state machines are sans-IO:
//! the time comes in as a [`Duration`] since the link's start.
//!
//! What is a model, and not a network:
//! - **TCP.** Bytes that came over a real socket cannot be lost, so loss is played: a segment that
//!   is "lost" holds back all that follow for a round trip (fast retransmit), or for the
//!   retransmission timeout when the second copy is lost too or the link is dark; and a congestion
//!   window after Reno (RFC 5681) limits what is under way, whose rate under loss is that of Mathis
//!   et al. 1997 (a fifth above it: each segment is acknowledged). CUBIC and BBR, which fleets use,
//!   keep up more under random loss: the figures here are the careful ones. Retransmissions take no
//!   rate of their own, and a lost last segment is noticed as early as others.
//! - **A full queue** makes a TCP sender wait and cuts its window; datagrams are dropped.
//! - **Loss** strikes each packet alone, with the same chance in both directions; bursts are made
//!   of blackouts.
//! - **Up** has the rate, delay and queue that **down** has.
//! - Times are as exact as tokio's timers: one to two milliseconds.
//!
//! The kernel's buffers of an emulated connection are kept small, or they would be a queue of their
//! own. The server's kernel sees the path to this machine, which is short: its window, and with it
//! its send buffer, is larger than it would be for such a viewer, and what waits there is old.
//!
//! Invariant: every queue is bounded by bytes, and what it does when full stands at its constant.

mod course;
mod datagram;
mod dice;
mod flow;
mod profile;
mod road;
mod stream;
mod window;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rushlane::runtime::clock::{self, Instant};

pub use course::Course;
pub use datagram::Door;
pub use dice::{Dice, seed};
pub use flow::Flow;
pub use profile::{Blackout, Profile, Step};
pub use road::{Passage, Road};
pub use window::Window;

/// Payload of a TCP segment, in bytes: an MTU of 1500 less IPv4, TCP and its timestamps.
pub const SEGMENT_BYTES: usize = 1448;
/// What a TCP segment takes on the wire beside its payload, in bytes.
pub const SEGMENT_HEAD_BYTES: usize = 52;
/// What a datagram takes beside its payload, in bytes.
pub const DATAGRAM_HEAD_BYTES: usize = 28;

/// One viewer's link, which all his connections share. Clones are handles of the same link.
#[derive(Debug, Clone)]
pub struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    /// Up to the fleet, and down to the viewer.
    roads: [Mutex<Road>; 2],
    /// A source of seeds: one for each connection and direction.
    seeds: Mutex<Dice>,
}

/// A direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the viewer to the fleet.
    Up = 0,
    /// From the fleet to the viewer.
    Down = 1,
}

impl Link {
    /// A link of `profile`, whose schedule counts from `started`. Links of one seed lose the same
    /// packets, counted by connections.
    #[must_use]
    pub fn new(profile: &Profile, started: Instant, seed: u64) -> Self {
        let road = || Mutex::new(Road::new(profile));
        Self(Arc::new(Inner {
            started,
            roads: [road(), road()],
            seeds: Mutex::new(Dice::new(seed)),
        }))
    }

    /// Since the start of the schedule; zero before it.
    fn now(&self) -> Duration {
        clock::now().saturating_duration_since(self.0.started)
    }

    /// `at` on tokio's clock.
    fn instant(&self, at: Duration) -> Instant {
        self.0.started + at
    }

    fn road(&self, way: Way) -> &Mutex<Road> {
        &self.0.roads[way as usize]
    }

    fn dice(&self) -> Dice {
        Dice::new(self.0.seeds.lock().throw())
    }
}
