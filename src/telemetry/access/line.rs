//! One line of the log: JSON with a fixed set of fields, in a fixed order.

use jiff::Timestamp;
use serde::Serialize;

use crate::protocol::cmcd::Cmcd;
use crate::telemetry::access::Record;

/// The fields. What is not known is null or absent inside `cmcd`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    ts: String,
    edge: &'a str,
    peer: String,
    proto: &'a str,
    method: &'a str,
    class: &'a str,
    room: Option<&'a str>,
    rendition: Option<&'a str>,
    msn: Option<u64>,
    part: Option<u32>,
    status: u16,
    bytes: u64,
    ttfb_ms: f64,
    held_ms: f64,
    total_ms: f64,
    cache: Option<&'a str>,
    upstream_ms: Option<f64>,
    rtt_ms: Option<f64>,
    loss: Option<u64>,
    cwnd: Option<u64>,
    kid: Option<&'a str>,
    sid: Option<&'a str>,
    cid: Option<&'a str>,
    cmcd: Option<&'a Cmcd>,
    trace: Option<String>,
}

/// Appends the line of `record` to `out`, with its line feed.
pub(super) fn write(out: &mut Vec<u8>, node: &str, record: &Record) {
    let object = &record.object;
    let cmcd = record.cmcd.as_deref();
    let line = Line {
        ts: Timestamp::from_microsecond(record.at_us)
            .map_or_else(|_| String::new(), |at| at.to_string()),
        edge: node,
        peer: record.peer.ip().to_string(),
        proto: record.protocol,
        method: record.method,
        class: match object.class {
            "" => "other",
            class => class,
        },
        room: known(&object.room),
        rendition: known(&object.rendition),
        msn: object.msn,
        part: object.part,
        status: record.status,
        bytes: record.bytes,
        ttfb_ms: milliseconds(record.first_us.into()),
        held_ms: milliseconds(record.held_us.into()),
        total_ms: milliseconds(record.total_us),
        cache: record.cache,
        upstream_ms: record.upstream_us.map(|us| milliseconds(us.into())),
        rtt_ms: record.link.map(|link| milliseconds(link.rtt_us)),
        loss: record.link.map(|link| link.lost_packets),
        cwnd: record.link.map(|link| link.window_bytes),
        kid: record.kid.as_deref(),
        sid: cmcd.and_then(|cmcd| cmcd.sid.as_deref()),
        cid: cmcd.and_then(|cmcd| cmcd.cid.as_deref()),
        cmcd,
        trace: record.trace.map(|trace| format!("{:032x}", trace.id)),
    };
    serde_json::to_writer(&mut *out, &line).expect("texts and numbers are JSON");
    out.push(b'\n');
}

fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}
