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

mod flv;
mod hls;
mod negotiate;
mod pages;
mod reply;
mod rooms;
mod route;
mod service;
mod viewers;

use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::cache::{self, Segments};
use crate::live::Store;
use crate::net::http::Service;
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry::Metrics;

pub use flv::Config as FlvConfig;
pub use pages::console_file;
pub use viewers::Viewers;

/// What viewers get and what they may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much media a playlist lists, in seconds, at least six segments. 30: what a player needs
    /// to ride out a tunnel, within the live window.
    pub playlist_window_seconds: u32,
    /// How long a track is read after the last request for it, in seconds, at least 10.
    pub idle_seconds: u32,
    /// The most requests that wait on one worker; further ones get 503. 50,000: at about 1 KB each
    /// below what their connections cost.
    pub waiters_max: usize,
    /// HTTP-FLV.
    pub flv: FlvConfig,
    /// Segments older than the playlist.
    pub cache: cache::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            playlist_window_seconds: 30,
            idle_seconds: 30,
            waiters_max: 50_000,
            flv: FlvConfig::default(),
            cache: cache::Config::default(),
        }
    }
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
    shutdown: Shutdown,
    drain: Shutdown,
}

impl Delivery {
    /// Viewers of `store`. Tracks are read by tasks of `media` in `runtime`, which must outlive the
    /// workers.
    #[must_use]
    pub fn new(
        config: &Config,
        store: Store,
        media: TaskScope,
        runtime: Handle,
        metrics: &Metrics,
        node_name: &str,
    ) -> Self {
        let audiences = viewers::Audiences::new(metrics);
        let shutdown = media.shutdown().clone();
        let drain = shutdown.child();
        let segments = Segments::new(config.cache.clone(), metrics);
        let shelves = hls::Shelves::new(config, store.clone(), audiences.clone(), media, runtime);
        let waiters_max = config.waiters_max;
        let flv = flv::Builder::new(&config.flv, audiences.clone(), drain.clone(), metrics);
        Self(Arc::new(Inner {
            hls: hls::Source::new(
                store.clone(),
                shelves.clone(),
                segments,
                waiters_max,
                metrics,
            ),
            flv,
            shelves,
            store,
            audiences,
            pages: pages::Pages::load(),
            node_name: node_name.to_owned(),
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

    /// Ends all live bodies, so that their players go to another node; playlists and parts are
    /// served on until the front closes.
    pub fn drain(&self) {
        self.0.drain.request();
    }
}
