//! Files what became of a request: begun when its head is read, filed when it is dropped, which is
//! when its last byte has left or its peer has gone.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::net::http::Protocol;
use crate::net::http::front::Front;
use crate::net::http::link::Link;
use crate::protocol::cmcd::{self, Cmcd};
use crate::protocol::cmsd;
use crate::runtime::clock::{self, Instant};
use crate::telemetry::access::{Log, Record, Slip, Trace};

const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

const CMCD: [HeaderName; 4] = {
    let [request, object, status, session] = cmcd::HEADERS;
    [
        HeaderName::from_static(request),
        HeaderName::from_static(object),
        HeaderName::from_static(status),
        HeaderName::from_static(session),
    ]
};

const CMSD_STATIC: HeaderName = HeaderName::from_static(cmsd::STATIC);
const CMSD_DYNAMIC: HeaderName = HeaderName::from_static(cmsd::DYNAMIC);

/// More than is ever added to what a player is told, in bytes.
const ADDED_BYTES: usize = 64;

/// A request under way. On the heap, so that connections stay small.
pub(super) struct Filing {
    /// Takes the record, if anybody has a use for it.
    log: Option<Log>,
    slip: Slip,
    cmcd: Option<Box<Cmcd>>,
    link: Link,
    protocol: &'static str,
    method: &'static str,
    came: Instant,
    status: u16,
    first_us: u32,
    held_us: u32,
    bytes: u64,
}

impl Filing {
    /// A request that has come over `link`.
    pub(super) fn begin(
        front: &Front,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        protocol: Protocol,
        link: &Link,
    ) -> Box<Self> {
        let trace = headers.get(TRACE_PARENT);
        let trace = trace.and_then(|value| Trace::parse(value.to_str().ok()?));
        let cmcd = told(uri, headers);
        let log = front.metrics.log().filter(|log| log.wants(cmcd.is_some()));
        Box::new(Self {
            slip: Slip::filed(trace, log.is_some()),
            log: log.cloned(),
            cmcd,
            link: link.clone(),
            protocol: match protocol {
                Protocol::H1 => "h1",
                Protocol::H2 => "h2",
                Protocol::H3 => "h3",
            },
            method: name(method),
            came: clock::now(),
            status: 0,
            first_us: 0,
            held_us: 0,
            bytes: 0,
        })
    }

    /// What the service notes on.
    pub(super) fn slip(&self) -> Slip {
        self.slip.clone()
    }

    /// The answer had to wait for `wait`.
    pub(super) fn held(&mut self, wait: Duration) {
        self.held_us = short(wait);
    }

    /// The head of the answer leaves.
    pub(super) fn answered(&mut self, head: &mut Parts) {
        self.status = head.status.as_u16();
        self.first_us = short(self.came.elapsed());
        self.slip.answered(head.status.is_success());
        self.tell(&mut head.headers);
    }

    /// Adds what only the connection knows to what the service tells the player (CTA-5006).
    fn tell(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(CMSD_DYNAMIC) {
            return;
        }
        let leaving = cmsd::Leaving {
            delay_ms: u64::from(self.first_us.saturating_sub(self.held_us)) / 1000,
            path: self.link.state().map(|link| cmsd::Path {
                rtt_us: link.rtt_us,
                window_bytes: link.window_bytes,
            }),
        };
        let held_ms = self.held_us / 1000;
        if held_ms > 0 {
            append(headers, &CMSD_STATIC, format_args!(",ht={held_ms}"));
        }
        append(headers, &CMSD_DYNAMIC, leaving);
    }

    /// Bytes of the answer were handed to the connection.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    fn record(&mut self, total_us: u64) -> Record {
        let at_us = clock::unix_us().saturating_sub_unsigned(total_us);
        let mut record = Record::new(at_us, self.link.peer);
        record.protocol = self.protocol;
        record.method = self.method;
        record.status = self.status;
        record.bytes = self.bytes;
        record.first_us = self.first_us;
        record.held_us = self.held_us;
        record.total_us = total_us;
        record.cmcd = self.cmcd.take();
        record.link = self.link.state();
        record.take(&self.slip);
        record
    }
}

impl Drop for Filing {
    fn drop(&mut self) {
        let (came, first_us) = (self.came, self.first_us);
        let total_us = || microseconds(came.elapsed());
        let since_first = || total_us().saturating_sub(first_us.into());
        self.slip.delivered(self.bytes, since_first);
        if let Some(log) = self.log.take() {
            log.file(self.record(total_us()));
        }
    }
}

/// Adds to a header that is there.
fn append(headers: &mut HeaderMap, name: &HeaderName, more: impl fmt::Display) {
    let Some(said) = headers.get_mut(name) else {
        return;
    };
    let mut text = Vec::with_capacity(said.len() + ADDED_BYTES);
    text.extend_from_slice(said.as_bytes());
    let written = write!(text, "{more}");
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text))
        && written.is_ok()
    {
        *said = value;
    }
}

/// What a player tells of itself, if anything.
fn told(uri: &Uri, headers: &HeaderMap) -> Option<Box<Cmcd>> {
    let parts = CMCD.map(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut values = pairs.filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == cmcd::PARAMETER && value.len() <= 3 * cmcd::SET_BYTES_MAX).then_some(value)
    });
    let query = values.next().and_then(cmcd::percent_decode);
    if query.is_none() && parts.iter().all(Option::is_none) {
        return None;
    }
    let set = cmcd::read(query.as_deref(), parts.into_iter().flatten());
    (!set.is_empty()).then(|| Box::new(set))
}

/// The name of a method, without an allocation for the usual ones.
fn name(method: &Method) -> &'static str {
    const USUAL: [Method; 8] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::CONNECT,
    ];
    const NAMES: [&str; 8] = [
        "GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT",
    ];
    let usual = USUAL.iter().position(|usual| usual == method);
    usual.map_or("other", |index| NAMES[index])
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn short(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn players_tell_by_query_and_by_headers() {
        let uri: Uri = "/live/r.flv?token=x&CMCD=bl%3D900%2Csid%3D%22a%22"
            .parse()
            .unwrap();
        let mut headers = HeaderMap::new();
        let set = told(&uri, &headers).unwrap();
        assert_eq!((set.bl, set.sid.as_deref()), (Some(900), Some("a")));
        headers.insert("cmcd-object", HeaderValue::from_static("bl=100"));
        headers.insert("cmcd-status", HeaderValue::from_static("bs"));
        let set = told(&uri, &headers).unwrap();
        assert_eq!((set.bl, set.bs), (Some(100), true));
        assert!(told(&Uri::from_static("/?x=CMCD"), &HeaderMap::new()).is_none());
    }
}
