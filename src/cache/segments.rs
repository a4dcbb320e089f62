//! Segments by key, with one fetch per key.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;

use crate::cache::Config;
use crate::coding::Chunks;
use crate::media::RoomName;
use crate::media::group::Id;
use crate::telemetry::Metrics;

/// What a segment is called, on every node and for good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The room.
    pub room: RoomName,
    /// The show.
    pub epoch: Arc<str>,
    /// The rendition.
    pub track: Arc<str>,
    /// The segment.
    pub group: Id,
}

/// Why there are no bytes. Clonable, because all who wait for one fetch share its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// Nobody has it: a 404.
    #[error("no node has this segment (any more)")]
    NotFound,
    /// The source does not answer: worth another try.
    #[error("the segment cannot be fetched now: {0}")]
    Unreachable(Arc<str>),
    /// [`Config::fetch_seconds`] went by.
    #[error("the segment was not fetched within {seconds} s")]
    TooSlow {
        /// The limit that was passed.
        seconds: u32,
    },
}

/// The cache. Clones share it.
#[derive(Debug, Clone)]
pub struct Segments {
    config: Config,
    found: Cache<Key, Chunks>,
    missed: Cache<Key, Miss>,
    permits: Arc<Semaphore>,
    figures: Figures,
}

#[derive(Debug, Clone, Default)]
struct Figures {
    requests: Counter,
    fetches: Counter,
    misses: Counter,
    entries: Gauge,
    bytes: Gauge,
}

impl Segments {
    /// An empty cache.
    #[must_use]
    pub fn new(config: Config, metrics: &Metrics) -> Self {
        let found = Cache::builder()
            .max_capacity(config.bytes_max)
            .weigher(|_, chunks: &Chunks| u32::try_from(chunks.len()).unwrap_or(u32::MAX))
            .build();
        let missed = Cache::builder()
            .max_capacity(config.misses_max)
            .time_to_live(Duration::from_secs(config.miss_seconds.into()))
            .build();
        let figures = Figures::default();
        let counters = [
            ("requests", "Requests for older segments", &figures.requests),
            ("fetches", "Fetches of older segments", &figures.fetches),
            ("misses", "Fetches that brought nothing", &figures.misses),
        ];
        for (name, help, counter) in counters {
            metrics.register("cache", name, help, counter.clone());
        }
        // The two are exported together because a cache whose weight and count part is leaking.
        metrics.register(
            "cache",
            "entries",
            "Older segments kept",
            figures.entries.clone(),
        );
        metrics.register(
            "cache",
            "bytes",
            "Weight of older segments",
            figures.bytes.clone(),
        );
        Self {
            permits: Arc::new(Semaphore::new(config.fetches_max)),
            config,
            found,
            missed,
            figures,
        }
    }

    /// True when the bytes of `key` are here.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.found.contains_key(key)
    }

    /// The bytes of `key`, from the cache or from `fetch`, which runs at most once for all who ask
    /// at the same time. Cancel-safe: when the caller that fetches goes away, another takes over.
    pub async fn get<F>(&self, key: Key, fetch: F) -> Result<Chunks, Miss>
    where
        F: Future<Output = Result<Chunks, Miss>>,
    {
        self.figures.requests.inc();
        if let Some(miss) = self.missed.get(&key).await {
            return Err(miss);
        }
        let fetched = self.fetch(key.clone(), fetch);
        let found = self.found.try_get_with(key, fetched).await;
        found.map_err(Arc::unwrap_or_clone)
    }

    /// Runs `fetch` under the bounds on number and time, and remembers a miss.
    async fn fetch<F>(&self, key: Key, fetch: F) -> Result<Chunks, Miss>
    where
        F: Future<Output = Result<Chunks, Miss>>,
    {
        let seconds = self.config.fetch_seconds;
        let fetched = tokio::time::timeout(Duration::from_secs(seconds.into()), async {
            let _permit = self.permits.acquire().await.expect("never closed");
            self.figures.fetches.inc();
            fetch.await
        })
        .await
        .unwrap_or(Err(Miss::TooSlow { seconds }));
        self.figures.entries.set(count(self.found.entry_count()));
        self.figures.bytes.set(count(self.found.weighted_size()));
        match fetched {
            // One buffer of its own: slices of larger buffers would pin more than they weigh.
            Ok(chunks) => Ok(Chunks::from(chunks.to_bytes())),
            Err(miss) => {
                self.figures.misses.inc();
                self.missed.insert(key, miss.clone()).await;
                Err(miss)
            }
        }
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;

    fn key(group: u64) -> Key {
        Key {
            room: RoomName::parse("r").unwrap(),
            epoch: "e".into(),
            track: "video".into(),
            group: Id(group),
        }
    }

    fn cache(config: Config) -> Segments {
        Segments::new(config, &Metrics::default())
    }

    #[tokio::test]
    async fn all_who_wait_share_one_fetch() {
        let cache = cache(Config::default());
        let fetches = AtomicUsize::new(0);
        let ask = || {
            cache.get(key(1), async {
                fetches.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(Bytes::from_static(b"segment").into())
            })
        };
        let answers = futures_util::future::join_all((0..100).map(|_| ask())).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().is_ok_and(|c| c.len() == 7))
        );
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn misses_are_remembered_for_a_while() {
        let cache = cache(Config::default());
        let miss = cache.get(key(1), async { Err(Miss::NotFound) }).await;
        assert_eq!(miss, Err(Miss::NotFound));
        let again = cache
            .get(key(1), async { unreachable!("the miss is known") })
            .await;
        assert_eq!(again, Err(Miss::NotFound));
    }

    #[tokio::test(start_paused = true)]
    async fn fetch_that_hangs_is_given_up() {
        let cache = cache(Config::default());
        let answer = cache.get(key(1), std::future::pending()).await;
        assert_eq!(answer, Err(Miss::TooSlow { seconds: 5 }));
    }

    #[tokio::test]
    async fn fetches_at_once_are_bounded() {
        let cache = cache(Config {
            fetches_max: 2,
            ..Config::default()
        });
        let running = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let asks = (0..20).map(|group| {
            cache.get(key(group), async {
                most.fetch_max(
                    running.fetch_add(1, Ordering::Relaxed) + 1,
                    Ordering::Relaxed,
                );
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::Relaxed);
                Ok(Bytes::from_static(b"x").into())
            })
        });
        futures_util::future::join_all(asks).await;
        assert_eq!(most.load(Ordering::Relaxed), 2);
    }
}
