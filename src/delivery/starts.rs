//! How long newcomers wait for their first media, from their first request on (DOMAIN 6).
//!
//! An FLV viewer is one request. A session of HLS is many, over any number of connections: it
//! begins with an index, and starts with the first part or segment that the same address gets of
//! the same room. Newcomers behind one address who come at the same moment count as one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::runtime::clock::{self, Instant};
use crate::telemetry::Metrics;

/// Sessions of HLS without media yet; of further ones the start is not measured. A storm of joins
/// in a second, at 24 bytes each.
const BEGUN_MAX: usize = 16_384;

/// Who has no media after so long has given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures starts. Clones share what they know.
#[derive(Debug, Clone)]
pub(super) struct Starts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hls: Histogram,
    flv: Histogram,
    flv_socket: Histogram,
    begun: Mutex<HashMap<u64, Instant>>,
    /// How many are in `begun`: mostly none, and nobody has to lock it.
    count: AtomicUsize,
    keys: RandomState,
}

/// Somebody who waits for his first media.
#[derive(Debug)]
pub(super) struct Start {
    since: Instant,
    seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocol {
    protocol: &'static str,
}

impl Starts {
    pub(super) fn new(metrics: &Metrics) -> Self {
        // 1 ms to 8 s.
        let make = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let family = Family::<ByProtocol, Histogram, fn() -> Histogram>::new_with_constructor(make);
        let help = "From a viewer's first request to the first media of the answer";
        metrics.register("delivery", "start_seconds", help, family.clone());
        let of = |protocol| family.get_or_create(&ByProtocol { protocol }).clone();
        Self(Arc::new(Inner {
            hls: of("hls"),
            flv: of("flv"),
            flv_socket: of("flv_ws"),
            begun: Mutex::default(),
            count: AtomicUsize::default(),
            keys: RandomState::new(),
        }))
    }

    /// Somebody asks for an FLV stream now.
    pub(super) fn flv(&self, by_socket: bool) -> Start {
        let seconds = match by_socket {
            true => &self.0.flv_socket,
            false => &self.0.flv,
        };
        Start {
            since: clock::now(),
            seconds: seconds.clone(),
        }
    }

    /// A session of HLS begins: `peer` asks for the index of `room`.
    pub(super) fn begin(&self, peer: IpAddr, room: &str) {
        let now = clock::now();
        let mut begun = self.0.begun.lock();
        if begun.len() >= BEGUN_MAX {
            begun.retain(|_, since| now.saturating_duration_since(*since) < PATIENCE);
        }
        if begun.len() < BEGUN_MAX {
            let since = begun.entry(self.key(peer, room)).or_insert(now);
            if now.saturating_duration_since(*since) >= PATIENCE {
                *since = now;
            }
        }
        self.0.count.store(begun.len(), Ordering::Relaxed);
    }

    /// `peer` asks for media of `room`: the first after the session began, or `None`.
    pub(super) fn media(&self, peer: IpAddr, room: &str) -> Option<Start> {
        if self.0.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut begun = self.0.begun.lock();
        let since = begun.remove(&self.key(peer, room))?;
        self.0.count.store(begun.len(), Ordering::Relaxed);
        (since.elapsed() < PATIENCE).then(|| Start {
            since,
            seconds: self.0.hls.clone(),
        })
    }

    fn key(&self, peer: IpAddr, room: &str) -> u64 {
        self.0.keys.hash_one((peer, room))
    }
}

impl Start {
    /// The first media leaves now.
    pub(super) fn done(self) {
        self.seconds.observe(self.since.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_starts_once_with_its_first_media() {
        let metrics = Metrics::default();
        let starts = Starts::new(&metrics);
        assert!(starts.media(peer(1), "r").is_none());
        starts.begin(peer(1), "r");
        tokio::time::advance(Duration::from_millis(300)).await;
        assert!(starts.media(peer(2), "r").is_none());
        assert!(starts.media(peer(1), "other").is_none());
        starts.media(peer(1), "r").unwrap().done();
        assert!(starts.media(peer(1), "r").is_none());
        let text = metrics.encode();
        let sum = "rushlane_delivery_start_seconds_sum{protocol=\"hls\"} 0.3";
        assert!(text.contains(sum), "{text}");

        starts.begin(peer(1), "r");
        tokio::time::advance(PATIENCE).await;
        assert!(starts.media(peer(1), "r").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_starts_is_forgotten() {
        let starts = Starts::new(&Metrics::default());
        for number in 0..2 * BEGUN_MAX as u32 {
            starts.begin(peer(number), "r");
        }
        assert_eq!(starts.0.begun.lock().len(), BEGUN_MAX);
        tokio::time::advance(PATIENCE).await;
        starts.begin(peer(u32::MAX), "r");
        assert_eq!(starts.0.begun.lock().len(), 1);
        assert!(starts.media(peer(u32::MAX), "r").is_some());
    }
}
