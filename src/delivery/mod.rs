//! Delivery: answers viewers from `live` over the front that `net` gives it.
//!
//! One [`Service`] per worker answers LL-HLS ([`hls`]), HTTP-FLV ([`flv`]), the list of rooms and
//! the pages. Knows routes, headers and viewers; deliberately knows no socket, no relay and no
//! encoder, and leaves every cut and every playlist to `packaging`.
//!
//! Invariants:
//! - Media is shared by all viewers of the node; what a viewer adds is bounded.
//! - Nothing a stranger asks for is remembered: state grows with rooms and viewers only.
//! - Keys hold media identity and canonical directives, never a token or another query (D4).
//! - A change wakes a worker once for each track that somebody waits for there (D3).

mod census;
mod cmsd;
mod collector;
mod config;
mod flv;
mod hls;
mod negotiate;
mod pages;
mod pulse;
mod reply;
mod rooms;
mod route;
mod service;
mod starts;
mod viewers;
mod warmth;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::cache::Segments;
use crate::live::Store;
use crate::net::http::Service;
use crate::runtime::{Shutdown, TaskScope};
use crate::shed;
use crate::telemetry::Metrics;
use crate::telemetry::access::Log;

pub use config::Config;
pub use flv::Config as FlvConfig;
pub use pages::console_file;
pub use pulse::Pulse;
pub use viewers::Viewers;

/// What viewers are served from.
pub struct Parts {
    /// The shows.
    pub store: Store,
    /// Says what new sessions are offered.
    pub shedding: shed::Gauge,
    /// Owns the tasks that read tracks.
    pub media: TaskScope,
    /// Runs them.
    pub runtime: Handle,
    /// Takes what players report.
    pub log: Log,
}

/// The viewer side of a node. Clones share it.
#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

struct Inner {
    store: Store,
    audiences: viewers::Audiences,
    shelves: hls::Shelves,
    hls: hls::Source,
    flv: flv::Builder,
    pages: pages::Pages,
    node_name: String,
    collector: collector::Collector,
    shutdown: Shutdown,
    drain: flv::Drain,
}

impl Delivery {
    /// Viewers of `parts.store`. Tracks are read by tasks of `parts.media` in `parts.runtime`,
    /// which must outlive the workers.
    #[must_use]
    pub fn new(config: &Config, parts: Parts, metrics: &Metrics, node_name: &str) -> Self {
        let Parts {
            store,
            shedding,
            media,
            runtime,
            log,
        } = parts;
        let audiences = viewers::Audiences::new(metrics);
        let shutdown = media.shutdown().clone();
        let drain = flv::Drain::under(&shutdown);
        let segments = Segments::new(config.cache.clone(), metrics);
        let teller = cmsd::Teller::new(config.cmsd, node_name, shedding.clone());
        let seen = (store.clone(), audiences.clone());
        let shelves = hls::Shelves::new(config, seen, teller, media, runtime);
        let flv = flv::Builder::new(&config.flv, audiences.clone(), drain.clone(), metrics);
        Self(Arc::new(Inner {
            hls: hls::Source::new(
                store.clone(),
                shelves.clone(),
                segments,
                config.waiters_max,
                shedding,
                metrics,
            ),
            flv,
            shelves,
            store,
            audiences,
            pages: pages::Pages::load(),
            node_name: node_name.to_owned(),
            collector: collector::Collector(config.player_reports.then_some(log)),
            shutdown,
            drain,
        }))
    }

    /// The service of one worker; call it on the worker's thread, inside its `LocalSet`.
    #[must_use]
    pub fn service(&self, worker: usize) -> Rc<dyn Service> {
        tracing::debug!(worker, "viewers are served");
        let scope = TaskScope::under(&self.0.shutdown);
        Rc::new(service::Worker::new(self.clone(), &scope))
    }

    /// Viewers of `room` on this node, by protocol.
    #[must_use]
    pub fn viewers(&self, room: &str) -> Viewers {
        self.0.audiences.viewers(room)
    }

    /// What is counted of `room`; `None` while nobody watches.
    #[must_use]
    pub fn pulse(&self, room: &str) -> Option<Arc<Pulse>> {
        self.0.audiences.pulse(room)
    }

    /// Ends all live bodies, the last one after `spread`, so that their players go to another node;
    /// playlists and parts are served on until the front closes.
    pub fn drain(&self, spread: Duration) {
        self.0.drain.begin(spread);
    }
}
