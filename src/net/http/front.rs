//! What all connections of one worker share: the service, the date, the counters.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::net::http::{Metrics, Protocol, Reply, Request, Response, Service};
use crate::runtime::{Shutdown, TaskScope, clock};

/// The name in `server` headers.
pub(super) const SERVER: &str = "rushlane";

/// The heads of replies fit; a larger buffer is not kept for the next one.
const HEAD_KEPT_BYTES_MAX: usize = 4096;

/// One worker's front.
pub(in crate::net) struct Front {
    service: Rc<dyn Service>,
    /// Says where HTTP/3 is, in replies over TLS.
    alt_svc: Option<HeaderValue>,
    pub(in crate::net) metrics: Metrics,
    pub(in crate::net) scope: TaskScope,
    date: RefCell<(i64, HeaderValue)>,
    head: Cell<Vec<u8>>,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Link {
    pub(in crate::net) peer: SocketAddr,
    pub(in crate::net) secure: bool,
}

impl Front {
    pub(in crate::net) fn new(
        service: Rc<dyn Service>,
        alt_svc: Option<HeaderValue>,
        metrics: Metrics,
        scope: TaskScope,
    ) -> Self {
        Self {
            service,
            alt_svc,
            metrics,
            scope,
            date: RefCell::new((i64::MIN, HeaderValue::from_static(""))),
            head: Cell::default(),
        }
    }

    /// Ends when connections should finish what they are at and close.
    pub(super) fn shutdown(&self) -> &Shutdown {
        self.scope.shutdown()
    }

    /// Asks the service.
    pub(super) fn call(&self, request: Request) -> Reply {
        self.service.call(request)
    }

    /// Waits for a reply, counting the request as parked.
    pub(super) async fn answer(&self, request: Request) -> Response {
        match self.call(request) {
            Reply::Ready(response) => response,
            Reply::Later(later) => {
                let _parked = self.metrics.parked();
                later.await
            }
        }
    }

    /// The value of `alt-svc` for replies over `link`.
    pub(super) fn alt_svc(&self, link: &Link) -> Option<&HeaderValue> {
        self.alt_svc.as_ref().filter(|_| link.secure)
    }

    /// The value of `date` (RFC 9110, section 6.6.1), made once a second.
    pub(super) fn date(&self) -> HeaderValue {
        let second = clock::unix_us() / 1_000_000;
        let mut cached = self.date.borrow_mut();
        if cached.0 != second {
            let text = Timestamp::from_second(second)
                .and_then(|now| DateTimePrinter::new().timestamp_to_rfc9110_string(&now))
                .unwrap_or_default();
            *cached = (
                second,
                HeaderValue::try_from(text).expect("a date is ASCII"),
            );
        }
        cached.1.clone()
    }

    /// Sets the headers that the front owns, for versions that carry them as a map.
    pub(super) fn finish(&self, headers: &mut HeaderMap, protocol: Protocol, link: &Link) {
        // Meaningless or forbidden outside HTTP/1.1 (RFC 9113, section 8.2.2).
        for name in [
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ] {
            headers.remove(name);
        }
        headers.insert(header::DATE, self.date());
        headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
        if protocol != Protocol::H3
            && let Some(value) = self.alt_svc(link)
        {
            headers.insert(header::ALT_SVC, value.clone());
        }
    }

    /// An empty buffer for a reply head; [`Self::keep_head`] takes it back.
    pub(super) fn head(&self) -> Vec<u8> {
        self.head.take()
    }

    /// Keeps `buffer` for the next reply of this worker.
    pub(super) fn keep_head(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= HEAD_KEPT_BYTES_MAX {
            buffer.clear();
            self.head.set(buffer);
        }
    }
}
