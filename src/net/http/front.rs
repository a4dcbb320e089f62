//! What all connections of one worker share: the service, the date, the counters.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::time::sleep;

use crate::net::Drain;
use crate::net::buckets::Buckets;
use crate::net::http::access::Filing;
use crate::net::http::clients::Clients;
use crate::net::http::link::Link;
use crate::net::http::{Config, Metrics, Protocol, Reply, Request, Response, Service, problem};
use crate::runtime::{Bulk, Shutdown, TaskScope, clock};

/// The name in `server` headers.
pub(super) const SERVER: &str = "rushlane";

/// The heads of replies fit; a larger buffer is not kept for the next one.
const HEAD_KEPT_BYTES_MAX: usize = 4096;

/// How long a connection with streams that begins in a drain may stay: its requests come with the
/// handshake or right behind it.
const VISIT: Duration = Duration::from_secs(1);

/// One worker's front.
pub(in crate::net) struct Front {
    service: Rc<dyn Service>,
    /// Says where HTTP/3 is, in replies over TLS.
    alt_svc: Option<HeaderValue>,
    pub(in crate::net) metrics: Metrics,
    pub(in crate::net) scope: TaskScope,
    /// Where connections stand until something urgent comes by them.
    pub(in crate::net) bulk: Bulk,
    pub(in crate::net) drain: Drain,
    pub(in crate::net) clients: Clients,
    requests: Buckets,
    /// Requested when the drain begins, and with the scope's end.
    leaving: Shutdown,
    date: RefCell<(i64, HeaderValue)>,
    head: Cell<Vec<u8>>,
}

impl Front {
    pub(in crate::net) fn new(
        config: &Config,
        service: Rc<dyn Service>,
        alt_svc: Option<HeaderValue>,
        metrics: Metrics,
        scope: TaskScope,
        drain: Drain,
    ) -> Self {
        let requests = Buckets::new(config.limits.requests_per_second, clock::now());
        Self {
            leaving: scope.shutdown().child(),
            drain,
            clients: Clients::new(config.trusted_proxies.clone(), config.forwarded_by),
            requests,
            service,
            alt_svc,
            metrics,
            scope,
            bulk: Bulk::default(),
            date: RefCell::new((i64::MIN, HeaderValue::from_static(""))),
            head: Cell::default(),
        }
    }

    /// Requested when connections should finish what they are at and close.
    pub(in crate::net) fn leaving(&self) -> &Shutdown {
        &self.leaving
    }

    /// Waits until a connection that is asked for nothing should close. In a drain with somewhere
    /// to go, its next request is waited for: a close could cross it.
    pub(super) async fn dismissed(&self) {
        self.leaving.requested().await;
        if self.drain.is_patient() {
            self.scope.shutdown().requested().await;
        }
    }

    /// Waits until a connection with streams that begins now should be told to go.
    pub(super) async fn parting(&self) {
        if self.leaving.is_requested() && self.drain.receives() {
            sleep(VISIT).await;
        } else {
            self.leaving.requested().await;
        }
    }

    /// Waits until listeners should close.
    pub(in crate::net) async fn closing(&self) {
        self.leaving.requested().await;
        if self.drain.receives() {
            self.scope.shutdown().requested().await;
        }
    }

    /// Asks the service, in the name of the client behind trusted proxies.
    pub(super) fn call(&self, mut request: Request) -> Reply {
        request.peer = self.clients.of(request.peer, &request.headers);
        let requests = &self.requests;
        if requests.are_bounded() && !requests.take(request.peer.ip(), clock::now()) {
            self.metrics.limited();
            return Reply::Ready(too_many());
        }
        if self.is_urgent(&request.uri) {
            self.bulk.ticket().leave();
        }
        self.service.call(request)
    }

    /// True when a request for `uri` shall not wait behind others.
    pub(super) fn is_urgent(&self, uri: &Uri) -> bool {
        self.service.is_urgent(uri.path())
    }

    /// Waits for a reply, counting the request as parked.
    pub(super) async fn answer(&self, request: Request, filing: &mut Filing) -> Response {
        match self.call(request) {
            Reply::Ready(response) => response,
            Reply::Later(later) => {
                let _parked = self.metrics.parked();
                let since = clock::now();
                let response = later.await;
                filing.held(since.elapsed());
                response
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

/// 429, for scripts of pages of any origin too.
fn too_many() -> Response {
    let detail = "too many requests from this address: come back in a second";
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, detail);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}
