//! `POST /cmcd`: what players report of themselves in event mode (CTA-5004-B).

use http::{Method, StatusCode};

use crate::delivery::reply;
use crate::live::Store;
use crate::net::http::{Request, Response};
use crate::packaging::hls::Lifetime;
use crate::runtime::clock;
use crate::telemetry::access::{Collected, Log, Record};

/// Where reports go.
pub(super) const PATH: &str = "/cmcd";

/// Takes reports, if the operator wants any.
pub(super) struct Collector(pub(super) Option<Log>);

impl Collector {
    /// Takes a report: 204; 429 when the node has no time for it, after which players back off; 410
    /// where it wants no reports, or none of this session any more, after which they stop.
    pub(super) fn take(&self, request: &Request, store: &Store) -> Response {
        if request.method == Method::OPTIONS {
            return reply::preflight();
        }
        if request.method != Method::POST {
            let text = "player reports are posted here";
            return reply::problem(StatusCode::METHOD_NOT_ALLOWED, Lifetime::NoStore, text);
        }
        let Some(log) = &self.0 else {
            let text = "this node takes no reports: send no more";
            return reply::problem(StatusCode::GONE, Lifetime::NoStore, text);
        };
        let Ok(body) = std::str::from_utf8(&request.body) else {
            let text = "a report is UTF-8, one event a line";
            return reply::problem(StatusCode::BAD_REQUEST, Lifetime::NoStore, text);
        };
        let mut record = Record::new(clock::unix_us(), request.peer);
        record.method = "POST";
        record.status = StatusCode::NO_CONTENT.as_u16();
        record.bytes = 0;
        match log.collect(&record, body, |room| store.room(room).is_some()) {
            Collected::Taken => reply::taken(),
            Collected::Overloaded => {
                let text = "too many reports wait: send fewer";
                let mut response = reply::busy(5, text);
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                response
            }
            Collected::Unwanted => {
                let text = "this session has reported too much: send no more";
                reply::problem(StatusCode::GONE, Lifetime::NoStore, text)
            }
        }
    }
}
