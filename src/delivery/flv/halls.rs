//! The halls of a worker, by what they show.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::hall::{Hall, House};
use super::query::Selection;
use super::socket::Socket;
use super::{Config, Query, Refusal};
use crate::auth::Pass;
use crate::delivery::viewers::Audiences;
use crate::live::broadcast;
use crate::media::RoomName;
use crate::net::http::{Body, Sink, Upgrade};
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    room: RoomName,
    epoch: Arc<str>,
    rendition: Option<Arc<str>>,
    merge: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) batches: Counter,
    pub(super) bytes: Counter,
    pub(super) skips: Counter,
    pub(super) closed_slow: Counter,
    pub(super) closed_denied: Counter,
    pub(super) delay: Histogram,
}

/// The end of all live bodies. Clones share it.
#[derive(Clone)]
pub(in crate::delivery) struct Drain {
    begun: Shutdown,
    spread: Arc<OnceLock<Duration>>,
}

/// The limits and figures of all workers' halls.
#[derive(Clone)]
pub(in crate::delivery) struct Builder {
    house: House,
    audiences: Audiences,
    drain: Drain,
}

/// The halls of one worker.
pub(in crate::delivery) struct Halls {
    builder: Builder,
    open: RefCell<HashMap<Key, Rc<Hall>>>,
    scope: TaskScope,
}

impl Drain {
    /// One that also begins with `shutdown`, then all at once.
    pub(in crate::delivery) fn under(shutdown: &Shutdown) -> Self {
        let (begun, spread) = (shutdown.child(), Arc::default());
        Self { begun, spread }
    }

    /// Ends all live bodies, the last one after `spread`.
    pub(in crate::delivery) fn begin(&self, spread: Duration) {
        let _the_first_counts = self.spread.set(spread).is_err();
        self.begun.request();
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun.is_requested()
    }

    pub(super) async fn begun(&self) {
        self.begun.requested().await;
    }

    pub(super) fn spread(&self) -> Duration {
        self.spread.get().copied().unwrap_or_default()
    }
}

impl Builder {
    pub(in crate::delivery) fn new(
        config: &Config,
        audiences: Audiences,
        drain: Drain,
        metrics: &Metrics,
    ) -> Self {
        let figures = Figures {
            batches: Counter::default(),
            bytes: Counter::default(),
            skips: Counter::default(),
            closed_slow: Counter::default(),
            closed_denied: Counter::default(),
            // 0.25 ms to 1 s: the goals are 2 ms in the middle and 10 ms at the end.
            delay: Histogram::new(exponential_buckets(0.000_25, 2.0, 13)),
        };
        for (name, help, counter) in [
            (
                "flv_batches",
                "Batches of tags given to a hall",
                &figures.batches,
            ),
            (
                "flv_write_bytes",
                "Bytes that FLV viewers took",
                &figures.bytes,
            ),
            (
                "flv_skips",
                "Slow viewers skipped to a key frame",
                &figures.skips,
            ),
            (
                "flv_closed_slow",
                "Viewers closed without progress",
                &figures.closed_slow,
            ),
            (
                "flv_closed_denied",
                "Viewers closed because their access was withdrawn",
                &figures.closed_denied,
            ),
        ] {
            metrics.register("delivery", name, help, counter.clone());
        }
        let help = "From a picture's arrival at the origin to the last viewer's socket";
        metrics.register("delivery", "flv_delay_seconds", help, figures.delay.clone());
        let slow_close = Duration::from_secs(config.slow_close_seconds.into());
        let house = House {
            backlog_bytes_max: config.backlog_bytes_max,
            slow_close,
            merge: Duration::from_millis(config.merge_ms),
            figures,
        };
        Self {
            house,
            audiences,
            drain,
        }
    }

    pub(in crate::delivery) fn halls(&self, scope: TaskScope) -> Rc<Halls> {
        Rc::new(Halls {
            builder: self.clone(),
            open: RefCell::default(),
            scope,
        })
    }
}

impl Halls {
    /// True once viewers should go elsewhere.
    pub(in crate::delivery) fn is_draining(&self) -> bool {
        self.builder.drain.is_begun()
    }

    /// A body that brings its viewer into the right hall once the reply's head is sent.
    pub(in crate::delivery) fn body(
        self: &Rc<Self>,
        broadcast: broadcast::Consumer,
        query: &Query<'_>,
        pass: Option<Pass>,
        upgrade: Option<Upgrade>,
    ) -> Result<Body, Refusal> {
        let selection = query.select(&broadcast, self.builder.house.merge)?;
        let halls = self.clone();
        let fast = !query.wait;
        let start = self.builder.audiences.starts().flv(upgrade.is_some());
        let enter = move |sink| {
            let hall = halls.hall(broadcast, selection);
            hall.enter(sink, fast, pass, start);
        };
        Ok(match upgrade {
            Some(Upgrade::WebSocket) => Body::Duplex(Box::new(move |duplex| {
                enter(Sink::Connection(Box::new(Socket::new(duplex))));
            })),
            Some(Upgrade::WebTransport) | None => Body::Live(Box::new(enter)),
        })
    }

    fn hall(self: Rc<Self>, broadcast: broadcast::Consumer, selection: Selection) -> Rc<Hall> {
        let info = broadcast.info();
        let key = Key {
            room: info.room.clone(),
            epoch: info.epoch.clone(),
            rendition: selection
                .video
                .as_ref()
                .map(|track| track.info().name.clone()),
            merge: selection.merge,
        };
        if let Some(hall) = self.open.borrow().get(&key) {
            return hall.clone();
        }
        let hall = Rc::new(Hall::new(self.builder.audiences.of(&info.room)));
        self.open.borrow_mut().insert(key.clone(), hall.clone());
        let served = hall.clone();
        let scope = self.scope.clone();
        // Unconstrained: a pass over all viewers is one step of work, and tokio's budget would make
        // every viewer past the 128th look as if its socket were full.
        let work = tokio::task::unconstrained(async move {
            let Builder { house, drain, .. } = self.builder.clone();
            let rows = served.run(broadcast, selection, house, drain).await;
            self.open.borrow_mut().remove(&key);
            rows.finish().await;
        });
        scope.spawn_local("delivery.hall", work);
        hall
    }
}
