//! One request, when all is said.

use std::net::SocketAddr;

use crate::protocol::cmcd::Cmcd;
use crate::telemetry::access::{Object, Slip, Trace};

/// What is known of a request when its last byte has left or its peer has gone.
#[derive(Debug, Clone)]
pub struct Record {
    /// When it came, in microseconds since 1970.
    pub at_us: i64,
    /// Who sent it.
    pub peer: SocketAddr,
    /// `h1`, `h2` or `h3`.
    pub protocol: &'static str,
    /// `GET` and its like.
    pub method: &'static str,
    /// The status of the answer; 0 when the peer went before there was one.
    pub status: u16,
    /// Bytes of the body that were handed to the connection.
    pub bytes: u64,
    /// From the request to the head of the answer, in microseconds.
    pub first_us: u32,
    /// What of that the request was held for, as a blocking reload is.
    pub held_us: u32,
    /// From the request to the last byte.
    pub total_us: u64,
    /// The state of the connection, where it is known.
    pub link: Option<Link>,
    /// What the player tells of itself.
    pub cmcd: Option<Box<Cmcd>>,
    /// The trace that it belongs to.
    pub trace: Option<Trace>,
    pub(in crate::telemetry) object: Object,
    pub(in crate::telemetry) span: Option<u64>,
    pub(super) kid: Option<Box<str>>,
    pub(in crate::telemetry) cache: Option<&'static str>,
    pub(super) upstream_us: Option<u32>,
}

/// A connection as its sender sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// Smoothed round trip time, in microseconds.
    pub rtt_us: u64,
    /// Packets lost since it opened.
    pub lost_packets: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
}

impl Record {
    /// A record of a request that came at `at_us`; everything else is still to come.
    #[must_use]
    pub fn new(at_us: i64, peer: SocketAddr) -> Self {
        Self {
            at_us,
            peer,
            protocol: "h1",
            method: "GET",
            status: 0,
            bytes: 0,
            first_us: 0,
            held_us: 0,
            total_us: 0,
            link: None,
            cmcd: None,
            trace: None,
            object: Object::default(),
            span: None,
            kid: None,
            cache: None,
            upstream_us: None,
        }
    }

    /// Takes the notes off `slip`.
    pub fn take(&mut self, slip: &Slip) {
        if let Some(notes) = slip.notes() {
            self.object = notes.object.take();
            self.kid = notes.kid.take();
            self.cache = notes.cache.get();
            self.upstream_us = notes.upstream_us.get();
            self.trace = slip.trace();
            self.span = notes.span.get();
        }
    }

    /// True for a success that tells nothing new by itself.
    pub(super) fn is_plain(&self, slow_ms: u32) -> bool {
        let answered = matches!(self.status, 200..=399);
        let own_us = self.first_us.saturating_sub(self.held_us);
        answered && u64::from(own_us) < u64::from(slow_ms) * 1000
    }
}
