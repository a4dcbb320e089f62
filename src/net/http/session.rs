//! A WebTransport session in the hands of a service.

use tokio::sync::mpsc;

use crate::net::http::Duplex;

/// A WebTransport session. Dropping it ends the session; it ends by itself when the peer leaves.
#[derive(Debug)]
pub struct Session {
    streams: mpsc::Receiver<Duplex>,
}

impl Session {
    /// The session of `streams`, those that its peer opens.
    #[must_use]
    pub fn new(streams: mpsc::Receiver<Duplex>) -> Self {
        Self { streams }
    }

    /// The next stream in both directions that the peer opens; `None` when the session has ended.
    pub async fn accept_bi(&mut self) -> Option<Duplex> {
        self.streams.recv().await
    }
}
